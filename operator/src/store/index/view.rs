//! The view of one Service, put together from the index.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use moorline_crds::compile::{route_id, service_of};
use moorline_crds::document::ServiceId;
use moorline_crds::names::Child;

use super::{Index, Namespace};
use crate::view::{ChildFacts, PodFacts, ServiceView, Settings};

impl Index {
    /// Everything that concerns one Service. Costs what the Service is large, not what the cluster is.
    pub(crate) fn view(&self, id: &ServiceId, settings: &Arc<Settings>, now: Timestamp) -> ServiceView {
        let empty = Namespace::default();
        let known = self.namespaces.get(&id.namespace).unwrap_or(&empty);
        let tracked = known.tracked.get(&id.name);
        let routes: Vec<_> = tracked
            .into_iter()
            .flat_map(|tracked| &tracked.routes)
            .filter_map(|name| known.routes.get(name))
            .map(|route| Arc::clone(&route.route))
            .collect();
        let neighbours = known
            .neighbours(&id.name)
            .iter()
            .filter_map(|service| known.tracked.get(service))
            .flat_map(|tracked| &tracked.routes)
            .filter_map(|name| known.routes.get(name))
            .map(|route| Arc::clone(&route.route))
            .collect();
        let mut seen = BTreeSet::new();
        let exposed_neighbours = routes
            .iter()
            .filter(|route| route.spec.expose.is_some())
            .flat_map(|route| self.exposed_with(route))
            .filter(|other| service_of(other) != *id && seen.insert(route_id(other)))
            .cloned()
            .collect();
        let pods = tracked
            .into_iter()
            .flat_map(|tracked| &tracked.pods)
            .filter_map(|name| known.pods.get(name))
            .map(|pod| PodFacts {
                report: pod.reported.clone(),
                nudged: pod.nudged.get(&id.name).cloned(),
                ..pod.facts.clone()
            })
            .collect();
        ServiceView {
            now,
            id: id.clone(),
            service: known.services.get(&id.name).map(|service| service.facts.clone()),
            routes,
            neighbours,
            exposed_neighbours,
            live: known.documents.get(&Child::Document.name(&id.name)).map(|document| document.live.clone()),
            children: known.children(&id.name),
            namespace_enabled: known.is_enabled,
            pods,
            bare_pods: known.bare_pods(&id.name),
            settings: Arc::clone(settings),
        }
    }

    /// Names of routed Services of a namespace that select a pod with these labels, sorted.
    pub(crate) fn routed(&self, namespace: &str, labels: &BTreeMap<String, String>) -> Vec<String> {
        let Some(known) = self.namespaces.get(namespace) else { return Vec::new() };
        known
            .tracked
            .iter()
            .filter(|(_, tracked)| !tracked.routes.is_empty())
            .filter(|(name, _)| known.services.get(*name).is_some_and(|found| super::selects(&found.facts, labels)))
            .map(|(name, _)| name.clone())
            .collect()
    }
}

impl Namespace {
    fn children(&self, service: &str) -> BTreeMap<Child, ChildFacts> {
        use super::{Owned, OwnedKind};

        let mut children = BTreeMap::new();
        let name = Child::Document.name(service);
        if let Some(document) = self.documents.get(&name) {
            children.insert(Child::Document, ChildFacts::Ours { digest: document.digest.clone() });
        } else if matches!(self.owned.get(&(OwnedKind::Document, name)), Some(Owned::Foreign { .. })) {
            children.insert(Child::Document, ChildFacts::Foreign);
        }
        for child in [Child::WebSocket, Child::Peers] {
            let Some(found) = self.services.get(&child.name(service)) else { continue };
            let facts = match &found.child_of {
                Some((owner, digest)) if owner == service => ChildFacts::Ours { digest: digest.clone() },
                _ => ChildFacts::Foreign,
            };
            children.insert(child, facts);
        }
        children
    }
}

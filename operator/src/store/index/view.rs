//! The view of one Service, put together from the index.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use moorline_crds::compile::{route_id, service_of};
use moorline_crds::document::ServiceId;
use moorline_crds::names::Child;
use moorline_inject::RoutedService;

use super::{Index, Namespace, Reason, Route};
use crate::view::{BarePod, LiveDocument, Neighbour, PodFacts, RepairNote, ServiceFacts, ServiceView, Settings};

impl Index {
    /// Everything that concerns one Service. Costs what the Service is large, not what the cluster is.
    pub(crate) fn view(&self, id: &ServiceId, settings: &Arc<Settings>, now: Timestamp) -> ServiceView {
        let empty = Namespace::default();
        let known = self.namespaces.get(&id.namespace).unwrap_or(&empty);
        let tracked = known.tracked.get(&id.name);
        let routes: Vec<_> = known.routes_of(&id.name).map(|route| Arc::clone(&route.manifest)).collect();
        let written = known
            .routes_of(&id.name)
            .filter_map(|route| Some((route_id(&route.manifest).name, route.written?)))
            .collect();
        let neighbours = known
            .neighbours(&id.name)
            .into_iter()
            .map(|name| Neighbour {
                routes: known.routes_of(&name).map(|route| Arc::clone(&route.manifest)).collect(),
                live: known.live(&name),
                id: ServiceId { namespace: id.namespace.clone(), name },
            })
            .collect();
        let mut seen = BTreeSet::new();
        let exposed_neighbours = routes
            .iter()
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
                repair: tracked.and_then(|tracked| tracked.repairs.get(&pod.facts.uid)).cloned(),
                ..pod.facts.clone()
            })
            .collect();
        let bare_pods = known
            .bare_pods(&id.name)
            .into_iter()
            .map(|(name, uid)| BarePod {
                repair: tracked.and_then(|tracked| tracked.repairs.get(&uid)).cloned(),
                name,
                uid,
            })
            .collect();
        ServiceView {
            now,
            id: id.clone(),
            service: known.services.get(&id.name).map(|service| service.facts.clone()),
            routes,
            neighbours,
            exposed_neighbours,
            live: known.live(&id.name),
            children: known.children(&id.name),
            apply_errors: known.apply_errors(&id.name),
            written,
            namespace_enabled: known.is_enabled,
            pods,
            bare_pods,
            settings: Arc::clone(settings),
        }
    }

    /// What came of a repair of a pod.
    pub(crate) fn put_repair(&mut self, id: &ServiceId, uid: &str, note: &RepairNote) {
        let Some(known) = self.namespaces.get_mut(&id.namespace) else { return };
        // Pods go, and their notes with them.
        let mut alive: BTreeSet<String> = known.bare_pods(&id.name).into_iter().map(|(_, uid)| uid).collect();
        let Some(tracked) = known.tracked.get_mut(&id.name) else { return };
        alive.extend(tracked.pods.iter().filter_map(|pod| known.pods.get(pod)).map(|pod| pod.facts.uid.clone()));
        tracked.repairs.retain(|uid, _| alive.contains(uid));
        let changed = tracked.repairs.insert(uid.to_owned(), note.clone()).as_ref() != Some(note);
        if changed {
            self.mark(&id.namespace, &id.name, Reason::Pods);
        }
    }

    /// Services of a namespace that have routes and select a pod with these labels, sorted by name.
    pub(crate) fn routed(&self, namespace: &str, labels: &BTreeMap<String, String>) -> Vec<RoutedService> {
        let Some(known) = self.namespaces.get(namespace) else { return Vec::new() };
        let routed = known.tracked.iter().filter(|(_, tracked)| !tracked.routes.is_empty());
        routed
            .filter_map(|(name, _)| Some((name, &known.services.get(name)?.facts)))
            .filter(|(_, facts)| super::selects(facts, labels))
            .map(|(name, facts)| RoutedService { name: name.clone(), target_ports: known.target_ports(name, facts) })
            .collect()
    }
}

impl Namespace {
    fn routes_of(&self, service: &str) -> impl Iterator<Item = &Route> {
        let names = self.tracked.get(service).into_iter().flat_map(|tracked| &tracked.routes);
        names.filter_map(|name| self.routes.get(name))
    }

    fn live(&self, service: &str) -> Option<LiveDocument> {
        self.documents.get(&Child::Document.name(service)).map(|document| document.live.clone())
    }

    /// Where the ports that routes name lead to.
    fn target_ports(&self, service: &str, facts: &ServiceFacts) -> Vec<IntOrString> {
        let mut targets: Vec<IntOrString> = Vec::new();
        for route in self.routes_of(service) {
            let named = facts.ports.iter().find(|port| match &route.manifest.spec.service_ref.port {
                IntOrString::Int(number) => i32::from(port.port) == *number,
                IntOrString::String(name) => port.name.as_ref() == Some(name),
            });
            if let Some(port) = named.filter(|port| !targets.contains(&port.target)) {
                targets.push(port.target.clone());
            }
        }
        targets
    }
}

//! Services in the index: those that routes name, and our own.
//!
//! All Services of the cluster are kept, in a few hundred bytes each, because a route may name any of them the moment it
//! is made, and because an object in the place of a child must be known before it is overwritten.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use moorline_crds::names::{self, Child};

use super::{Index, Reason, Service, Version};
use crate::plan::APPLIED_ANNOTATION;
use crate::store::objects;
use crate::view::{ChildKind, ChildRef, PortFacts, ServiceFacts};

impl Index {
    /// A Service as it is now.
    pub(crate) fn put_service(&mut self, namespace: &str, name: &str, service: objects::Service) {
        let version = Version::parse(service.metadata.resource_version.as_deref());
        let child_of = child_of(&service.metadata);
        let facts = facts(service);
        let known = self.namespace(namespace);
        let old = known.services.get(name);
        if old.is_some_and(|old| !version.replaces(old.version)) {
            return;
        }
        let is_new = old.is_none();
        let (facts_changed, selection_changed, was_child_of) = match old {
            Some(old) => (
                old.facts != facts,
                old.facts.selector != facts.selector || old.facts.is_external != facts.is_external,
                old.child_of.clone(),
            ),
            None => (true, true, None),
        };
        known.services.insert(name.to_owned(), Service { facts, version, child_of: child_of.clone() });
        if selection_changed && known.tracked.contains_key(name) {
            self.mark_neighbours(namespace, name, Reason::Service);
            self.namespace(namespace).select_again(name);
            self.mark_neighbours(namespace, name, Reason::Service);
            self.ask_pods_of(namespace, name);
        }
        if facts_changed {
            self.mark_if_tracked(namespace, name, Reason::Service);
        }
        let child = ChildRef { kind: ChildKind::Service, name: name.to_owned() };
        self.child_changed(namespace, &child, was_child_of.as_ref(), child_of.as_ref(), facts_changed);
        if was_child_of.is_none() && child_of.is_none() && is_new {
            self.mark_by_child_name(namespace, name);
        }
    }

    /// A Service that is gone.
    pub(crate) fn remove_service(&mut self, namespace: &str, name: &str, version: Version) {
        let Some(known) = self.namespaces.get_mut(namespace) else { return };
        if known.services.get(name).is_none_or(|service| !version.deletes(service.version)) {
            return;
        }
        let Some(old) = known.services.remove(name) else { return };
        self.mark_neighbours(namespace, name, Reason::Service);
        self.namespace(namespace).select_again(name);
        self.mark_if_tracked(namespace, name, Reason::Service);
        let child = ChildRef { kind: ChildKind::Service, name: name.to_owned() };
        self.child_changed(namespace, &child, old.child_of.as_ref(), None, true);
        if old.child_of.is_none() {
            self.mark_by_child_name(namespace, name);
        }
    }

    /// The Services of one namespace, or of all.
    pub(crate) fn service_names(&self, scope: Option<&str>) -> Vec<(String, String)> {
        self.scope(scope)
            .flat_map(|(namespace, known)| known.services.keys().map(|name| (namespace.clone(), name.clone())))
            .collect()
    }

    pub(super) fn mark_if_tracked(&mut self, namespace: &str, name: &str, reason: Reason) {
        if self.namespaces.get(namespace).is_some_and(|known| known.tracked.contains_key(name)) {
            self.mark(namespace, name, reason);
        }
    }

    /// A Service that is not ours came to, or left, the name of a child.
    fn mark_by_child_name(&mut self, namespace: &str, name: &str) {
        let Some(known) = self.namespaces.get(namespace) else { return };
        let owners: Vec<String> = known
            .tracked
            .keys()
            .filter(|owner| [Child::WebSocket, Child::Peers].iter().any(|child| child.name(owner) == name))
            .cloned()
            .collect();
        for owner in owners {
            self.mark(namespace, &owner, Reason::Child);
        }
    }
}

/// The Service an object belongs to, and the digest of what was applied, when the object is ours.
pub(crate) fn child_of(metadata: &ObjectMeta) -> Option<(String, Option<String>)> {
    let labels = metadata.labels.as_ref()?;
    if labels.get(names::MANAGED_BY_LABEL).map(String::as_str) != Some(names::MANAGED_BY) {
        return None;
    }
    let service = labels.get(names::SERVICE_LABEL)?.clone();
    let digest = metadata.annotations.as_ref().and_then(|annotations| annotations.get(APPLIED_ANNOTATION)).cloned();
    Some((service, digest))
}

fn facts(service: objects::Service) -> ServiceFacts {
    let spec = service.spec;
    let ports = spec.ports.into_iter().filter_map(|port| {
        let number = u16::try_from(port.port).ok()?;
        Some(PortFacts {
            name: port.name,
            port: number,
            target: port.target_port.unwrap_or(IntOrString::Int(port.port)),
            is_tcp: port.protocol.is_none_or(|protocol| protocol == "TCP"),
        })
    });
    ServiceFacts {
        uid: service.metadata.uid.unwrap_or_default(),
        ports: ports.collect(),
        is_external: spec.r#type.as_deref() == Some("ExternalName"),
        is_headless: spec.cluster_ip.as_deref() == Some("None"),
        selector: spec.selector,
    }
}

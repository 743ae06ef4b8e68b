//! Services in the index: those that routes name, and our own.
//!
//! All Services of the cluster are kept, in a few hundred bytes each, because a route may name any of them the moment it
//! is made, and because an object in the place of a child must be known before it is overwritten.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use moorline_crds::names;

use super::{Index, OwnedKind, Reason, Service, Version};
use crate::store::objects;
use crate::view::{PortFacts, ServiceFacts};

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
        let (facts_changed, selection_changed, was_child_of) = match old {
            Some(old) => (
                old.facts != facts,
                old.facts.selector != facts.selector || old.facts.is_external != facts.is_external,
                old.child_of.clone(),
            ),
            None => (true, true, None),
        };
        // Somebody changed a child: what was applied is not what is there, so no digest is right for it.
        let is_touched = old.is_some_and(|old| old.facts != facts && old.child_of == child_of);
        let stored_child = match (&child_of, is_touched) {
            (Some((service, _)), true) => Some((service.clone(), None)),
            _ => child_of,
        };
        known.services.insert(name.to_owned(), Service { facts, version, child_of: stored_child.clone() });
        if selection_changed && known.tracked.contains_key(name) {
            self.mark_neighbours(namespace, name, Reason::Service);
            self.namespace(namespace).select_again(name);
            self.mark_neighbours(namespace, name, Reason::Service);
            self.ask_pods_of(namespace, name);
        }
        if facts_changed {
            self.mark_if_tracked(namespace, name, Reason::Service);
        }
        if was_child_of != stored_child || facts_changed {
            self.child_changed(namespace, name, was_child_of.as_ref(), stored_child.as_ref());
        }
    }

    /// A child that was just applied, as the API server has it: its digest is right whatever changed.
    pub(crate) fn put_applied_service(&mut self, namespace: &str, name: &str, service: objects::Service) {
        let child_of = child_of(&service.metadata);
        self.put_service(namespace, name, service);
        if let Some(known) = self.namespace(namespace).services.get_mut(name) {
            known.child_of = child_of;
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
        self.child_changed(namespace, name, old.child_of.as_ref(), None);
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

    /// A Service that is, or was, a child of another one. A Service that is neither may still have the name of a child,
    /// whose owner is then found by its routes' next look; it waits for nothing else.
    fn child_changed(
        &mut self,
        namespace: &str,
        name: &str,
        was: Option<&(String, Option<String>)>,
        is: Option<&(String, Option<String>)>,
    ) {
        let key = (OwnedKind::Service, name.to_owned());
        if let Some((owner, _)) = was
            && is.is_none_or(|(new, _)| new != owner)
        {
            self.mark_if_tracked(namespace, owner, Reason::Child);
            self.untrack(namespace, owner, |tracked| {
                tracked.children.remove(&key);
            });
        }
        if let Some((owner, _)) = is {
            self.track(namespace, owner, |tracked| {
                tracked.children.insert(key);
            });
            self.mark(namespace, owner, Reason::Child);
        }
        if was.is_none() && is.is_none() {
            self.mark_by_child_name(namespace, name);
        }
    }

    /// Something came to, or left, the name of a child.
    fn mark_by_child_name(&mut self, namespace: &str, name: &str) {
        use moorline_crds::names::Child;

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
pub(super) fn child_of(metadata: &ObjectMeta) -> Option<(String, Option<String>)> {
    let labels = metadata.labels.as_ref()?;
    if labels.get(names::MANAGED_BY_LABEL).map(String::as_str) != Some(names::MANAGED_BY) {
        return None;
    }
    let service = labels.get(names::SERVICE_LABEL)?.clone();
    let digest = metadata.annotations.as_ref().and_then(|annotations| annotations.get(DIGEST_ANNOTATION)).cloned();
    Some((service, digest))
}

/// On a child: the digest of what was applied.
pub(super) const DIGEST_ANNOTATION: &str = "moorline.dev/digest";

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

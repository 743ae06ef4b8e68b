//! The objects beside the document: the Service that clients connect to and the one by which sidecars find each other.
//!
//! Manifests as JSON rather than typed objects: what is applied is exactly what is written here, and its bytes are the
//! same in every version of the client library, so that an upgrade of the operator applies nothing that did not change.
//! Both select by the selector of the app's Service and the label of the injector: a pod without the sidecar would
//! answer a handshake with whatever the app says to it.
//!
//! Invariants: each child is labelled with its Service and owned by it; an object that is not ours is neither applied
//! nor deleted.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use moorline_crds::names::{self, Child};
use serde_json::{Map, Value, json};

use super::ChildApply;
use super::wait::{Clock, after};
use crate::view::{ChildFacts, ChildKind, ChildRef, PortFacts, ServiceFacts, ServiceView};

/// On a child: the digest of what was applied.
pub const APPLIED_ANNOTATION: &str = "moorline.dev/applied";

/// The port of `<service>-ws`, for clients inside the cluster and for what stands in front.
pub(super) const CLIENT_SERVICE_PORT: u16 = 80;
/// An object that is changed back and forth by somebody is put right no more often than this.
const QUARREL: Duration = Duration::from_mins(1);
/// How often it is seen whether a name that was taken is free.
const TAKEN: Duration = Duration::from_mins(1);

/// Whether an object with these labels is a child of the Service.
pub fn is_ours(labels: Option<&BTreeMap<String, String>>, service: &str) -> bool {
    let has = |name: &str, value: &str| labels.and_then(|labels| labels.get(name)).is_some_and(|found| found == value);
    has(names::MANAGED_BY_LABEL, names::MANAGED_BY) && has(names::SERVICE_LABEL, service)
}

/// A Service as the parent of its children.
#[derive(Debug, Clone, Copy)]
pub(super) struct Family<'a> {
    namespace: &'a str,
    name: &'a str,
    facts: &'a ServiceFacts,
}

/// Whether a child has to be applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Freshness {
    Fresh,
    Stale,
}

impl<'a> Family<'a> {
    /// `None` for a Service that does not exist.
    pub(super) fn of(view: &'a ServiceView) -> Option<Self> {
        let facts = view.service.as_ref()?;
        Some(Self { namespace: &view.id.namespace, name: &view.id.name, facts })
    }

    /// A child with nothing but its metadata.
    pub(super) fn object(&self, child: &ChildRef) -> Value {
        json!({
            "apiVersion": child.kind.api_version(),
            "kind": child.kind.as_str(),
            "metadata": {
                "name": child.name,
                "namespace": self.namespace,
                "labels": { names::MANAGED_BY_LABEL: names::MANAGED_BY, names::SERVICE_LABEL: self.name },
                // Not `controller`, which is for whoever made the object's like, and not `blockOwnerDeletion`, which
                // would take the right to change finalizers of Services.
                "ownerReferences": [
                    { "apiVersion": "v1", "kind": "Service", "name": self.name, "uid": self.facts.uid }
                ],
            },
        })
    }

    /// The name of the Service that clients connect to.
    pub(super) fn web_socket_name(&self) -> String {
        Child::WebSocket.name(self.name)
    }

    fn selector(&self) -> BTreeMap<String, String> {
        let mut selector = self.facts.selector.clone();
        selector.insert(names::INJECTED_LABEL.to_owned(), names::INJECTED.to_owned());
        selector
    }

    /// The Service that clients connect to.
    fn web_socket(&self) -> (ChildRef, Value, ServiceFacts) {
        let child = service_child(Child::WebSocket, self.name);
        let mut object = self.object(&child);
        // The target by number: older kubelets and most network policies do not see named ports of a native sidecar.
        object["spec"] = json!({
            "type": "ClusterIP",
            "selector": self.selector(),
            "ports": [{
                "name": "ws",
                "port": CLIENT_SERVICE_PORT,
                "targetPort": names::CLIENT_PORT,
                "protocol": "TCP",
                "appProtocol": "kubernetes.io/ws",
            }],
        });
        let expected = self.expected("ws", CLIENT_SERVICE_PORT, names::CLIENT_PORT, false);
        (child, object, expected)
    }

    /// The Service by which sidecars find each other. With addresses of pods that are not ready, because a draining one
    /// still holds connections.
    fn peers(&self) -> (ChildRef, Value, ServiceFacts) {
        let child = service_child(Child::Peers, self.name);
        let mut object = self.object(&child);
        object["spec"] = json!({
            "type": "ClusterIP",
            "clusterIP": "None",
            "publishNotReadyAddresses": true,
            "selector": self.selector(),
            "ports": [{
                "name": "peers",
                "port": names::PEERS_PORT,
                "targetPort": names::PEERS_PORT,
                "protocol": "TCP",
            }],
        });
        let expected = self.expected("peers", names::PEERS_PORT, names::PEERS_PORT, true);
        (child, object, expected)
    }

    fn expected(&self, name: &str, port: u16, target: u16, is_headless: bool) -> ServiceFacts {
        let target = IntOrString::Int(i32::from(target));
        let ports = vec![PortFacts { name: Some(name.to_owned()), port, target, is_tcp: true }];
        ServiceFacts { uid: String::new(), selector: self.selector(), is_external: false, is_headless, ports }
    }
}

/// The Services beside the document: applied while it has routes, deleted when it has none.
pub(super) fn plan(view: &ServiceView, has_routes: bool, clock: &mut Clock) -> (Vec<ChildApply>, Vec<ChildRef>) {
    let Some(family) = Family::of(view) else { return (Vec::new(), Vec::new()) };
    let mut apply = Vec::new();
    let mut delete = Vec::new();
    for (child, mut object, expected) in [family.web_socket(), family.peers()] {
        let facts = view.children.get(&child);
        if !has_routes {
            if matches!(facts, Some(ChildFacts::Ours { .. })) {
                delete.push(child);
            }
            continue;
        }
        // A Service that lost its selector: what is there still leads to the pods that serve its routes.
        if facts == Some(&ChildFacts::Foreign) || !super::resolve::has_pods(family.facts) {
            continue;
        }
        stamp(&mut object);
        if freshness(&object, facts, clock) == Freshness::Stale || is_altered(&expected, facts, clock) {
            apply.push(ChildApply { child, object });
        }
    }
    (apply, delete)
}

/// A child whose name an object that is not ours has, and without which no route can be served.
pub(super) fn taken(view: &ServiceView, clock: &mut Clock) -> Option<ChildRef> {
    let child =
        required(&view.id.name).into_iter().find(|child| view.children.get(child) == Some(&ChildFacts::Foreign))?;
    look_again(clock);
    Some(child)
}

/// The children that every served route needs.
pub(super) fn required(service: &str) -> [ChildRef; 3] {
    [super::document::child(service), service_child(Child::WebSocket, service), service_child(Child::Peers, service)]
}

/// A name that is taken is looked at again: foreign objects are not watched.
pub(super) fn look_again(clock: &mut Clock) {
    clock.due(after(clock.now(), TAKEN));
}

pub(super) fn service_child(child: Child, service: &str) -> ChildRef {
    ChildRef { kind: ChildKind::Service, name: child.name(service) }
}

/// Annotates an object with its own digest.
pub(super) fn stamp(object: &mut Value) {
    let digest = names::hex(object.to_string().as_bytes());
    let metadata = &mut object["metadata"];
    if !metadata["annotations"].is_object() {
        metadata["annotations"] = Value::Object(Map::new());
    }
    metadata["annotations"][APPLIED_ANNOTATION] = Value::String(digest);
}

/// Whether an object with its digest is what was applied last.
pub(super) fn freshness(object: &Value, facts: Option<&ChildFacts>, clock: &mut Clock) -> Freshness {
    let wanted = object["metadata"]["annotations"][APPLIED_ANNOTATION].as_str();
    match facts {
        Some(ChildFacts::Ours { digest: Some(digest), .. }) if wanted == Some(digest) => Freshness::Fresh,
        // The annotation is gone although it was just applied: somebody takes it away.
        Some(ChildFacts::Ours { digest: None, applied: Some(applied), .. }) if !clock.due(after(*applied, QUARREL)) => {
            Freshness::Fresh
        }
        _ => Freshness::Stale,
    }
}

/// Whether somebody changed a Service of ours, and it may be put right again.
fn is_altered(expected: &ServiceFacts, facts: Option<&ChildFacts>, clock: &mut Clock) -> bool {
    let Some(ChildFacts::Ours { found: Some(found), applied, .. }) = facts else { return false };
    let found = ServiceFacts { uid: String::new(), ..found.clone() };
    found != *expected && applied.is_none_or(|applied| clock.due(after(applied, QUARREL)))
}

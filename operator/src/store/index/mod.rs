//! What is known about the cluster, kept so that the facts of one Service are found without looking at any other.
//!
//! Plain maps and no I/O: watches put objects in, polls put reports in, and everything that concerns a Service marks it
//! as changed. Which pods a Service selects is kept both ways and updated with each change, because a view must not cost
//! a walk over the pods of the cluster. Only Services that matter ([`tracked`](Namespace::tracked)) take part in that.
//! Rejected: the stores of kube's reflectors, which hold whole objects and are read by walking over all of them.
//!
//! Invariants: a pod is in `pods` of a tracked Service exactly when that Service is in `selected_by` of the pod; a
//! Service is tracked exactly while a route names it or an object of ours belongs to it; an older version of an object
//! never replaces a newer one.

mod documents;
mod namespaces;
mod owned;
mod pods;
mod remembered;
mod reports;
mod routes;
mod services;
mod slices;
mod version;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use moorline_crds::document::{RouteId, ServiceId};
use moorline_crds::v1alpha1::WebSocketRoute;
use tokio::time::Instant;

pub(crate) use self::documents::Document;
use self::owned::{Notes, Owned};
use self::remembered::Remembered;
pub(crate) use self::reports::{Answer, Nudge, Standing};
pub(crate) use self::services::child_of;
pub(crate) use self::version::Version;
use crate::view::{ChildRef, LiveDocument, Nudged, PodFacts, RepairNote, Reported, ServiceFacts, StatusWritten};

/// Why a Service is looked at again. The first reason of several is the one that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Reason {
    /// A route of it, or of one it shares something with.
    Route,
    /// The Service itself.
    Service,
    /// Its document.
    Document,
    /// Another object of ours.
    Child,
    /// The pods behind it.
    Pods,
    /// What a sidecar said.
    Report,
    /// The labels of its namespace.
    Namespace,
    /// What the cluster can do.
    Settings,
    /// This process became the leader.
    Leader,
    /// The plan asked for it.
    Due,
    /// It failed before.
    Retry,
}

impl Reason {
    /// The value of the label.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Route => "route",
            Self::Service => "service",
            Self::Document => "document",
            Self::Child => "child",
            Self::Pods => "pods",
            Self::Report => "report",
            Self::Namespace => "namespace",
            Self::Settings => "settings",
            Self::Leader => "leader",
            Self::Due => "due",
            Self::Retry => "retry",
        }
    }
}

/// A pod by namespace and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PodKey {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// Everything that is known.
#[derive(Debug, Default)]
pub(crate) struct Index {
    namespaces: BTreeMap<String, Namespace>,
    /// Routes with `spec.expose`, by each of their hosts.
    exposed: BTreeMap<String, BTreeSet<RouteId>>,
    changed: BTreeMap<ServiceId, Reason>,
    to_ask: BTreeSet<PodKey>,
}

/// What is known about one namespace.
#[derive(Debug, Default)]
struct Namespace {
    is_enabled: bool,
    routes: BTreeMap<String, Route>,
    services: BTreeMap<String, Service>,
    slices: BTreeMap<String, Slice>,
    slices_of: BTreeMap<String, BTreeSet<String>>,
    pods: BTreeMap<String, Pod>,
    /// By the name of the ConfigMap.
    documents: BTreeMap<String, StoredDocument>,
    /// Ingresses and HTTPRoutes of ours.
    owned: BTreeMap<ChildRef, Owned>,
    tracked: BTreeMap<String, Tracked>,
    /// Pods that were deleted lately. Their endpoints go a little later, and are no pods without a sidecar until then.
    deleted: Remembered,
}

#[derive(Debug)]
struct Route {
    manifest: Arc<WebSocketRoute>,
    version: Version,
    /// A generation that was seen to appear, and when. None for what was there at the start.
    appeared: Option<(i64, Instant)>,
    written: Option<StatusWritten>,
}

#[derive(Debug)]
struct Service {
    facts: ServiceFacts,
    version: Version,
    /// The Service it is a child of, and the digest of what was applied, when it is one of ours.
    child_of: Option<(String, Option<String>)>,
}

#[derive(Debug)]
struct Slice {
    service: String,
    version: Version,
    /// Names and uids of pods that are not being deleted.
    pods: Vec<(String, String)>,
}

#[derive(Debug)]
struct Pod {
    /// Without report and nudge, which differ by Service.
    facts: PodFacts,
    labels: BTreeMap<String, String>,
    version: Version,
    restarts: i32,
    /// The uid of its controller.
    controller: String,
    /// [`moorline_crds::names::DOCUMENTS_ANNOTATION`] as it is.
    announced: String,
    selected_by: BTreeSet<String>,
    reported: Option<Reported>,
    nudged: BTreeMap<String, Nudged>,
}

#[derive(Debug)]
struct StoredDocument {
    service: String,
    version: Version,
    live: LiveDocument,
    digest: Option<String>,
    put_at: Option<Instant>,
}

/// A Service that matters.
#[derive(Debug, Default)]
struct Tracked {
    routes: BTreeSet<String>,
    /// Objects of ours that belong to it.
    children: BTreeSet<ChildRef>,
    pods: BTreeSet<String>,
    /// What we know of children beside what is watched.
    notes: BTreeMap<ChildRef, Notes>,
    /// What came of repairs, by the uid of the pod.
    repairs: BTreeMap<String, RepairNote>,
}

impl Index {
    /// Whether there is anything for [`Index::take_services`] and [`Index::take_pods`].
    pub(crate) fn pending(&self) -> (bool, bool) {
        (!self.changed.is_empty(), !self.to_ask.is_empty())
    }

    /// Services that changed since the last call.
    pub(crate) fn take_services(&mut self) -> BTreeMap<ServiceId, Reason> {
        std::mem::take(&mut self.changed)
    }

    /// Pods whose asking changed since the last call: there is one more, one less, or it should serve something else.
    pub(crate) fn take_pods(&mut self) -> BTreeSet<PodKey> {
        std::mem::take(&mut self.to_ask)
    }

    /// Marks every Service that matters.
    pub(crate) fn mark_all(&mut self, reason: Reason) {
        let all: Vec<(String, String)> = self
            .namespaces
            .iter()
            .flat_map(|(namespace, known)| known.tracked.keys().map(|name| (namespace.clone(), name.clone())))
            .collect();
        for (namespace, name) in all {
            self.mark(&namespace, &name, reason);
        }
    }

    fn mark(&mut self, namespace: &str, service: &str, reason: Reason) {
        let id = ServiceId { namespace: namespace.to_owned(), name: service.to_owned() };
        self.changed.entry(id).and_modify(|known| *known = reason.min(*known)).or_insert(reason);
    }

    fn ask(&mut self, namespace: &str, pod: &str) {
        self.to_ask.insert(PodKey { namespace: namespace.to_owned(), name: pod.to_owned() });
    }

    fn namespace(&mut self, name: &str) -> &mut Namespace {
        // Not `entry`: that would copy the name for each of thousands of events to find what is there.
        if !self.namespaces.contains_key(name) {
            self.namespaces.insert(name.to_owned(), Namespace::default());
        }
        self.namespaces.entry(name.to_owned()).or_default()
    }

    /// Starts to care for a Service: finds the pods it selects.
    fn track(&mut self, namespace: &str, service: &str, add: impl FnOnce(&mut Tracked)) {
        let known = self.namespace(namespace);
        if let Some(tracked) = known.tracked.get_mut(service) {
            add(tracked);
            return;
        }
        let mut tracked = Tracked::default();
        add(&mut tracked);
        known.tracked.insert(service.to_owned(), tracked);
        known.select_again(service);
        self.ask_pods_of(namespace, service);
    }

    /// Stops caring for a Service when nothing is left to care for. It is looked at once more before.
    fn untrack(&mut self, namespace: &str, service: &str, remove: impl FnOnce(&mut Tracked)) {
        let Some(known) = self.namespaces.get_mut(namespace) else { return };
        let Some(tracked) = known.tracked.get_mut(service) else { return };
        remove(tracked);
        if tracked.routes.is_empty() && tracked.children.is_empty() {
            let Some(tracked) = known.tracked.remove(service) else { return };
            for pod in tracked.pods {
                if let Some(pod) = known.pods.get_mut(&pod) {
                    pod.selected_by.remove(service);
                }
            }
        }
    }

    fn ask_pods_of(&mut self, namespace: &str, service: &str) {
        let Some(tracked) = self.namespaces.get(namespace).and_then(|known| known.tracked.get(service)) else { return };
        let keys: Vec<PodKey> =
            tracked.pods.iter().map(|name| PodKey { namespace: namespace.to_owned(), name: name.clone() }).collect();
        self.to_ask.extend(keys);
    }

    /// Marks the Services that share pods with this one.
    fn mark_neighbours(&mut self, namespace: &str, service: &str, reason: Reason) {
        let Some(known) = self.namespaces.get(namespace) else { return };
        for neighbour in known.neighbours(service) {
            self.mark(namespace, &neighbour, reason);
        }
    }
}

impl Namespace {
    /// Finds again which pods a tracked Service selects.
    fn select_again(&mut self, service: &str) {
        let Some(tracked) = self.tracked.get_mut(service) else { return };
        for pod in std::mem::take(&mut tracked.pods) {
            if let Some(pod) = self.pods.get_mut(&pod) {
                pod.selected_by.remove(service);
            }
        }
        let Some(facts) = self.services.get(service).map(|service| &service.facts) else { return };
        for (name, pod) in &mut self.pods {
            if selects(facts, &pod.labels) {
                pod.selected_by.insert(service.to_owned());
                tracked.pods.insert(name.clone());
            }
        }
    }

    /// Other tracked Services that share pods with this one.
    fn neighbours(&self, service: &str) -> BTreeSet<String> {
        let pods = self.tracked.get(service).into_iter().flat_map(|tracked| &tracked.pods);
        let mut found: BTreeSet<String> =
            pods.filter_map(|pod| self.pods.get(pod)).flat_map(|pod| pod.selected_by.iter().cloned()).collect();
        // Pods of both may still come where one selector is part of the other.
        if let Some(facts) = self.services.get(service).map(|service| &service.facts) {
            let nested = self.tracked.keys().filter(|other| {
                let other = self.services.get(*other).map(|other| &other.facts);
                other.is_some_and(|other| is_part_of(facts, other) || is_part_of(other, facts))
            });
            found.extend(nested.cloned());
        }
        found.remove(service);
        found
    }
}

/// Whether every pod of `wide` is one of `narrow` too, whatever pods there are.
fn is_part_of(narrow: &ServiceFacts, wide: &ServiceFacts) -> bool {
    selects(narrow, &wide.selector)
}

/// Whether a Service selects a pod with these labels. One without a selector selects none.
fn selects(service: &ServiceFacts, labels: &BTreeMap<String, String>) -> bool {
    !service.is_external && crate::plan::selects(&service.selector, labels)
}

#[cfg(test)]
mod tests;

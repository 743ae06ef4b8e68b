//! What is known about one Service: all that the plan for it depends on.
//!
//! Trimmed to what is read, because the operator holds it for every Service of a cluster at once. Time is a field, not
//! a call, so that a plan can be tested and repeated. What the operator itself did lately (nudges, repairs, writes of a
//! status) is part of the world as well: a plan that had to remember it could not be pure.
//!
//! Invariant: the order of routes, pods, ports and neighbours means nothing.

mod children;
mod pods;
mod report;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use moorline_crds::document::{Document, ServiceId};
use moorline_crds::pattern::HostPattern;
use moorline_crds::v1alpha1::WebSocketRoute;

pub use children::{ChildFacts, ChildKind, ChildRef};
pub use pods::{BarePod, Nudged, PodFacts, RepairNote, Reported};
pub use report::{Refused, Report, ReportedRoute, ReportedService};

/// One Service with everything that concerns it.
#[derive(Debug, Clone)]
pub struct ServiceView {
    /// When the view was made.
    pub now: Timestamp,
    /// Which Service; a route may name one that does not exist.
    pub id: ServiceId,
    /// The Service, when it exists.
    pub service: Option<ServiceFacts>,
    /// Every route that names it.
    pub routes: Vec<Arc<WebSocketRoute>>,
    /// Services of the same namespace that share pods with this one, see `plan::shares_pods`. A sidecar serves them
    /// together, so they must not have the same host and path.
    pub neighbours: Vec<Neighbour>,
    /// Routes of other Services, of any namespace, that are exposed on a hostname of these.
    pub exposed_neighbours: Vec<Arc<WebSocketRoute>>,
    /// The document that is stored. `None` when there is no ConfigMap, or one that is not ours.
    pub live: Option<LiveDocument>,
    /// What has the names of the Service's children, and every other object that is labelled as one of them.
    pub children: BTreeMap<ChildRef, ChildFacts>,
    /// What the API server said last against applying a child; gone when it was applied.
    pub apply_errors: BTreeMap<ChildRef, String>,
    /// When the status of each route (by its name) was written last by this process.
    pub written: BTreeMap<String, StatusWritten>,
    /// Whether the namespace is opted in.
    pub namespace_enabled: bool,
    /// Pods that the Service selects and that carry the sidecar. Finished ones (`Succeeded`, `Failed`) are left out.
    pub pods: Vec<PodFacts>,
    /// Pods behind the Service, as its `EndpointSlices` tell, that do not, and are not being deleted.
    pub bare_pods: Vec<BarePod>,
    /// What the admin set.
    pub settings: Arc<Settings>,
}

/// A Service that routes name.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceFacts {
    /// For owner references.
    pub uid: String,
    /// Empty when it selects nothing.
    pub selector: BTreeMap<String, String>,
    /// Whether it is an `ExternalName`.
    pub is_external: bool,
    /// Whether it has no address of its own.
    pub is_headless: bool,
    /// Its ports.
    pub ports: Vec<PortFacts>,
}

/// A port of a Service.
#[derive(Debug, Clone, PartialEq)]
pub struct PortFacts {
    /// Its name.
    pub name: Option<String>,
    /// Its number.
    pub port: u16,
    /// Where it leads to in a pod; a number, or the name of a port of the pod.
    pub target: IntOrString,
    /// Whether it is TCP.
    pub is_tcp: bool,
}

/// Another Service whose documents the same sidecars serve.
#[derive(Debug, Clone)]
pub struct Neighbour {
    /// Which one.
    pub id: ServiceId,
    /// Its routes.
    pub routes: Vec<Arc<WebSocketRoute>>,
    /// Its document: what it goes on serving when a route of it is refused.
    pub live: Option<LiveDocument>,
}

/// The document in the ConfigMap of a Service.
#[derive(Debug, Clone)]
pub struct LiveDocument {
    /// The document; `None` when what is stored cannot be read.
    pub document: Option<Arc<Document>>,
    /// The hash of the document, as computed from it; empty when it cannot be read.
    pub hash: String,
}

/// A write of a route's status by this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusWritten {
    /// When.
    pub at: Timestamp,
    /// `plan::StatusWrite::is_churn` of it.
    pub is_churn: bool,
}

/// What the admin of the cluster set.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The version of the sidecar that is injected.
    pub sidecar_version: String,
    /// Whether workloads may be restarted and pods evicted at all.
    pub rollout_allowed: bool,
    /// Hosts that `spec.expose` may use; empty when it is off.
    pub expose_hosts: Vec<HostPattern>,
    /// Whether the cluster has Ingresses.
    pub has_ingress: bool,
    /// Whether the cluster has `HTTPRoutes`.
    pub has_http_route: bool,
}

//! What is known about one Service: all that the plan for it depends on.
//!
//! Trimmed to what is read, because the operator holds it for every Service of a cluster at once. Time is a field, not
//! a call, so that a plan can be tested and repeated.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use moorline_crds::document::{Document, ServiceId};
use moorline_crds::names::Child;
use moorline_crds::v1alpha1::WebSocketRoute;
use serde::Deserialize;

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
    /// Routes of other Services that must not have the same host and path: the Services share pods.
    pub neighbours: Vec<Arc<WebSocketRoute>>,
    /// Routes of other Services that are exposed on a hostname of these.
    pub exposed_neighbours: Vec<Arc<WebSocketRoute>>,
    /// The document that is stored.
    pub live: Option<LiveDocument>,
    /// What has the names of the Service's children.
    pub children: BTreeMap<Child, ChildFacts>,
    /// Whether the namespace is opted in.
    pub namespace_enabled: bool,
    /// Pods that the Service selects and that carry the sidecar.
    pub pods: Vec<PodFacts>,
    /// Names of pods behind the Service, as its `EndpointSlices` tell, that do not, and are not being deleted.
    pub bare_pods: Vec<String>,
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

/// The document in the ConfigMap of a Service.
#[derive(Debug, Clone)]
pub struct LiveDocument {
    /// The document; `None` when what is stored cannot be read.
    pub document: Option<Arc<Document>>,
    /// The hash of the document, as computed from it.
    pub hash: String,
}

/// What has the name of a child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChildFacts {
    /// One that we made for this Service. `digest` is what the apply annotated: equal means nothing to apply.
    Ours {
        /// The digest of what was applied.
        digest: Option<String>,
    },
    /// Something else.
    Foreign,
}

/// A pod with the sidecar.
#[derive(Debug, Clone)]
pub struct PodFacts {
    /// Its name, in the namespace of the Service.
    pub name: String,
    /// Tells it from an earlier pod of this name.
    pub uid: String,
    /// Its address, once it has one.
    pub ip: Option<String>,
    /// Whether it is being deleted.
    pub is_terminating: bool,
    /// Whether the sidecar has started.
    pub is_started: bool,
    /// Whether the pod is ready.
    pub is_ready: bool,
    /// The version of its sidecar.
    pub sidecar_version: String,
    /// The Services whose documents are mounted.
    pub services: Vec<String>,
    /// Annotations of ours, without the prefix.
    pub annotations: BTreeMap<String, String>,
    /// What the sidecar said last, and when.
    pub report: Option<Reported>,
    /// The last nudge for this Service.
    pub nudged: Option<Nudged>,
}

/// What came of asking a sidecar.
#[derive(Debug, Clone)]
pub struct Reported {
    /// When it was asked.
    pub at: Timestamp,
    /// What it said; `None` when it could not be reached.
    pub report: Option<Arc<Report>>,
    /// How often in a row it could not be reached.
    pub failures: u32,
}

/// A nudge of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nudged {
    /// The hash it announced.
    pub hash: String,
    /// How often that hash was announced.
    pub attempts: u32,
    /// When last.
    pub at: Timestamp,
}

/// What a sidecar answers to `GET /config` on its admin port. Unknown fields are ignored: sidecars may be newer.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The sidecar's version.
    pub version: String,
    /// The formats of documents that it reads.
    #[serde(default)]
    pub formats: Vec<u32>,
    /// Whether it drains.
    #[serde(default)]
    pub draining: bool,
    /// Open connections.
    #[serde(default)]
    pub connections: u64,
    /// The Services it knows documents of.
    #[serde(default)]
    pub services: Vec<ReportedService>,
}

/// One Service in a [`Report`].
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReportedService {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// The hash of the document it serves; none before the first.
    #[serde(default)]
    pub hash: Option<String>,
    /// The routes it serves.
    #[serde(default)]
    pub routes: Vec<ReportedRoute>,
    /// Why it does not serve the newest document.
    #[serde(default)]
    pub refused: Option<Refused>,
}

/// One route in a [`Report`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ReportedRoute {
    /// The name.
    pub name: String,
    /// The generation it serves.
    pub generation: i64,
}

/// Why a sidecar refuses a document.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Refused {
    /// The kind of error.
    pub reason: String,
    /// The error.
    #[serde(default)]
    pub message: String,
}

/// What the admin of the cluster set.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The version of the sidecar that is injected.
    pub sidecar_version: String,
    /// Whether workloads may be restarted and pods evicted at all.
    pub rollout_allowed: bool,
    /// Hosts that `spec.expose` may use; empty when it is off.
    pub expose_hosts: Vec<moorline_crds::pattern::HostPattern>,
    /// Whether the cluster has Ingresses.
    pub has_ingress: bool,
    /// Whether the cluster has `HTTPRoutes`.
    pub has_http_route: bool,
}

//! What is read of a workload before it is touched.
//!
//! Out of its JSON, not out of typed objects: three kinds that differ in a few fields, and a template whose hash should
//! not change because a newer client library knows a field more.

use jiff::Timestamp;
use moorline_crds::names;
use serde_json::Value;

/// A kind of workload that can be restarted by a change of its template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // the kinds of `apps/v1`
pub enum WorkloadKind {
    Deployment,
    StatefulSet,
    DaemonSet,
}

/// A workload.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkloadRef {
    /// Its kind.
    pub kind: WorkloadKind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Tells it from an earlier workload of this name.
    pub uid: String,
}

/// What a change of a workload's template does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Update {
    /// Its pods are replaced.
    Replaces,
    /// Nothing before somebody resumes the rollout.
    Paused,
    /// Nothing before somebody deletes the pods.
    OnDelete,
}

/// A workload as far as repairs depend on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkloadFacts {
    /// Which one.
    pub workload: WorkloadRef,
    /// The hash of its pod template, see [`template_hash`].
    pub template_hash: String,
    /// The template that was restarted, if one was.
    pub restarted_template: Option<String>,
    /// When.
    pub restarted_at: Option<Timestamp>,
    /// What a change of its template does.
    pub update: Update,
    /// Whether all of its pods are of its current template.
    pub is_rolled_out: bool,
    /// Whether none of them is missing for its users.
    pub is_available: bool,
    /// Whether pods of it serve the Service: then its template needs no restart to be injected.
    pub has_served_pods: bool,
}

impl WorkloadKind {
    /// As in manifests.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::DaemonSet => "DaemonSet",
        }
    }

    /// The kind of an owner reference; `None` for what cannot be restarted.
    pub fn of(api_version: &str, kind: &str) -> Option<Self> {
        if api_version.split('/').next() != Some("apps") {
            return None;
        }
        [Self::Deployment, Self::StatefulSet, Self::DaemonSet].into_iter().find(|known| known.as_str() == kind)
    }
}

impl WorkloadRef {
    /// As kubectl takes it: `deployment/orders`.
    pub fn resource(&self) -> String {
        format!("{}/{}", self.kind.as_str().to_lowercase(), self.name)
    }
}

impl WorkloadFacts {
    /// Reads a workload from its JSON; `None` when it is not one.
    pub fn read(kind: WorkloadKind, manifest: &Value, has_served_pods: bool) -> Option<Self> {
        let text = |pointer: &str| manifest.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let template = manifest.pointer("/spec/template")?;
        let workload = WorkloadRef {
            kind,
            namespace: text("/metadata/namespace")?,
            name: text("/metadata/name")?,
            uid: text("/metadata/uid").unwrap_or_default(),
        };
        let annotation = |name: &str| {
            let of = |value: &Value| value.pointer("/metadata/annotations")?.get(name)?.as_str().map(str::to_owned);
            (of(manifest), of(template))
        };
        let rollout = Progress::read(kind, manifest);
        let strategy =
            if kind == WorkloadKind::Deployment { "/spec/strategy/type" } else { "/spec/updateStrategy/type" };
        Some(Self {
            workload,
            template_hash: template_hash(template),
            restarted_template: annotation(names::RESTARTED_TEMPLATE_ANNOTATION).0,
            restarted_at: annotation(names::RESTARTED_AT_ANNOTATION).1.and_then(|at| at.parse().ok()),
            update: if manifest.pointer("/spec/paused").and_then(Value::as_bool) == Some(true) {
                Update::Paused
            } else if text(strategy).as_deref() == Some("OnDelete") {
                Update::OnDelete
            } else {
                Update::Replaces
            },
            is_rolled_out: rollout.is_rolled_out(),
            is_available: rollout.available >= rollout.wanted,
            has_served_pods,
        })
    }
}

/// The hash of a pod template without the annotation by which we restart it: a template that we restarted is the same
/// template. One that somebody else restarted is a new one.
pub fn template_hash(template: &Value) -> String {
    let mut template = template.clone();
    if let Some(metadata) = template.get_mut("metadata").and_then(Value::as_object_mut) {
        let is_empty = metadata.get_mut("annotations").and_then(Value::as_object_mut).is_some_and(|annotations| {
            annotations.remove(names::RESTARTED_AT_ANNOTATION);
            annotations.is_empty()
        });
        if is_empty {
            metadata.remove("annotations");
        }
    }
    let mut digest = names::hex(template.to_string().as_bytes());
    digest.truncate(16);
    digest
}

/// How far a rollout is.
#[derive(Debug)]
struct Progress {
    is_observed: bool,
    wanted: i64,
    updated: i64,
    existing: i64,
    available: i64,
}

impl Progress {
    fn read(kind: WorkloadKind, manifest: &Value) -> Self {
        let number = |pointer: &str| manifest.pointer(pointer).and_then(Value::as_i64);
        let status = |field: &str| number(&format!("/status/{field}")).unwrap_or(0);
        let is_observed = status("observedGeneration") >= number("/metadata/generation").unwrap_or(0);
        let replicas = || number("/spec/replicas").unwrap_or(1);
        let (wanted, updated, existing, available) = match kind {
            WorkloadKind::Deployment => {
                (replicas(), status("updatedReplicas"), status("replicas"), status("availableReplicas"))
            }
            WorkloadKind::StatefulSet => {
                (replicas(), status("updatedReplicas"), status("replicas"), status("readyReplicas"))
            }
            WorkloadKind::DaemonSet => (
                status("desiredNumberScheduled"),
                status("updatedNumberScheduled"),
                status("currentNumberScheduled"),
                status("numberAvailable"),
            ),
        };
        Self { is_observed, wanted, updated, existing, available }
    }

    /// Pods that do not get ready hold nothing up: that they are bare may be why.
    fn is_rolled_out(&self) -> bool {
        self.is_observed && self.updated >= self.wanted && self.existing <= self.wanted
    }
}

//! The pods behind a Service, with the sidecar and without it.
//!
//! A pod with the sidecar is watched, since it is labelled; one without is known by its name only, from the
//! EndpointSlice. Watching every pod of the cluster for the sake of those few would cost the memory of a cache of all.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::report::Report;

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
    /// When it was created.
    pub created: Option<Timestamp>,
    /// The version of its sidecar.
    pub sidecar_version: String,
    /// The Services whose documents are mounted.
    pub services: Vec<String>,
    /// Annotations of ours, without the prefix.
    pub annotations: BTreeMap<String, String>,
    /// Whether the Event about them was published: one of `plan::ServicePlan::events` that is on this pod.
    pub is_advised: bool,
    /// What came of asking the sidecar; `None` before the first time, and again after its container was restarted.
    pub report: Option<Reported>,
    /// The last nudge for this Service.
    pub nudged: Option<Nudged>,
    /// What came of the last attempt to give it the source of this Service.
    pub repair: Option<RepairNote>,
}

/// A pod without the sidecar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BarePod {
    /// Its name, in the namespace of the Service.
    pub name: String,
    /// Tells it from an earlier pod of this name; empty when unknown.
    pub uid: String,
    /// What came of the last attempt to give it the sidecar.
    pub repair: Option<RepairNote>,
}

/// What came of asking a sidecar.
#[derive(Debug, Clone)]
pub struct Reported {
    /// When it was asked last.
    pub at: Timestamp,
    /// What it said last; kept while it cannot be reached, `None` when it never answered.
    pub report: Option<Arc<Report>>,
    /// How often in a row it could not be reached since.
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

/// What came of a repair: `plan::RepairDecision::note`, kept by the shell for the pod that the repair named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepairNote {
    /// When to try again.
    pub again: Timestamp,
    /// Whether a person has to act.
    pub needs_hand: bool,
    /// What goes on, as a sentence for the condition.
    pub message: String,
}

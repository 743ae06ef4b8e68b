//! Annotations of pods that do nothing, or not what was meant.
//!
//! Told on the pod when it is new: its author sees no warning of the webhook, since a controller made the pod. Not told
//! of pods that are older than the operator's memory, which would hear it again after every restart.

use std::collections::BTreeMap;
use std::time::Duration;

use moorline_crds::names;
use moorline_inject::annotation_warnings;

use super::wait::after;
use super::words::cut;
use super::{PlannedEvent, Regarding};
use crate::reasons::event;
use crate::view::{PodFacts, ServiceView};

/// How old a pod may be.
const NEW: Duration = Duration::from_mins(5);

/// The Events to publish now.
pub(super) fn plan(view: &ServiceView) -> Vec<PlannedEvent> {
    let is_new = |pod: &&PodFacts| pod.created.is_some_and(|created| after(created, NEW) > view.now);
    let mut pods: Vec<&PodFacts> =
        view.pods.iter().filter(|pod| !pod.is_advised && !pod.is_terminating).filter(is_new).collect();
    pods.sort_by(|a, b| (&a.name, &a.uid).cmp(&(&b.name, &b.uid)));
    pods.into_iter().filter_map(advice).collect()
}

fn advice(pod: &PodFacts) -> Option<PlannedEvent> {
    let full = |(name, value): (&String, &String)| (format!("{}{name}", names::PREFIX), value.clone());
    let annotations: BTreeMap<String, String> = pod.annotations.iter().map(full).collect();
    let warnings = annotation_warnings(&annotations);
    (!warnings.is_empty()).then(|| PlannedEvent {
        reason: event::UNKNOWN_ANNOTATION,
        message: cut(warnings.join("; ")),
        is_warning: true,
        on: Regarding::Pod { name: pod.name.clone(), uid: pod.uid.clone() },
    })
}

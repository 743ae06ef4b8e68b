//! What is done about a pod that lacks the sidecar or a document, once it is known what it belongs to.
//!
//! The least that helps: nothing while a rollout is under way; a restart when no pod of the workload was injected yet,
//! once per template; otherwise one pod at a time through the Eviction API, which a budget of the user can refuse. When
//! the replacement is as bare as what it replaced, the webhook does not answer, and more evictions would only hurt: the
//! pauses grow. Where the operator may not act it says what to run.

use std::time::Duration;

use jiff::Timestamp;
use moorline_crds::document::ServiceId;
use moorline_crds::names;
use serde_json::{Value, json};

use super::workload::{Update, WorkloadFacts};
use super::{Lack, Repair, RepairMode};
use crate::plan::wait::after;
use crate::plan::words::cut;
use crate::plan::{PlannedEvent, Regarding};
use crate::reasons::event;
use crate::view::RepairNote;

/// The time between two restarts of a workload.
const BETWEEN_RESTARTS: Duration = Duration::from_mins(10);
/// The time between two evictions of pods of a workload.
const BETWEEN_EVICTIONS: Duration = Duration::from_secs(30);
/// The first pause after an eviction that did not help, and the longest.
const IN_VAIN: (Duration, Duration) = (Duration::from_mins(1), Duration::from_mins(10));
/// Evictions further apart have nothing to do with each other.
const SERIES: Duration = Duration::from_mins(20);
/// How long something that waits is left alone.
const LATER: Duration = Duration::from_secs(30);
/// The same, when a person has to act: their pods are new pods, and do not wait for it.
const BY_HAND: Duration = Duration::from_mins(2);

/// What a pod belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// A workload that can be restarted.
    Workload(WorkloadFacts),
    /// Something else.
    Other {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
    },
    /// Nothing.
    Nobody,
}

/// What the injector would make of the next pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Injection {
    /// It gets the sidecar, with the source of the Service.
    Succeeds,
    /// Its label says that it wants none.
    OptedOut,
    /// It does not get one.
    Skipped {
        /// The kind of reason, as `PortTaken`.
        reason: String,
        /// The reason.
        message: String,
    },
}

/// What was done before for the workload; for a pod that has none, for the pod.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RepairHistory {
    restarted: Option<Timestamp>,
    first_evicted: Option<Timestamp>,
    evicted: Option<Timestamp>,
    told: Option<String>,
}

/// A pod to repair, with everything that is known about it.
#[derive(Debug, Clone, Copy)]
pub struct RepairCase<'a> {
    /// When.
    pub now: Timestamp,
    /// The Service.
    pub service: &'a ServiceId,
    /// What the plan wants.
    pub repair: &'a Repair,
    /// When the pod was created.
    pub pod_created: Option<Timestamp>,
    /// What it belongs to.
    pub owner: &'a Owner,
    /// What would become of its next pod.
    pub injection: &'a Injection,
    /// What was done before.
    pub history: &'a RepairHistory,
}

/// What to do. Each carries the note for the view of the pod, which keeps the next plans from asking again.
#[derive(Debug, Clone, PartialEq)]
pub enum RepairDecision {
    /// Patch the workload with [`restart_patch`], then publish the Event.
    Restart {
        /// For the patch.
        template_hash: String,
        /// What to tell.
        event: PlannedEvent,
        /// For the view.
        note: RepairNote,
    },
    /// Evict the pod, then publish the Event.
    Evict {
        /// Its name.
        pod: String,
        /// What to tell.
        event: PlannedEvent,
        /// For the view.
        note: RepairNote,
    },
    /// Publish an Event; nothing else can be done.
    Event {
        /// What to tell.
        event: PlannedEvent,
        /// For the view.
        note: RepairNote,
    },
    /// Nothing now.
    Wait {
        /// For the view.
        note: RepairNote,
    },
}

impl RepairDecision {
    /// The note for the view of the pod.
    pub fn note(&self) -> &RepairNote {
        match self {
            Self::Restart { note, .. } | Self::Evict { note, .. } | Self::Event { note, .. } | Self::Wait { note } => {
                note
            }
        }
    }
}

impl RepairHistory {
    /// Remembers a decision that was carried out.
    pub fn remember(&mut self, decision: &RepairDecision, now: Timestamp) {
        match decision {
            RepairDecision::Restart { .. } => {
                *self = Self { restarted: Some(now), ..Self::default() };
            }
            RepairDecision::Evict { .. } => {
                if self.evicted.is_none_or(|evicted| after(evicted, SERIES) <= now) {
                    self.first_evicted = Some(now);
                }
                self.evicted = Some(now);
                self.told = None;
            }
            RepairDecision::Event { event, .. } => self.told = Some(event.message.clone()),
            RepairDecision::Wait { .. } => {}
        }
    }
}

/// The merge patch that restarts a workload as `kubectl rollout restart` does, and remembers for which template.
pub fn restart_patch(template_hash: &str, now: Timestamp) -> Value {
    json!({
        "metadata": { "annotations": { names::RESTARTED_TEMPLATE_ANNOTATION: template_hash } },
        "spec": { "template": { "metadata": { "annotations": { names::RESTARTED_AT_ANNOTATION: now.to_string() } } } },
    })
}

/// Decides about one pod.
pub fn decide_repair(case: &RepairCase<'_>) -> RepairDecision {
    if let Some(decision) = cannot_be_injected(case).or_else(|| by_hand(case)) {
        return decision;
    }
    let Owner::Workload(facts) = case.owner else {
        // `by_hand` has answered for every other owner.
        return wait(after(case.now, LATER), "waiting".to_owned());
    };
    let resource = facts.workload.resource();
    if !facts.is_rolled_out {
        return wait(after(case.now, LATER), format!("{resource} is being rolled out"));
    }
    if facts.has_served_pods || facts.restarted_template.as_deref() == Some(facts.template_hash.as_str()) {
        return evict(case, facts);
    }
    let last = facts.restarted_at.max(case.history.restarted);
    if let Some(again) = last.map(|last| after(last, BETWEEN_RESTARTS)).filter(|again| *again > case.now) {
        return wait(again, format!("{resource} was restarted lately; the operator tries again at {}", clock(again)));
    }
    let note = note(after(case.now, LATER), format!("the operator restarts {resource}"));
    let lack = match case.repair.lack {
        Lack::Sidecar => "have no sidecar",
        Lack::Source => "do not mount its document",
    };
    let message = format!("restarted for Service {}, because its pods {lack}", case.service);
    let event = tell(event::RESTARTED_WORKLOAD, false, message, Regarding::Workload(facts.workload.clone()));
    RepairDecision::Restart { template_hash: facts.template_hash.clone(), event, note }
}

fn cannot_be_injected(case: &RepairCase<'_>) -> Option<RepairDecision> {
    match case.injection {
        Injection::Succeeds => None,
        Injection::OptedOut => {
            let message = format!("{} opts out with {}: {}", case.repair.pod, names::INJECT_LABEL, names::DISABLED);
            Some(wait(after(case.now, BETWEEN_RESTARTS), message))
        }
        Injection::Skipped { reason, message } => {
            let note = note(after(case.now, BY_HAND), format!("it cannot have one: {reason}: {message}"));
            let message = format!("no sidecar: {reason}: {message}");
            Some(event_once(case, event::POD_NOT_INJECTED, message, note))
        }
    }
}

/// What only a person may do.
fn by_hand(case: &RepairCase<'_>) -> Option<RepairDecision> {
    let namespace = &case.service.namespace;
    let pod = &case.repair.pod;
    let delete = format!("kubectl -n {namespace} delete pod {pod}");
    let message = match case.owner {
        Owner::Nobody => format!("{pod} belongs to no workload, so nothing would replace it; create it again"),
        Owner::Other { kind, name } => {
            format!("{pod} belongs to {kind} {name}, which the operator does not restart; restart it, or run: {delete}")
        }
        Owner::Workload(facts) => {
            let resource = facts.workload.resource();
            let restart = format!("kubectl -n {namespace} rollout restart {resource}");
            match (facts.update, case.repair.mode) {
                (Update::OnDelete, _) => {
                    format!("{resource} replaces pods only when they are deleted (OnDelete); run, pod by pod: {delete}")
                }
                (Update::Paused, _) => {
                    format!("{resource} is paused; run: kubectl -n {namespace} rollout resume {resource} && {restart}")
                }
                (Update::Replaces, RepairMode::Manual) => format!("spec.rollout is Manual; run: {restart}"),
                (Update::Replaces, RepairMode::Vetoed) => {
                    format!("the admin has switched restarts off for the operator; run: {restart}")
                }
                (Update::Replaces, RepairMode::Automatic) => return None,
            }
        }
    };
    let note = RepairNote { again: after(case.now, BY_HAND), needs_hand: true, message: message.clone() };
    let what = match case.repair.lack {
        Lack::Sidecar => "pods have no sidecar",
        Lack::Source => "pods do not mount the document",
    };
    let message = format!("{what} for Service {}: {message}", case.service);
    Some(event_once(case, event::RESTART_NEEDED, message, note))
}

fn evict(case: &RepairCase<'_>, facts: &WorkloadFacts) -> RepairDecision {
    let resource = facts.workload.resource();
    let pod = &case.repair.pod;
    if let (Some(first), Some(last)) = (case.history.first_evicted, case.history.evicted) {
        let is_in_vain = after(last, SERIES) > case.now && case.pod_created.is_some_and(|created| created > first);
        if is_in_vain {
            let series = Duration::try_from(last.duration_since(first)).unwrap_or_default();
            let again = after(last, (IN_VAIN.0 + series * 2).min(IN_VAIN.1));
            if again > case.now {
                let message = "it came up bare in place of one that was evicted for that: the webhook did not answer, \
                               see the log of the operator";
                let note = note(again, format!("{pod}: {message}; the operator tries again at {}", clock(again)));
                return event_once(case, event::POD_NOT_INJECTED, format!("no sidecar: {message}"), note);
            }
        }
        let again = after(last, BETWEEN_EVICTIONS);
        if again > case.now {
            return wait(again, format!("the operator evicts the pods of {resource} one after the other"));
        }
    }
    // A budget would say so too, where there is one.
    if !facts.is_available {
        return wait(
            after(case.now, LATER),
            format!("the operator evicts no pod of {resource} while others are not ready"),
        );
    }
    let note = note(after(case.now, LATER), format!("the operator evicts {pod}"));
    let message = format!("evicted {pod}, so that its replacement gets what it lacks for Service {}", case.service);
    let event = tell(event::EVICTED_POD, false, message, Regarding::Workload(facts.workload.clone()));
    RepairDecision::Evict { pod: pod.clone(), event, note }
}

/// An Event, unless it is what was told last.
fn event_once(case: &RepairCase<'_>, reason: &'static str, message: String, note: RepairNote) -> RepairDecision {
    let on = match case.owner {
        Owner::Workload(facts) => Regarding::Workload(facts.workload.clone()),
        Owner::Other { .. } | Owner::Nobody => {
            Regarding::Pod { name: case.repair.pod.clone(), uid: case.repair.uid.clone() }
        }
    };
    let event = tell(reason, true, message, on);
    if case.history.told.as_deref() == Some(event.message.as_str()) {
        return RepairDecision::Wait { note };
    }
    RepairDecision::Event { event, note }
}

fn tell(reason: &'static str, is_warning: bool, message: String, on: Regarding) -> PlannedEvent {
    PlannedEvent { reason, message: cut(message), is_warning, on }
}

fn wait(again: Timestamp, message: String) -> RepairDecision {
    RepairDecision::Wait { note: note(again, message) }
}

fn note(again: Timestamp, message: String) -> RepairNote {
    RepairNote { again, needs_hand: false, message }
}

/// A time as people read it in a message.
fn clock(at: Timestamp) -> String {
    at.strftime("%H:%M UTC").to_string()
}

//! Events: told when something turns, and not while it stays.
//!
//! They are made of the difference between a status and the next one and travel with its write, so that an Event is
//! published once, and only for what was written.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use moorline_crds::document::RouteId;

use super::conditions::{ACCEPTED, PROGRAMMED, RESOLVED_REFS};
use super::status::{Facts, find};
use super::words::cut;
use super::{PlannedEvent, Regarding, StatusWrite};
use crate::reasons::{event, programmed};

/// Pods that get an Event when a document is refused; the condition counts the others.
const REFUSING: usize = 3;

/// What turned for a route.
pub(super) fn of_route(id: &RouteId, uid: &str, before: &[Condition], after: &[Condition]) -> Vec<PlannedEvent> {
    let tell = |reason: &'static str, is_warning: bool, message: String| PlannedEvent {
        reason,
        message: cut(message),
        is_warning,
        on: Regarding::Route { id: id.clone(), uid: uid.to_owned() },
    };
    let mut events = Vec::new();
    for type_ in [ACCEPTED, RESOLVED_REFS, PROGRAMMED] {
        let Some(now) = find(after, type_) else { continue };
        let known = find(before, type_);
        let is_new = known
            .is_none_or(|known| known.status != now.status || known.observed_generation != now.observed_generation);
        let is_turned = is_new || known.is_some_and(|known| known.reason != now.reason);
        let generation = now.observed_generation.unwrap_or_default();
        match (type_, now.status.as_str()) {
            (ACCEPTED, "True") if is_new => {
                events.push(tell(event::ACCEPTED, false, format!("generation {generation}: {}", now.message)));
            }
            (PROGRAMMED, "True") if is_new => events.push(tell(event::PROGRAMMED, false, now.message.clone())),
            (ACCEPTED | RESOLVED_REFS, "False") if is_turned => {
                events.push(tell(event::REJECTED, true, format!("generation {generation}: {}", now.message)));
            }
            _ => {}
        }
    }
    events
}

/// What turned for pods: told once, with the first route whose condition says so.
pub(super) fn of_pods(facts: &Facts<'_, '_, '_>, writes: &mut [StatusWrite]) {
    let is_refused = |conditions: &[Condition]| {
        find(conditions, PROGRAMMED).is_some_and(|found| found.reason == programmed::DOCUMENT_REFUSED)
    };
    let was_refused =
        facts.fitted.placed.iter().any(|placed| {
            placed.candidate.manifest.status.as_ref().is_some_and(|status| is_refused(&status.conditions))
        });
    if was_refused {
        return;
    }
    let Some(write) = writes.iter_mut().find(|write| is_refused(&write.status.conditions)) else { return };
    for (pod, refused) in facts.sidecars.refusing.iter().take(REFUSING) {
        write.events.push(PlannedEvent {
            reason: event::SIDECAR_REFUSED_DOCUMENT,
            message: cut(format!("the document of Service {}: {}: {}", facts.view.id, refused.reason, refused.message)),
            is_warning: true,
            on: Regarding::Pod { name: pod.name.clone(), uid: pod.uid.clone() },
        });
    }
}

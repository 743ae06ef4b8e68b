//! The status of each route, and whether it has to be written.
//!
//! A write costs the API server a commit and every watcher an event, so one that says nothing new is not made, and pods
//! that come and go are worth one write in two seconds. A change that the user made is written at once, and so is the
//! first word that all sidecars serve it: that is what people wait for.
//!
//! Nothing is said of sidecars that were not asked yet. After a restart the operator knows none of their answers, and
//! would otherwise tell every route of the cluster that it is served nowhere, and a second later that it is.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{Timestamp, TimestampRound, Unit};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use moorline_crds::document::RouteId;
use moorline_crds::names::Child;
use moorline_crds::v1alpha1::{SidecarCounts, WebSocketRouteStatus};

use super::StatusWrite;
use super::conditions::{self, ACCEPTED, EXPOSED, Finding, PROGRAMMED, RESOLVED_REFS, Serving};
use super::events;
use super::expose::Exposure;
use super::fit::Fitted;
use super::place::Placed;
use super::repair::RepairMode;
use super::sidecars::Sidecars;
use super::wait::{Clock, after};
use crate::view::ServiceView;

/// The time between two writes that only tell of pods.
const CHURN: Duration = Duration::from_secs(2);

/// Everything the statuses are made of.
pub(super) struct Facts<'a, 'c, 'v> {
    pub(super) view: &'a ServiceView,
    pub(super) fitted: &'a Fitted<'c, 'v>,
    pub(super) sidecars: &'a Sidecars<'a>,
    pub(super) exposures: &'a BTreeMap<RouteId, Exposure>,
    pub(super) mode: RepairMode,
}

/// The statuses to write now.
pub(super) fn plan(facts: &Facts<'_, '_, '_>, clock: &mut Clock) -> Vec<StatusWrite> {
    let mut placed: Vec<&Placed<'_, '_>> = facts.fitted.placed.iter().collect();
    placed.sort_by(|a, b| a.candidate.id.cmp(&b.candidate.id));
    let mut writes: Vec<StatusWrite> = placed.into_iter().filter_map(|placed| write(facts, placed, clock)).collect();
    events::of_pods(facts, &mut writes);
    writes
}

fn write(facts: &Facts<'_, '_, '_>, placed: &Placed<'_, '_>, clock: &mut Clock) -> Option<StatusWrite> {
    let manifest = placed.candidate.manifest;
    let none = WebSocketRouteStatus::default();
    let current = manifest.status.as_ref().unwrap_or(&none);
    let status = status(facts, placed, current, clock.now());
    if same(current, &status) {
        return None;
    }
    let is_churn = differs_only_in_pods(current, &status);
    if is_churn && !may_be_written(facts.view, placed, current, &status, clock) {
        return None;
    }
    let uid = manifest.metadata.uid.clone().unwrap_or_default();
    let events = events::of_route(&placed.candidate.id, &uid, &current.conditions, &status.conditions);
    Some(StatusWrite { route: placed.candidate.id.clone(), uid, status, is_churn, events })
}

fn status(
    facts: &Facts<'_, '_, '_>,
    placed: &Placed<'_, '_>,
    current: &WebSocketRouteStatus,
    now: Timestamp,
) -> WebSocketRouteStatus {
    let view = facts.view;
    let candidate = placed.candidate;
    let generation = candidate.manifest.metadata.generation;
    let condition = |type_: &str, finding: Finding| condition(current, type_, finding, generation, now);
    let count = facts.sidecars.serving(&candidate.id, candidate.generation(), &facts.fitted.hash, placed.is_newest);
    let serving = Serving { count, mode: facts.mode };
    let (programmed, is_reported) = conditions::programmed(view, placed, facts.sidecars, serving);
    let known = find(&current.conditions, PROGRAMMED).filter(|known| known.observed_generation == generation);
    let is_held = is_reported && facts.sidecars.has_unasked && !programmed.is_true();
    let (programmed, counts) = match known.filter(|_| is_held) {
        Some(known) => (known.clone(), current.sidecars.clone()),
        None => (condition(PROGRAMMED, programmed), view.service.as_ref().map(|_| counts(facts.sidecars, count))),
    };
    let mut conditions = vec![
        condition(ACCEPTED, conditions::accepted(placed)),
        condition(RESOLVED_REFS, conditions::resolved_refs(placed)),
        programmed,
    ];
    let exposure = facts.exposures.get(&candidate.id);
    match exposure.map(Exposure::finding) {
        Some(Some(finding)) => conditions.push(condition(EXPOSED, finding)),
        // Not there yet: what is known about an older generation stands until it is.
        Some(None) => conditions.extend(find(&current.conditions, EXPOSED).cloned()),
        None => {}
    }
    WebSocketRouteStatus {
        observed_generation: generation,
        conditions,
        sidecars: counts,
        address: address(facts, placed, exposure),
        served_generation: placed.entry.filter(|_| !placed.is_newest).map(|entry| entry.generation),
    }
}

fn address(facts: &Facts<'_, '_, '_>, placed: &Placed<'_, '_>, exposure: Option<&Exposure>) -> Option<String> {
    let entry = placed.entry?;
    if let Some(address) = exposure.and_then(Exposure::address) {
        return Some(address.to_owned());
    }
    let id = &facts.view.id;
    Some(format!("ws://{}.{}.svc{}", Child::WebSocket.name(&id.name), id.namespace, entry.path))
}

fn counts(sidecars: &Sidecars<'_>, programmed: usize) -> SidecarCounts {
    let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    SidecarCounts {
        programmed: number(programmed),
        total: number(sidecars.total),
        outdated: number(sidecars.outdated),
        summary: format!("{programmed}/{}", sidecars.total),
    }
}

fn condition(
    current: &WebSocketRouteStatus,
    type_: &str,
    finding: Finding,
    generation: Option<i64>,
    now: Timestamp,
) -> Condition {
    let truth = finding.truth.as_str();
    let since = find(&current.conditions, type_).filter(|known| known.status == truth);
    // Whole seconds, as everywhere in Kubernetes.
    let second = TimestampRound::new().smallest(Unit::Second).mode(jiff::RoundMode::Trunc);
    Condition {
        type_: type_.to_owned(),
        status: truth.to_owned(),
        reason: finding.reason.to_owned(),
        message: finding.message,
        observed_generation: generation,
        last_transition_time: since
            .map_or_else(|| Time(now.round(second).unwrap_or(now)), |known| known.last_transition_time.clone()),
    }
}

pub(super) fn find<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == type_)
}

/// Whether a write would change nothing. Conditions of others are theirs.
fn same(current: &WebSocketRouteStatus, next: &WebSocketRouteStatus) -> bool {
    rest(current) == rest(next)
        && current.sidecars == next.sidecars
        && [ACCEPTED, RESOLVED_REFS, PROGRAMMED, EXPOSED]
            .iter()
            .all(|type_| find(&current.conditions, type_) == find(&next.conditions, type_))
}

fn differs_only_in_pods(current: &WebSocketRouteStatus, next: &WebSocketRouteStatus) -> bool {
    rest(current) == rest(next)
        && [ACCEPTED, RESOLVED_REFS, EXPOSED]
            .iter()
            .all(|type_| find(&current.conditions, type_) == find(&next.conditions, type_))
}

fn rest(status: &WebSocketRouteStatus) -> (Option<i64>, Option<&String>, Option<i64>) {
    (status.observed_generation, status.address.as_ref(), status.served_generation)
}

fn may_be_written(
    view: &ServiceView,
    placed: &Placed<'_, '_>,
    current: &WebSocketRouteStatus,
    next: &WebSocketRouteStatus,
    clock: &mut Clock,
) -> bool {
    let Some(last) = view.written.get(&placed.candidate.id.name) else { return true };
    let is_programmed = |status: &WebSocketRouteStatus| {
        find(&status.conditions, PROGRAMMED).is_some_and(|found| found.status == "True")
    };
    (is_programmed(next) && !is_programmed(current) && !last.is_churn) || clock.due(after(last.at, CHURN))
}

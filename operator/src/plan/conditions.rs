//! The conditions of a route, before they are compared with those it has.
//!
//! Each is decided from the facts alone: what a status said before never decides what it says next, apart from the time
//! of its last change. Messages are for somebody who was woken up: what is, and what to run.

use std::fmt::Write as _;

use moorline_crds::compile::Problem;
use moorline_crds::names;

use super::place::{Placed, Verdict};
use super::repair::RepairMode;
use super::sidecars::{LOST_AFTER, Sidecars, Unfit};
use super::words::{cut, list, plural};
use crate::reasons::{accepted, programmed, resolved_refs};
use crate::view::ServiceView;

/// Types of conditions.
pub(super) const ACCEPTED: &str = "Accepted";
pub(super) const RESOLVED_REFS: &str = "ResolvedRefs";
pub(super) const PROGRAMMED: &str = "Programmed";
pub(super) const EXPOSED: &str = "Exposed";

/// Problems of a route that its condition spells out.
const PROBLEMS: usize = 3;

/// The status of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Truth {
    True,
    False,
    Unknown,
}

/// A condition without its times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) truth: Truth,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

impl Truth {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl Finding {
    pub(super) fn new(truth: Truth, reason: &'static str, message: impl Into<String>) -> Self {
        Self { truth, reason, message: cut(message.into()) }
    }

    pub(super) fn no(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(Truth::False, reason, message)
    }

    pub(super) fn yes(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(Truth::True, reason, message)
    }

    pub(super) fn is_true(&self) -> bool {
        self.truth == Truth::True
    }
}

/// Whether the newest spec is taken.
pub(super) fn accepted(placed: &Placed<'_, '_>) -> Finding {
    let (reason, mut message) = match &placed.verdict {
        Verdict::Accepted => return Finding::yes(accepted::ACCEPTED, accepted_message(placed)),
        Verdict::Invalid(problems) => (accepted::INVALID, problems_message(problems)),
        Verdict::Conflict(winner) => (
            accepted::CONFLICT,
            format!(
                "the older route {winner} has {}; this route takes over when that one goes",
                place_of(&placed.candidate.manifest.spec.path, &placed.candidate.manifest.spec.hosts)
            ),
        ),
        Verdict::NameTaken(child) => (
            accepted::NAME_TAKEN,
            format!(
                "{child} is there already, and Moorline neither made it nor touches it; rename it, or delete it: kubectl -n {} delete {} {}",
                placed.candidate.id.namespace,
                child.kind.as_str().to_lowercase(),
                child.name
            ),
        ),
        Verdict::TooLarge => (
            accepted::DOCUMENT_TOO_LARGE,
            "with this change the routes of the Service would have more than 900 KiB compressed, which a ConfigMap does not hold; make routes smaller, or spread them over several Services"
                .to_owned(),
        ),
    };
    message.push_str(&kept(placed));
    Finding::no(reason, message)
}

/// Whether the Service and port lead to an app.
pub(super) fn resolved_refs(placed: &Placed<'_, '_>) -> Finding {
    match &placed.candidate.resolved {
        Ok(()) => Finding::yes(resolved_refs::RESOLVED_REFS, "the Service and its port are there"),
        Err(error) => Finding::no(error.reason(), format!("{error}{}", kept(placed))),
    }
}

fn accepted_message(placed: &Placed<'_, '_>) -> String {
    let warnings = &placed.candidate.warnings;
    if warnings.is_empty() {
        return "the route is valid".to_owned();
    }
    format!("the route is valid, but look at {}", problems_message(warnings))
}

fn problems_message(problems: &[Problem]) -> String {
    let shown: Vec<String> = problems.iter().take(PROBLEMS).map(ToString::to_string).collect();
    match problems.len().checked_sub(PROBLEMS).filter(|more| *more > 0) {
        Some(more) => format!("{} (and {more} more)", shown.join("; ")),
        None => shown.join("; "),
    }
}

/// What goes on being served of a route that is refused.
fn kept(placed: &Placed<'_, '_>) -> String {
    placed.entry.map_or_else(String::new, |entry| format!("; generation {} goes on being served", entry.generation))
}

fn place_of(path: &str, hosts: &[String]) -> String {
    if hosts.is_empty() {
        return format!("path {path}");
    }
    format!("path {path} on a host of {}", list(hosts.iter().map(String::as_str)))
}

/// What the sidecars are to one route.
#[derive(Debug, Clone, Copy)]
pub(super) struct Serving {
    /// How many serve the newest generation.
    pub(super) count: usize,
    /// Who replaces pods.
    pub(super) mode: RepairMode,
}

/// Whether every sidecar serves the newest spec. The second value is whether the answer depends on what sidecars say.
pub(super) fn programmed(
    view: &ServiceView,
    placed: &Placed<'_, '_>,
    sidecars: &Sidecars<'_>,
    serving: Serving,
) -> (Finding, bool) {
    if let Some(finding) = not_on_its_way(view, placed) {
        return (finding, false);
    }
    let total = sidecars.total;
    let generation = placed.candidate.generation();
    let counted = format!("{} of {total} sidecars serve generation {generation}", serving.count);
    if total > 0 && serving.count >= total {
        let message = format!("all sidecars serve generation {generation}");
        return (Finding::yes(programmed::PROGRAMMED, message), true);
    }
    if let Some(finding) = needs_pods(view, sidecars, serving.mode) {
        return (finding, false);
    }
    if let Some((pod, refused)) = sidecars.refusing.first() {
        let others = sidecars.refusing.len() - 1;
        let others = if others == 0 { String::new() } else { format!(" ({others} more do so)") };
        let message = format!(
            "the sidecar of {} (version {}) refuses the document{others}: {}: {}; {counted}",
            pod.name, pod.sidecar_version, refused.reason, refused.message
        );
        return (Finding::no(programmed::DOCUMENT_REFUSED, message), true);
    }
    if !sidecars.unreachable.is_empty() {
        let message = format!(
            "the operator cannot ask the {} of {} on port {} ({LOST_AFTER} tries); a NetworkPolicy has to let it; {counted}",
            plural(sidecars.unreachable.len(), "sidecar", "sidecars"),
            list(sidecars.unreachable.iter().copied()),
            names::ADMIN_PORT
        );
        return (Finding::new(Truth::Unknown, programmed::SIDECARS_UNREACHABLE, message), true);
    }
    let mut message = counted;
    for (word, pods) in [("starting", &sidecars.starting), ("behind", &sidecars.behind)] {
        if !pods.is_empty() {
            let _ = write!(message, "; {word}: {}", list(pods.iter().copied()));
        }
    }
    (Finding::no(programmed::PROGRESSING, message), true)
}

/// Why the newest spec cannot reach any sidecar.
fn not_on_its_way(view: &ServiceView, placed: &Placed<'_, '_>) -> Option<Finding> {
    let served = match placed.entry {
        Some(entry) if !placed.is_newest => format!("; the sidecars go on serving generation {}", entry.generation),
        _ => String::new(),
    };
    if placed.candidate.resolved.is_err() {
        let message = format!("spec.serviceRef leads to no app, see the condition ResolvedRefs{served}");
        return Some(Finding::no(programmed::REFS_NOT_RESOLVED, message));
    }
    if placed.verdict != Verdict::Accepted {
        let message =
            format!("generation {} is refused, see the condition Accepted{served}", placed.candidate.generation());
        return Some(Finding::no(programmed::NOT_ACCEPTED, message));
    }
    let (child, error) = super::children::required(&view.id.name)
        .into_iter()
        .find_map(|child| view.apply_errors.get(&child).map(|error| (child, error)))?;
    Some(Finding::no(programmed::APPLY_FAILED, format!("the API server refuses {child}: {error}")))
}

/// Why there are pods missing that could serve at all.
fn needs_pods(view: &ServiceView, sidecars: &Sidecars<'_>, mode: RepairMode) -> Option<Finding> {
    let namespace = &view.id.namespace;
    if !view.namespace_enabled && (sidecars.total == 0 || !sidecars.bare.is_empty()) {
        let message = format!(
            "namespace {namespace} is not opted in, so its pods get no sidecar; run: kubectl label namespace {namespace} {}={}",
            names::INJECT_LABEL,
            names::ENABLED
        );
        return Some(Finding::no(programmed::NAMESPACE_NOT_ENABLED, message));
    }
    if sidecars.total == 0 {
        let selector = view.service.iter().flat_map(|service| &service.selector);
        let selector: Vec<String> = selector.map(|(name, value)| format!("{name}={value}")).collect();
        let message = format!("Service {} has no pods; it selects {}", view.id, selector.join(","));
        return Some(Finding::no(programmed::NO_PODS, message));
    }
    if !sidecars.bare.is_empty() {
        let count = sidecars.bare.len();
        let what = format!(
            "{count} of {} pods {} without the sidecar ({})",
            sidecars.total,
            plural(count, "runs", "run"),
            list(sidecars.bare.iter().map(|pod| pod.name))
        );
        let by_hand = mode != RepairMode::Automatic || needs_hand(&sidecars.bare);
        let reason = if by_hand { programmed::RESTART_NEEDED } else { programmed::SIDECAR_MISSING };
        return Some(Finding::no(reason, format!("{what}; {}", remedy(view, &sidecars.bare, mode))));
    }
    if !sidecars.lacking.is_empty() {
        let count = sidecars.lacking.len();
        let what = format!(
            "{count} of {} pods started before the Service had a route and {} its document ({})",
            sidecars.total,
            plural(count, "does not mount", "do not mount"),
            list(sidecars.lacking.iter().map(|pod| pod.name))
        );
        let message = format!("{what}; {}", remedy(view, &sidecars.lacking, mode));
        return Some(Finding::no(programmed::RESTART_NEEDED, message));
    }
    None
}

fn needs_hand(pods: &[Unfit<'_>]) -> bool {
    pods.iter().any(|pod| pod.note.is_some_and(|note| note.needs_hand))
}

/// What is done about pods, or has to be.
fn remedy(view: &ServiceView, pods: &[Unfit<'_>], mode: RepairMode) -> String {
    let notes = || pods.iter().filter_map(|pod| pod.note);
    if let Some(note) = notes().find(|note| note.needs_hand).or_else(|| notes().next()) {
        return note.message.clone();
    }
    let namespace = &view.id.namespace;
    match mode {
        RepairMode::Automatic => "the operator restarts their workload".to_owned(),
        RepairMode::Manual => format!(
            "spec.rollout is Manual: restart their workload, for instance with kubectl -n {namespace} rollout restart deployment/NAME"
        ),
        RepairMode::Vetoed => format!(
            "restarts are switched off for the operator: restart their workload, for instance with kubectl -n {namespace} rollout restart deployment/NAME"
        ),
    }
}

//! Pods that cannot serve the Service before they are replaced.
//!
//! In two steps, because what a pod belongs to is known only by asking: the plan names the pods and whether anything may
//! be done at all; when the shell has read along the owner references, [`decide_repair`] says what.

mod decide;
mod workload;

#[cfg(test)]
mod tests;

use std::time::Duration;

use moorline_crds::v1alpha1::Rollout;

pub use self::decide::{Injection, Owner, RepairCase, RepairDecision, RepairHistory, decide_repair, restart_patch};
pub use self::workload::{Update, WorkloadFacts, WorkloadKind, WorkloadRef, template_hash};
use super::candidate::is_going;
use super::fit::Fitted;
use super::sidecars::{Sidecars, Unfit};
use super::wait::{Clock, after};
use crate::view::ServiceView;

/// Pods per plan. Each costs a few reads; those of one workload wait for each other anyway.
const AT_ONCE: usize = 10;
/// A route is this old before pods are restarted for it: the webhook of another replica should have seen it, or the new
/// pods would be as bare as the old ones.
const PATIENCE: Duration = Duration::from_secs(2);

/// A pod to repair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repair {
    /// Its name.
    pub pod: String,
    /// Tells it from an earlier pod of this name; empty when unknown.
    pub uid: String,
    /// What it lacks.
    pub lack: Lack,
    /// What may be done about it.
    pub mode: RepairMode,
}

/// What a pod lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lack {
    /// The sidecar.
    Sidecar,
    /// The source of the Service in the sidecar's volume.
    Source,
}

/// Who replaces pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RepairMode {
    /// The operator.
    Automatic,
    /// The user: `spec.rollout` of a route says so.
    Manual,
    /// The user: the admin says so.
    Vetoed,
}

/// Who replaces pods of this Service. One route that says `Manual` is enough: a restart concerns them all, and who wants
/// none should get none.
pub(super) fn mode(view: &ServiceView) -> RepairMode {
    if !view.settings.rollout_allowed {
        return RepairMode::Vetoed;
    }
    if view.routes.iter().any(|route| !is_going(route) && route.spec.rollout == Some(Rollout::Manual)) {
        return RepairMode::Manual;
    }
    RepairMode::Automatic
}

/// The pods to repair now. Call it only when the document is stored: a pod that starts should find it.
pub(super) fn plan(
    view: &ServiceView,
    fitted: &Fitted<'_, '_>,
    sidecars: &Sidecars<'_>,
    mode: RepairMode,
    clock: &mut Clock,
) -> Vec<Repair> {
    if fitted.document.routes.is_empty() {
        return Vec::new();
    }
    let mut created = fitted.placed.iter().filter_map(|placed| {
        placed.entry?;
        Some(placed.candidate.manifest.metadata.creation_timestamp.as_ref().map(|time| time.0))
    });
    let is_known = created.any(|created| created.is_none_or(|created| clock.due(after(created, PATIENCE))));
    if !is_known {
        return Vec::new();
    }
    let repair =
        |lack: Lack| move |pod: &Unfit<'_>| Repair { pod: pod.name.to_owned(), uid: pod.uid.to_owned(), lack, mode };
    // The injector passes over namespaces that are not opted in, so a restart would bring the same pods again.
    let bare = sidecars.bare.iter().filter(|_| view.namespace_enabled);
    let mut due = |pod: &&Unfit<'_>| pod.note.is_none_or(|note| clock.due(note.again));
    let mut repairs: Vec<Repair> = bare.filter(&mut due).map(repair(Lack::Sidecar)).collect();
    repairs.extend(sidecars.lacking.iter().filter(&mut due).map(repair(Lack::Source)));
    repairs.truncate(AT_ONCE);
    repairs
}

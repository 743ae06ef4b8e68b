//! What should be there because of one Service, its routes and its pods.
//!
//! Pure: a view goes in, and out comes everything to write, ask and do. Nothing here waits or remembers; what was done
//! before comes back in the next view, and what has to wait is left out of the plan, which then says when to look again.
//! One Service at a time, so that a change costs the same in a cluster of ten Services and of a thousand.
//!
//! Invariants: the same view gives the same plan, whatever the order of its lists; carrying a plan out and planning
//! again comes to an end with an empty plan; a route that is served stays served until it is deleted or an older route
//! takes its host and path.

mod advice;
mod candidate;
mod children;
mod conditions;
mod document;
mod events;
mod expose;
mod fit;
mod neighbours;
mod nudge;
mod place;
mod repair;
mod resolve;
mod sidecars;
mod status;
mod wait;
mod words;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::time::Duration;

use moorline_crds::bundle::MAX_PACKED_BYTES;
use moorline_crds::document::RouteId;
use moorline_crds::v1alpha1::WebSocketRouteStatus;
use serde_json::Value;

pub use self::children::{APPLIED_ANNOTATION, is_ours};
pub use self::expose::exposed_hosts;
pub use self::neighbours::{selects, services_selecting, shares_pods};
pub use self::repair::{
    Injection, Lack, Owner, Repair, RepairCase, RepairDecision, RepairHistory, RepairMode, Update, WorkloadFacts,
    WorkloadKind, WorkloadRef, decide_repair, restart_patch, template_hash,
};
use self::sidecars::Sidecars;
use self::wait::Clock;
use crate::view::{ChildRef, ServiceView};

/// Plans for one Service.
pub fn plan(view: &ServiceView) -> ServicePlan {
    plan_within(view, MAX_PACKED_BYTES)
}

/// The same for a document of at most so many bytes. Tests of the limit should not have to compress megabytes.
fn plan_within(view: &ServiceView, max_bytes: usize) -> ServicePlan {
    let mut clock = Clock::new(view.now);
    let candidates = candidate::candidates(view);
    let taken = children::taken(view, &mut clock);
    // A document that fits not even without its changes is left as it is.
    let Some(fitted) = fit::fit(&candidates, &view.id, view.live.as_ref(), taken.as_ref(), max_bytes) else {
        return ServicePlan::default();
    };
    let mode = repair::mode(view);
    let sidecars = Sidecars::of(view, &fitted.hash);
    let document = document::plan(view, &fitted, &mut clock);
    let has_routes = !fitted.document.routes.is_empty();
    let (mut apply, mut delete) = children::plan(view, has_routes, &mut clock);
    let exposed = expose::plan(view, &fitted.placed, &mut clock);
    apply.extend(exposed.apply);
    delete.extend(exposed.delete);
    let facts = status::Facts { view, fitted: &fitted, sidecars: &sidecars, exposures: &exposed.by_route, mode };
    let statuses = status::plan(&facts, &mut clock);
    // A kubelet that is made to look before the document is stored finds the old one, and a pod that is replaced none.
    let is_stored = document::is_stored(view, &fitted);
    let (nudges, repairs) = if is_stored {
        (nudge::plan(view, &fitted.hash, &mut clock), repair::plan(view, &fitted, &sidecars, mode, &mut clock))
    } else {
        Default::default()
    };
    ServicePlan {
        document,
        apply,
        delete,
        statuses,
        nudges,
        events: advice::plan(view),
        repairs,
        recheck_after: clock.recheck_after(),
    }
}

/// Everything to do for one Service now. Carried out in the order of the fields.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ServicePlan {
    /// The ConfigMap with the document.
    pub document: DocumentPlan,
    /// The other children to apply.
    pub apply: Vec<ChildApply>,
    /// Children to delete; only ever ours.
    pub delete: Vec<ChildRef>,
    /// Statuses that changed.
    pub statuses: Vec<StatusWrite>,
    /// Pods to tell that there is a new document.
    pub nudges: Vec<Nudge>,
    /// Events that belong to no status. Each is published once: see `PodFacts::is_advised`.
    pub events: Vec<PlannedEvent>,
    /// Pods that lack the sidecar, or the source of this Service.
    pub repairs: Vec<Repair>,
    /// When to plan again, even if nothing changed.
    pub recheck_after: Option<Duration>,
}

/// What becomes of the ConfigMap with the document.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum DocumentPlan {
    /// Nothing: it is as it should be, or cannot be written.
    #[default]
    Keep,
    /// It is applied.
    Write(Box<DocumentWrite>),
    /// It is deleted.
    Delete(ChildRef),
}

/// A ConfigMap to apply.
#[derive(Debug, Clone, PartialEq)]
pub struct DocumentWrite {
    /// Which one.
    pub child: ChildRef,
    /// All of it.
    pub object: Value,
    /// The hash of its document.
    pub hash: String,
}

/// A child to apply.
#[derive(Debug, Clone, PartialEq)]
pub struct ChildApply {
    /// Which one.
    pub child: ChildRef,
    /// All of it.
    pub object: Value,
}

/// A status to apply.
#[derive(Debug, Clone, PartialEq)]
pub struct StatusWrite {
    /// Of which route.
    pub route: RouteId,
    /// Tells it from an earlier route of this name.
    pub uid: String,
    /// All of the status.
    pub status: WebSocketRouteStatus,
    /// Whether only the pods changed. Such writes are at least two seconds apart.
    pub is_churn: bool,
    /// What to tell once it is written.
    pub events: Vec<PlannedEvent>,
}

/// An Event to publish.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedEvent {
    /// One of `reasons::event`.
    pub reason: &'static str,
    /// At most 1000 bytes.
    pub message: String,
    /// Whether its type is `Warning`.
    pub is_warning: bool,
    /// What it is about.
    pub on: Regarding,
}

/// What an Event is about, in the namespace of the Service.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)] // each is what it is named
pub enum Regarding {
    Route { id: RouteId, uid: String },
    Pod { name: String, uid: String },
    Workload(WorkloadRef),
}

/// A pod to tell that there is a new document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nudge {
    /// Its name.
    pub pod: String,
    /// Tells it from an earlier pod of this name.
    pub uid: String,
    /// The hash that it should serve.
    pub hash: String,
    /// How often that was said before, plus one.
    pub attempt: u32,
}

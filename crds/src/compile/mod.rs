//! From what users write to what the data plane reads: the routes of one Service to one document.
//!
//! The same checks the API server makes by its schema and by CEL are made again, because manifests on a laptop meet no API
//! server and an API server may be older than the operator. Checking goes on after a problem, so that one
//! run names everything that is wrong; a route with a problem is left out whole and the others stand, since
//! one team's mistake must not take down another's route.
//!
//! Invariants: pure and deterministic, also under any order of the routes; a document of `compile` passes
//! `codec::decode`; every problem names a field of the route it belongs to.

mod action;
mod bounds;
mod conflict;
mod limits;
mod place;
mod reply;
mod report;
mod route;

pub use conflict::settle_services;
use std::collections::BTreeSet;
use std::fmt;

use crate::document::{Document, FORMAT_VERSION, Failover, RouteId, ServiceId};
use crate::v1alpha1::WebSocketRoute;

/// The namespace of a manifest that names none.
pub const DEFAULT_NAMESPACE: &str = "default";

/// The result of [`compile`].
#[derive(Debug, Clone, PartialEq)]
pub struct Compiled {
    /// The routes without a problem.
    pub document: Document,
    /// Everything that is wrong, ordered by route.
    pub problems: Vec<Problem>,
    /// What is allowed but probably not meant, ordered by route; the routes are served.
    pub warnings: Vec<Problem>,
}

/// How the app of a route is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// [`crate::document::Route::upstream`].
    pub upstream: String,
    /// [`crate::document::Route::failover`].
    pub failover: Option<Failover>,
}

impl Backend {
    /// An app that is at one address and nowhere else.
    pub fn at(upstream: impl Into<String>) -> Self {
        Self { upstream: upstream.into(), failover: None }
    }
}

/// One thing that is wrong with a field of a route.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The route.
    pub route: RouteId,
    /// The field, as `spec.routes[2].request.path`.
    pub field: String,
    /// What was found and the rule it breaks.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// The id of a route.
pub fn route_id(route: &WebSocketRoute) -> RouteId {
    RouteId { namespace: namespace(route), name: route.metadata.name.clone().unwrap_or_default() }
}

/// The Service a route belongs to.
pub fn service_of(route: &WebSocketRoute) -> ServiceId {
    ServiceId { namespace: namespace(route), name: route.spec.service_ref.name.clone() }
}

fn namespace(route: &WebSocketRoute) -> String {
    route.metadata.namespace.clone().unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned())
}

/// Compiles the routes of `service`; routes of other Services are not looked at.
///
/// `resolve` says how a route's app is reached, or why it is not.
pub fn compile(
    service: &ServiceId,
    routes: &[WebSocketRoute],
    resolve: &dyn Fn(&WebSocketRoute) -> Result<Backend, String>,
) -> Compiled {
    let mut routes: Vec<&WebSocketRoute> = routes.iter().filter(|route| service_of(route) == *service).collect();
    routes.sort_by_cached_key(|route| conflict::age(route));
    let mut seen = BTreeSet::new();
    let mut problems = Vec::new();
    let mut warnings = Vec::new();
    let mut accepted = Vec::new();
    for manifest in routes {
        let id = route_id(manifest);
        let mut report = report::Report::default();
        let compiled = route::compile(manifest, resolve, &mut report);
        bounds::check(&manifest.spec, &mut report);
        if !seen.insert(id.clone()) {
            report.add("metadata.name", format!("{:?}: there is another route of this name", id.name));
        }
        match compiled {
            Some(route) if report.is_empty() => match conflict::winner(&route, &accepted) {
                None => accepted.push(route),
                Some(winner) => {
                    let shown = &manifest.spec.path;
                    report.add(
                        "spec.path",
                        format!("{shown:?}: the older route {} serves this host and path", winner.id),
                    );
                }
            },
            _ => {}
        }
        let (found, doubtful) = report.into_problems(&id);
        problems.extend(found);
        warnings.extend(doubtful);
    }
    accepted.sort_by(|a, b| a.id.cmp(&b.id));
    // Stable: the problems of one route stay in the order of its fields.
    problems.sort_by(|a, b| a.route.cmp(&b.route));
    warnings.sort_by(|a, b| a.route.cmp(&b.route));
    Compiled {
        document: Document { format_version: FORMAT_VERSION, service: service.clone(), routes: accepted },
        problems,
        warnings,
    }
}

#[cfg(test)]
mod tests;

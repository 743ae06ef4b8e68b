//! Each route by itself, before it is compared with any other.
//!
//! Compiled one at a time, although `compile` takes many, because here a route that does not compile is not left out but
//! falls back to what is served of it, and that decides what the routes after it may have.
//!
//! Invariant: candidates come in the order of age, the oldest first.

use std::collections::BTreeMap;

use jiff::Timestamp;
use moorline_crds::compile::{Backend, Problem, compile, route_id};
use moorline_crds::document::{Document, Route, RouteId, ServiceId};
use moorline_crds::v1alpha1::WebSocketRoute;

use super::resolve::{ResolveError, resolve};
use crate::view::{LiveDocument, ServiceView};

/// The app of a route whose own cannot be found, so that the rest of the route is checked all the same.
const NOWHERE: &str = "127.0.0.1:1";

/// A route with what is made of it and what is served of it.
#[derive(Debug)]
pub(super) struct Candidate<'a> {
    pub(super) manifest: &'a WebSocketRoute,
    pub(super) id: RouteId,
    pub(super) service: &'a ServiceId,
    /// Whether its references lead to an app.
    pub(super) resolved: Result<(), ResolveError>,
    /// The compiled route; what is wrong with it otherwise.
    pub(super) compiled: Result<Route, Vec<Problem>>,
    pub(super) warnings: Vec<Problem>,
    /// The entry of the stored document.
    pub(super) last: Option<&'a Route>,
}

impl Candidate<'_> {
    /// The generation of the manifest.
    pub(super) fn generation(&self) -> i64 {
        self.manifest.metadata.generation.unwrap_or_default()
    }

    /// Whether it belongs to the Service that is planned.
    pub(super) fn is_of(&self, service: &ServiceId) -> bool {
        self.service == service
    }
}

/// The routes of the Service and of its neighbours.
pub(super) fn candidates(view: &ServiceView) -> Vec<Candidate<'_>> {
    let own = entries(view.live.as_ref());
    let mut all: Vec<Candidate<'_>> = view
        .routes
        .iter()
        .filter(|route| !is_going(route))
        .map(|route| {
            let backend = resolve(&view.id, view.service.as_ref(), &route.spec.service_ref);
            candidate(&view.id, route, backend, &own)
        })
        .collect();
    for neighbour in &view.neighbours {
        let served = entries(neighbour.live.as_ref());
        let routes = neighbour.routes.iter().filter(|route| !is_going(route));
        all.extend(routes.map(|route| candidate(&neighbour.id, route, Ok(Backend::at(NOWHERE)), &served)));
    }
    all.sort_by_cached_key(|candidate| (age(candidate.manifest), candidate.service.clone()));
    // A route that is listed twice is one route.
    all.dedup_by(|a, b| a.id == b.id);
    all
}

/// What routes are ordered by: of two that want the same, the first has it.
pub(super) fn age(route: &WebSocketRoute) -> (Option<Timestamp>, RouteId) {
    (route.metadata.creation_timestamp.as_ref().map(|time| time.0), route_id(route))
}

/// Whether a route is being deleted: somebody's finalizer may hold the object, but its owner wants it gone.
pub(super) fn is_going(route: &WebSocketRoute) -> bool {
    route.metadata.deletion_timestamp.is_some()
}

/// The compiled route without its references, for what only its hosts and path matter.
pub(super) fn compile_alone(route: &WebSocketRoute) -> Option<Route> {
    compiled(route, &Backend::at(NOWHERE)).0.ok()
}

fn candidate<'a>(
    service: &'a ServiceId,
    route: &'a WebSocketRoute,
    backend: Result<Backend, ResolveError>,
    served: &BTreeMap<&RouteId, &'a Route>,
) -> Candidate<'a> {
    let (backend, resolved) = match backend {
        Ok(backend) => (backend, Ok(())),
        Err(error) => (Backend::at(NOWHERE), Err(error)),
    };
    let (compiled, warnings) = compiled(route, &backend);
    let id = route_id(route);
    let last = served.get(&id).copied();
    Candidate { manifest: route, id, service, resolved, compiled, warnings, last }
}

fn compiled(route: &WebSocketRoute, backend: &Backend) -> (Result<Route, Vec<Problem>>, Vec<Problem>) {
    let service = moorline_crds::compile::service_of(route);
    let result = compile(&service, std::slice::from_ref(route), &|_| Ok(backend.clone()));
    let route = result.document.routes.into_iter().next();
    (route.filter(|_| result.problems.is_empty()).ok_or(result.problems), result.warnings)
}

fn entries(live: Option<&LiveDocument>) -> BTreeMap<&RouteId, &Route> {
    let document: Option<&Document> = live.and_then(|live| live.document.as_deref());
    document.into_iter().flat_map(|document| &document.routes).map(|route| (&route.id, route)).collect()
}

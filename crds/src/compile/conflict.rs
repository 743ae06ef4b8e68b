//! Which of two routes serves a path that both want.
//!
//! The oldest wins, as in the Gateway API: a new route must not take the traffic of a running one. Routes
//! whose hosts overlap only through a wildcard do not conflict, because the more specific host is served by
//! the more specific route.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::Problem;
use crate::document::{Document, Route, RouteId, ServiceId};
use crate::v1alpha1::WebSocketRoute;

/// Sort key of a route: creation time (a missing one, as on a laptop, is the oldest), namespace, name. The
/// text of the spec only makes the order of two routes with the same name not depend on that of the input.
pub(super) fn age(route: &WebSocketRoute) -> (Option<Time>, RouteId, String) {
    let created = route.metadata.creation_timestamp.clone();
    (created, super::route_id(route), serde_json::to_string(&route.spec).unwrap_or_default())
}

/// The older route that already serves a host and path of `route`.
pub(super) fn winner<'a>(route: &Route, older: &'a [Route]) -> Option<&'a Route> {
    older.iter().find(|other| other.path.same_as(&route.path) && same_host(other, route))
}

/// Applies the same rule between Services that share a listener, as on a laptop; in a cluster each has its own. A losing
/// route is left out of its document.
pub fn settle_services(documents: &mut [Document], manifests: &[WebSocketRoute]) -> Vec<(ServiceId, Problem)> {
    let age_of = |service: &ServiceId, id: &RouteId| {
        manifests
            .iter()
            .filter(|manifest| super::route_id(manifest) == *id && super::service_of(manifest) == *service)
            .map(age)
            .min()
    };
    let mut all: Vec<(ServiceId, Route)> = documents
        .iter()
        .flat_map(|document| document.routes.iter().map(|route| (document.service.clone(), route.clone())))
        .collect();
    all.sort_by_cached_key(|(service, route)| (age_of(service, &route.id), service.clone()));
    let mut served: Vec<Route> = Vec::new();
    let mut problems = Vec::new();
    for (service, route) in all {
        let Some(winner) = winner(&route, &served) else {
            served.push(route);
            continue;
        };
        let message = format!("{:?}: the older route {} serves this host and path", route.path.to_string(), winner.id);
        for document in documents.iter_mut().filter(|document| document.service == service) {
            document.routes.retain(|kept| kept.id != route.id);
        }
        problems.push((service, Problem { route: route.id, field: "spec.path".to_owned(), message }));
    }
    problems
}

fn same_host(a: &Route, b: &Route) -> bool {
    (a.hosts.is_empty() && b.hosts.is_empty()) || a.hosts.iter().any(|host| b.hosts.contains(host))
}

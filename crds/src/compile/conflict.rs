//! Which of two routes serves a path that both want.
//!
//! The oldest wins, as in the Gateway API: a new route must not take the traffic of a running one. Routes
//! whose hosts overlap only through a wildcard do not conflict, because the more specific host is served by
//! the more specific route.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::document::{Route, RouteId};
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

fn same_host(a: &Route, b: &Route) -> bool {
    (a.hosts.is_empty() && b.hosts.is_empty()) || a.hosts.iter().any(|host| b.hosts.contains(host))
}

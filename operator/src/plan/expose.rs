//! The way in from outside the cluster: an Ingress or `HTTPRoute` for each route that asks for one.
//!
//! One object per route and not per Service, because class, certificate, annotations and Gateway are said per route, and
//! one object holds one of each. Nobody's controller matches captures, so what stands outside is the part of the path
//! before the first of them; two routes of different Services that are equal there would take each other's clients, and
//! the oldest has it.
//!
//! Invariants: only hosts that the admin listed; an object is removed as soon as its route is not exposed any more,
//! except while the newest spec of the route is refused.

use std::collections::BTreeMap;

use moorline_crds::compile::{route_id, service_of};
use moorline_crds::document::{Route, RouteId, ServiceId};
use moorline_crds::names::Child;
use moorline_crds::pattern::{HostPattern, PatternSegment};
use moorline_crds::v1alpha1::{Expose, WebSocketRoute};
use serde_json::{Value, json};

use super::ChildApply;
use super::candidate::{age, compile_alone, is_going};
use super::children::{self, CLIENT_SERVICE_PORT, Family, Freshness};
use super::conditions::Finding;
use super::place::{Placed, Verdict};
use super::wait::Clock;
use super::words::list;
use crate::reasons::exposed;
use crate::view::{ChildFacts, ChildKind, ChildRef, ServiceView};

/// The hosts, in lower case, under which a route wants to be exposed: the key of an index for
/// [`ServiceView::exposed_neighbours`].
pub fn exposed_hosts(route: &WebSocketRoute) -> Vec<String> {
    if route.spec.expose.is_none() {
        return Vec::new();
    }
    route.spec.hosts.iter().map(|host| host.to_ascii_lowercase()).collect()
}

/// What became of `spec.expose`.
#[derive(Debug)]
pub(super) enum Exposure {
    /// The object is in place.
    Ready { child: ChildRef, address: String },
    /// It is applied with this plan.
    Pending,
    /// It cannot be made.
    Refused(Finding),
}

impl Exposure {
    /// The condition; `None` while there is nothing to say.
    pub(super) fn finding(&self) -> Option<Finding> {
        match self {
            Self::Ready { child, .. } => Some(Finding::yes(exposed::EXPOSED, format!("{child} is in place"))),
            Self::Pending => None,
            Self::Refused(finding) => Some(finding.clone()),
        }
    }

    /// The address from outside.
    pub(super) fn address(&self) -> Option<&str> {
        match self {
            Self::Ready { address, .. } => Some(address),
            Self::Pending | Self::Refused(_) => None,
        }
    }
}

/// What [`plan`] comes to.
#[derive(Debug, Default)]
pub(super) struct Exposed {
    pub(super) by_route: BTreeMap<RouteId, Exposure>,
    pub(super) apply: Vec<ChildApply>,
    pub(super) delete: Vec<ChildRef>,
}

/// The objects of all routes of the Service.
pub(super) fn plan(view: &ServiceView, placed: &[Placed<'_, '_>], clock: &mut Clock) -> Exposed {
    let Some(family) = Family::of(view) else { return Exposed::default() };
    let claims = claims(view, placed);
    let mut plan = Exposed::default();
    let mut wanted = Vec::new();
    let mut placed: Vec<&Placed<'_, '_>> = placed.iter().collect();
    placed.sort_by(|a, b| a.candidate.id.cmp(&b.candidate.id));
    for placed in placed {
        let Some(expose) = &placed.candidate.manifest.spec.expose else { continue };
        let child = child(expose, &placed.candidate.id.name);
        let exposure = if let Some(finding) = refusal(view, placed, &child, &claims, clock) {
            if placed.entry.is_some() && !placed.is_newest {
                // The generation that goes on being served goes on being reached.
                wanted
                    .extend([ChildKind::Ingress, ChildKind::HttpRoute].map(|kind| ChildRef { kind, ..child.clone() }));
            }
            Exposure::Refused(finding)
        } else {
            let Some(entry) = placed.entry else { continue };
            let object = object(&family, &child, expose, entry);
            wanted.push(child.clone());
            if children::freshness(&object, view.children.get(&child), clock) == Freshness::Fresh {
                Exposure::Ready { address: address(expose, entry), child }
            } else {
                let error = view.apply_errors.get(&child);
                let failure = error.map(|error| format!("the API server refuses {child}: {error}"));
                plan.apply.push(ChildApply { child, object });
                failure.map_or(Exposure::Pending, |said| Exposure::Refused(Finding::no(exposed::APPLY_FAILED, said)))
            }
        };
        plan.by_route.insert(placed.candidate.id.clone(), exposure);
    }
    let is_exposed = |child: &ChildRef| matches!(child.kind, ChildKind::Ingress | ChildKind::HttpRoute);
    plan.delete = view
        .children
        .iter()
        .filter(|(child, facts)| {
            is_exposed(child) && matches!(facts, ChildFacts::Ours { .. }) && !wanted.contains(child)
        })
        .map(|(child, _)| child.clone())
        .collect();
    plan
}

/// Why a route is not exposed.
fn refusal(
    view: &ServiceView,
    placed: &Placed<'_, '_>,
    child: &ChildRef,
    claims: &[Claim],
    clock: &mut Clock,
) -> Option<Finding> {
    let spec = &placed.candidate.manifest.spec;
    let allowed = &view.settings.expose_hosts;
    if allowed.is_empty() {
        return Some(Finding::no(
            exposed::EXPOSE_DISABLED,
            "spec.expose is switched off in this cluster; its admin allows hosts with the chart value expose.hosts",
        ));
    }
    if placed.verdict != Verdict::Accepted || placed.entry.is_none() || !placed.is_newest {
        let message = "the newest spec is not served, see the conditions Accepted and ResolvedRefs";
        return Some(Finding::no(exposed::NOT_ACCEPTED, message));
    }
    // The schema says so too; a route that was stored before it did gets a word instead of an Ingress for every host.
    if spec.hosts.is_empty() {
        return Some(Finding::no(exposed::HOST_NOT_ALLOWED, "spec.expose needs spec.hosts"));
    }
    let refused: Vec<&str> = spec.hosts.iter().filter(|host| !is_allowed(host, allowed)).map(String::as_str).collect();
    if !refused.is_empty() {
        let patterns: Vec<String> = allowed.iter().map(ToString::to_string).collect();
        return Some(Finding::no(
            exposed::HOST_NOT_ALLOWED,
            format!("{} is not among the hosts that the admin allows: {}", list(refused), patterns.join(", ")),
        ));
    }
    let has_api =
        if child.kind == ChildKind::Ingress { view.settings.has_ingress } else { view.settings.has_http_route };
    if !has_api {
        let message = format!("the cluster has no {} ({})", child.kind.as_str(), child.kind.api_version());
        return Some(Finding::no(exposed::API_MISSING, message));
    }
    if let Some((winner, claim)) = conflict(&placed.candidate.id, claims) {
        let message = format!(
            "the older route {} exposes {}{}; this route takes over when that one goes",
            winner.route, claim.host, claim.path
        );
        return Some(Finding::no(exposed::CONFLICT, message));
    }
    if view.children.get(child) == Some(&ChildFacts::Foreign) {
        children::look_again(clock);
        let message = format!("{child} is there already, and Moorline neither made it nor touches it");
        return Some(Finding::no(exposed::NAME_TAKEN, message));
    }
    None
}

/// What a route wants of what is outside.
#[derive(Debug)]
struct Claim {
    route: RouteId,
    service: ServiceId,
    host: String,
    path: String,
    is_exact: bool,
}

/// What all exposed routes want, the oldest first.
fn claims(view: &ServiceView, placed: &[Placed<'_, '_>]) -> Vec<Claim> {
    let allowed = &view.settings.expose_hosts;
    let own = placed
        .iter()
        .filter(|placed| placed.is_newest && placed.candidate.manifest.spec.expose.is_some())
        .filter_map(|placed| Some((placed.candidate.manifest, placed.entry?.clone())));
    let others = view
        .exposed_neighbours
        .iter()
        .filter(|route| !is_going(route) && route.spec.expose.is_some() && service_of(route) != view.id)
        .filter_map(|route| Some((&**route, compile_alone(route)?)));
    let mut all: Vec<(&WebSocketRoute, Route)> = own.chain(others).collect();
    all.sort_by_cached_key(|(manifest, _)| age(manifest));
    all.into_iter()
        // A route that may not be exposed holds nobody back.
        .filter(|(manifest, _)| manifest.spec.hosts.iter().all(|host| is_allowed(host, allowed)))
        .flat_map(|(manifest, route)| {
            let (path, is_exact) = outside(&route);
            let claim = move |host: &HostPattern| Claim {
                route: route_id(manifest),
                service: service_of(manifest),
                host: host.to_string(),
                path: path.clone(),
                is_exact,
            };
            route.hosts.iter().map(claim).collect::<Vec<_>>()
        })
        .collect()
}

/// The older claim of another Service to what this route wants. The claims of a route that loses one count no more.
fn conflict<'a>(route: &RouteId, claims: &'a [Claim]) -> Option<(&'a Claim, &'a Claim)> {
    let mut held: Vec<&Claim> = Vec::new();
    let mut rest = claims;
    while let Some(first) = rest.first() {
        let count = rest.iter().take_while(|claim| claim.route == first.route).count();
        let (own, younger) = rest.split_at(count);
        let lost = own.iter().find_map(|claim| {
            let same = |other: &&&Claim| {
                other.service != claim.service
                    && (&other.host, &other.path, other.is_exact) == (&claim.host, &claim.path, claim.is_exact)
            };
            held.iter().find(same).map(|winner| (*winner, claim))
        });
        if first.route == *route {
            return lost;
        }
        if lost.is_none() {
            held.extend(own);
        }
        rest = younger;
    }
    None
}

fn is_allowed(host: &str, allowed: &[HostPattern]) -> bool {
    let Ok(host) = HostPattern::parse(host) else { return false };
    allowed.iter().any(|pattern| {
        *pattern == host || (pattern.is_wildcard() && host.name().ends_with(&format!(".{}", pattern.name())))
    })
}

fn child(expose: &Expose, route: &str) -> ChildRef {
    let kind = if expose.gateway.is_some() { ChildKind::HttpRoute } else { ChildKind::Ingress };
    ChildRef { kind, name: Child::WebSocket.name(route) }
}

/// The path as a controller matches it, and whether it does so exactly.
fn outside(route: &Route) -> (String, bool) {
    let segments = route.path.segments();
    let literal = segments.iter().take_while(|segment| matches!(segment, PatternSegment::Literal(_))).count();
    let path = route.path.to_string();
    if literal == segments.len() {
        return (path, true);
    }
    // In a rendered path each segment starts with the one slash it has.
    let before: String = path.split_inclusive('/').skip(1).take(literal).collect();
    (format!("/{}", before.trim_end_matches('/')), false)
}

fn address(expose: &Expose, entry: &Route) -> String {
    // A Gateway may well have a certificate, but whether it has is known from the Gateway alone, which is not read.
    let has_tls = expose.ingress.as_ref().is_some_and(|ingress| ingress.tls_secret_name.is_some());
    let scheme = if has_tls { "wss" } else { "ws" };
    let host = entry.hosts.iter().find(|host| !host.is_wildcard()).or(entry.hosts.first());
    format!("{scheme}://{}{}", host.map(ToString::to_string).unwrap_or_default(), entry.path)
}

fn object(family: &Family<'_>, child: &ChildRef, expose: &Expose, entry: &Route) -> Value {
    let (path, is_exact) = outside(entry);
    let hosts: Vec<String> = entry.hosts.iter().map(ToString::to_string).collect();
    let backend = family.web_socket_name();
    let mut object = family.object(child);
    if let Some(gateway) = &expose.gateway {
        let mut parent = json!({ "name": gateway.name });
        if let Some(namespace) = &gateway.namespace {
            parent["namespace"] = json!(namespace);
        }
        if let Some(section) = &gateway.section_name {
            parent["sectionName"] = json!(section);
        }
        let kind = if is_exact { "Exact" } else { "PathPrefix" };
        object["spec"] = json!({
            "parentRefs": [parent],
            "hostnames": hosts,
            "rules": [{
                "matches": [{ "path": { "type": kind, "value": path } }],
                "backendRefs": [{ "name": backend, "port": CLIENT_SERVICE_PORT }],
            }],
        });
    } else if let Some(ingress) = &expose.ingress {
        let kind = if is_exact { "Exact" } else { "Prefix" };
        let rule = |host: &String| {
            let backend = json!({ "service": { "name": backend, "port": { "number": CLIENT_SERVICE_PORT } } });
            json!({ "host": host, "http": { "paths": [{ "path": path, "pathType": kind, "backend": backend }] } })
        };
        object["metadata"]["annotations"] = json!(ingress.annotations);
        object["spec"] = json!({ "rules": hosts.iter().map(rule).collect::<Vec<_>>() });
        if let Some(class) = &ingress.class_name {
            object["spec"]["ingressClassName"] = json!(class);
        }
        if let Some(secret) = &ingress.tls_secret_name {
            object["spec"]["tls"] = json!([{ "hosts": hosts, "secretName": secret }]);
        }
    }
    children::stamp(&mut object);
    object
}

//! One `WebSocketRoute` to one compiled route.
//!
//! Fields are compiled in the order of the resource, so that problems are reported in the order a reader
//! meets them.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::IpAddr;

use ipnet::IpNet;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::Backend;
use super::action;
use super::place::{Event, Moment, Place};
use super::reply;
use super::report::Report;
use crate::codec::is_upstream;
use crate::document::{Action, ErrorAction, ErrorPolicy, Route, RouteParts};
use crate::origin::{OriginPattern, OriginPolicy};
use crate::pattern::{HostPattern, PathPattern};
use crate::template::{is_reserved_header, normalized_header_name};
use crate::v1alpha1::{self, ServiceRef, WebSocketRoute, WebSocketRouteSpec};

/// Headers of the handshake that go with every call unless the route says otherwise.
const FORWARDED: [&str; 4] = ["authorization", "cookie", "user-agent", "accept-language"];

/// Compiles one route; what it returns is usable only when nothing was reported.
pub(super) fn compile(
    manifest: &WebSocketRoute,
    resolve: &dyn Fn(&WebSocketRoute) -> Result<Backend, String>,
    report: &mut Report,
) -> Option<Route> {
    let spec = &manifest.spec;
    if manifest.metadata.name.as_deref().unwrap_or("").is_empty() {
        report.add("metadata.name", "is needed");
    }
    service(&spec.service_ref, report);
    let backend = backend(manifest, resolve, report);
    let path = parsed("spec.path", &spec.path, PathPattern::parse, report);
    let hosts = list("spec.hosts", &spec.hosts, HostPattern::parse, report);
    let subprotocols = subprotocols(&spec.subprotocols, report);
    let origins = list("spec.allowedOrigins", &spec.allowed_origins, OriginPattern::parse, report);
    let forward_headers = forward_headers(spec.forward_headers.as_deref(), report);
    let trusted_proxies = list("spec.trustedProxies", &spec.trusted_proxies, network, report);
    let captures: Option<Vec<String>> = path.as_ref().map(|path| path.captures().map(str::to_owned).collect());
    let place = Place { event: Event::Any, moment: Moment::Request, captures: captures.as_deref() };
    let headers = action::headers("spec.headers", &spec.headers, true, place, report);
    if headers.iter().any(|header| header.name == "content-type") {
        let name = action::named(&spec.headers, "content-type");
        report.add(format!("spec.headers.{name}"), "belongs to a body: set it in the headers of a request");
    }
    let selecting = Place { moment: Moment::Selection, event: Event::Message, ..place };
    let selection = report.expression("spec.routeSelectionExpression", &spec.route_selection_expression, selecting);
    let limits = super::limits::compile(spec.limits.as_ref(), report);
    let actions = actions(spec, captures.as_deref(), &limits, report);
    let errors = errors(spec.errors.as_ref(), place, report);
    let backend = backend?;
    Some(Route::new(RouteParts {
        id: super::route_id(manifest),
        generation: manifest.metadata.generation.unwrap_or_default(),
        upstream: backend.upstream,
        failover: backend.failover,
        hosts,
        path: path?,
        subprotocols,
        origins: if spec.allowed_origins.is_empty() { OriginPolicy::SameOrigin } else { OriginPolicy::List(origins) },
        forward_headers,
        forward_headers_explicit: spec.forward_headers.is_some(),
        trusted_proxies,
        headers,
        selection: selection?,
        actions,
        limits,
        errors,
    }))
}

fn service(service: &ServiceRef, report: &mut Report) {
    if service.name.is_empty() {
        report.add("spec.serviceRef.name", "is needed");
    }
    match &service.port {
        IntOrString::Int(port) if !(1..=65_535).contains(port) => {
            report.add("spec.serviceRef.port", format!("{port}: is between 1 and 65535"));
        }
        IntOrString::String(name) if name.is_empty() => {
            report.add("spec.serviceRef.port", "is needed");
        }
        IntOrString::Int(_) | IntOrString::String(_) => {}
    }
}

fn backend(
    manifest: &WebSocketRoute,
    resolve: &dyn Fn(&WebSocketRoute) -> Result<Backend, String>,
    report: &mut Report,
) -> Option<Backend> {
    match resolve(manifest) {
        Ok(backend) if is_upstream(&backend.upstream) => Some(backend),
        Ok(other) => {
            report.broken("spec.serviceRef", &other.upstream, "is not an address as 127.0.0.1:3000");
            None
        }
        Err(reason) => {
            report.add("spec.serviceRef", reason);
            None
        }
    }
}

fn parsed<T, E: Display>(
    field: &str,
    text: &str,
    parse: impl Fn(&str) -> Result<T, E>,
    report: &mut Report,
) -> Option<T> {
    parse(text).map_err(|error| report.broken(field, text, error)).ok()
}

fn list<T, E: Display>(
    field: &str,
    texts: &[String],
    parse: impl Fn(&str) -> Result<T, E>,
    report: &mut Report,
) -> Vec<T> {
    texts
        .iter()
        .enumerate()
        .filter_map(|(index, text)| parsed(&format!("{field}[{index}]"), text, &parse, report))
        .collect()
}

fn subprotocols(names: &[String], report: &mut Report) -> Vec<String> {
    for (index, name) in names.iter().enumerate() {
        let field = format!("spec.subprotocols[{index}]");
        if normalized_header_name(name).is_none() {
            report.broken(&field, name, "is a token, without spaces and separators");
        }
        if names.iter().take(index).any(|other| other == name) {
            report.broken(&field, name, "is there twice");
        }
    }
    names.to_vec()
}

fn network(text: &str) -> Result<IpNet, &'static str> {
    text.parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| "is an address or a network, as 10.0.0.7 or 10.0.0.0/8")
}

fn forward_headers(names: Option<&[String]>, report: &mut Report) -> Vec<String> {
    let Some(names) = names else {
        return FORWARDED.map(str::to_owned).to_vec();
    };
    for (index, name) in names.iter().enumerate() {
        let rule = match normalized_header_name(name) {
            None => "is not a header name",
            Some(name) if is_reserved_header(&name) || name.starts_with("content-") => {
                "cannot be forwarded: it belongs to the client's connection or body, or Moorline sets it"
            }
            Some(_) => continue,
        };
        report.broken(&format!("spec.forwardHeaders[{index}]"), name, rule);
    }
    names.iter().map(|name| name.to_ascii_lowercase()).collect()
}

fn actions(
    spec: &WebSocketRouteSpec,
    captures: Option<&[String]>,
    limits: &crate::document::Limits,
    report: &mut Report,
) -> BTreeMap<String, Action> {
    if spec.routes.is_empty() {
        report.add("spec.routes", "has at least one entry");
    }
    let mut actions = BTreeMap::new();
    for (index, entry) in spec.routes.iter().enumerate() {
        let field = format!("spec.routes[{index}]");
        let key = &entry.key;
        let rule = if key.is_empty() {
            Some("is not empty")
        } else if key.starts_with('$') && !matches!(key.as_str(), "$connect" | "$disconnect" | "$default") {
            Some("starts with `$`, which only $connect, $disconnect and $default do")
        } else if key.contains(char::is_control) {
            Some("holds no control characters")
        } else if actions.contains_key(key) {
            Some("is the key of an entry above")
        } else {
            None
        };
        if let Some(rule) = rule {
            report.broken(&format!("{field}.key"), key, rule);
        }
        actions.insert(key.clone(), action::compile(&field, entry, captures, limits, report));
    }
    actions
}

fn errors(spec: Option<&v1alpha1::Errors>, place: Place<'_>, report: &mut Report) -> ErrorPolicy {
    let none = v1alpha1::Errors::default();
    let spec = spec.unwrap_or(&none);
    let action = match spec.action {
        Some(v1alpha1::ErrorAction::Close) => ErrorAction::Close,
        Some(v1alpha1::ErrorAction::None) => ErrorAction::None,
        Some(v1alpha1::ErrorAction::Frame) | None => ErrorAction::Frame,
    };
    let body = spec.body.as_ref().filter(|body| !body.is_null());
    if body.is_some() && action != ErrorAction::Frame {
        report.add("spec.errors.body", "goes to nobody: action is not Frame");
    }
    let place = Place { moment: Moment::Failed, ..place };
    let body = body.and_then(|body| reply::body_template("spec.errors.body", body, place, report));
    ErrorPolicy { action, body }
}

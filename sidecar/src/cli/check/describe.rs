//! What a compiled route will do, in words.
//!
//! Made of the compiled form and not of the manifest, so that defaults and shorthands show as what they came to. One
//! line per call, as it will be on the wire, and below it what happens to the answer.

use std::fmt::Write as _;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use moorline_crds::document::{Action, ErrorAction, Reply, ReplyTo, Route};
use moorline_crds::expression::Expression;
use moorline_crds::origin::OriginPolicy;
use moorline_crds::template::{BodyPlan, BodyTemplate, HeaderTemplate, JsonTemplate, RequestPlan};
use moorline_crds::v1alpha1::WebSocketRoute;

use crate::style::{Ink, Style};

/// Columns of a key, unless one is longer.
const KEY_COLUMNS: usize = 11;

/// The route of a manifest.
pub(super) fn route(file: &str, manifest: &WebSocketRoute, route: &Route, style: Style) -> String {
    let mut text = String::new();
    let service = &manifest.spec.service_ref;
    let port = match &service.port {
        IntOrString::Int(port) => port.to_string(),
        IntOrString::String(name) => name.clone(),
    };
    let _ = writeln!(
        text,
        "{}  ws {}  ->  Service {} port {port}",
        style.ink(Ink::Bold, &route.id),
        style.ink(Ink::Bold, &route.path),
        service.name,
    );
    let _ = writeln!(text, "{}", style.ink(Ink::Dim, file));
    for note in notes(manifest, route) {
        let _ = writeln!(text, "  {note}");
    }
    let width = route.actions().map(|action| action.key.chars().count()).max().unwrap_or(0).max(KEY_COLUMNS);
    for (action, event) in actions(route) {
        let lines = describe(action, event, route);
        for (at, line) in lines.iter().enumerate() {
            let key = if at == 0 { action.key.as_str() } else { "" };
            let _ = writeln!(text, "  {}  {line}", style.ink(Ink::Cyan, format_args!("{key:<width$}")));
        }
    }
    if route.default.is_none() {
        let rest = style.ink(Ink::Dim, "(any other)");
        let _ = writeln!(text, "  {rest:<width$}  no call; {}", failure(route));
    }
    text
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Event {
    Connect,
    Message,
    Disconnect,
}

/// In the order of a connection's life.
fn actions(route: &Route) -> Vec<(&Action, Event)> {
    let mut all = Vec::new();
    all.extend(route.connect.as_ref().map(|action| (action, Event::Connect)));
    all.extend(route.keyed.values().map(|action| (action, Event::Message)));
    all.extend(route.default.as_ref().map(|action| (action, Event::Message)));
    all.extend(route.disconnect.as_ref().map(|action| (action, Event::Disconnect)));
    all
}

fn describe(action: &Action, event: Event, route: &Route) -> Vec<String> {
    let mut lines = Vec::new();
    match &action.request {
        None => lines.push(match event {
            Event::Connect => "no call: every handshake is accepted".to_owned(),
            Event::Message | Event::Disconnect => "no call".to_owned(),
        }),
        Some(request) => {
            lines.push(call(request));
            lines.extend(request.headers.iter().map(|header| format!("    with {}: {}", header.name, header.value)));
            lines.extend(body(&request.body, event).map(|body| format!("    {body}")));
            let usual = if event == Event::Connect { route.limits.connect_timeout } else { route.limits.call_timeout };
            if request.timeout != usual {
                lines.push(format!("    within {}", duration(request.timeout)));
            }
        }
    }
    lines.extend(effects(action, event).map(|line| format!("    {line}")));
    lines
}

/// The request line, with its values as they will be filled in.
fn call(request: &RequestPlan) -> String {
    let mut line = format!("{:<6} {}", request.method.as_str(), request.path);
    for (at, (name, value)) in request.query.parameters.iter().enumerate() {
        let _ = write!(line, "{}{name}={value}", if at == 0 { '?' } else { '&' });
    }
    line
}

fn body(body: &BodyPlan, event: Event) -> Option<String> {
    match body {
        BodyPlan::Message if event == Event::Message => Some("body: the message as it is".to_owned()),
        BodyPlan::None | BodyPlan::Message => None,
        BodyPlan::Text(text) => Some(format!("body: {text}, as text")),
        BodyPlan::Json(JsonTemplate::Text(value)) if value.lone().is_some() => Some(format!("body: {value}, as JSON")),
        BodyPlan::Json(json) => Some(format!("body: {}", compact(json))),
    }
}

fn effects(action: &Action, event: Event) -> impl Iterator<Item = String> {
    let list = |names: &[Expression]| names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let outcome = (event == Event::Connect && action.request.is_some())
        .then(|| "2xx: connected; anything else is the answer to the handshake".to_owned());
    let leave = (!action.leave.is_empty()).then(|| format!("leaves {}", list(&action.leave)));
    let join = (!action.join.is_empty()).then(|| format!("joins {}", list(&action.join)));
    let user = action.user.as_ref().map(|user| format!("becomes user {user}"));
    outcome.into_iter().chain(leave).chain(join).chain(user).chain(reply(action, event))
}

fn reply(action: &Action, event: Event) -> Option<String> {
    let Reply { to, envelope, body } = &action.reply;
    let what = match (body, action.request.is_some()) {
        (Some(BodyTemplate::Text(text)), _) => format!("{text}, as text,"),
        (Some(BodyTemplate::Json(json)), _) => compact(json),
        (None, true) => "the answer".to_owned(),
        (None, false) => {
            return (event == Event::Message && to != &ReplyTo::None).then(|| "nothing goes back".to_owned());
        }
    };
    let whom = match to {
        ReplyTo::Sender if event != Event::Message && body.is_none() => return None,
        ReplyTo::Sender => "to the sender".to_owned(),
        ReplyTo::Group(name) => format!("to the group {name}"),
        ReplyTo::User(name) => format!("to the user {name}"),
        ReplyTo::All => "to all of the Service".to_owned(),
        ReplyTo::None if event == Event::Message => return Some("nothing goes back".to_owned()),
        ReplyTo::None => return None,
    };
    Some(format!("{what} goes {whom}{}", if *envelope { ", enveloped" } else { "" }))
}

fn failure(route: &Route) -> &'static str {
    match (route.errors.action, route.errors.body.is_some()) {
        (ErrorAction::Frame, false) => "an error frame, status 404",
        (ErrorAction::Frame, true) => "the error frame of spec.errors",
        (ErrorAction::Close, _) => "the connection is closed with 1011",
        (ErrorAction::None, _) => "nothing goes back",
    }
}

/// What holds for the route as a whole, where it is not the default.
fn notes(manifest: &WebSocketRoute, route: &Route) -> Vec<String> {
    let mut notes = Vec::new();
    let join = |texts: Vec<String>| texts.join(", ");
    if !route.hosts.is_empty() {
        notes.push(format!("hosts: {}", join(route.hosts.iter().map(ToString::to_string).collect())));
    }
    if let OriginPolicy::List(origins) = &route.origins {
        notes.push(format!("pages that may connect: {}", join(origins.iter().map(ToString::to_string).collect())));
    }
    if !route.subprotocols.is_empty() {
        notes.push(format!("subprotocols: {}", route.subprotocols.join(", ")));
    }
    if route.forward_headers_explicit {
        let headers =
            if route.forward_headers.is_empty() { "none".to_owned() } else { route.forward_headers.join(", ") };
        notes.push(format!("headers of the handshake on every call: {headers}"));
    }
    if !route.trusted_proxies.is_empty() {
        notes.push(format!(
            "trusted proxies: {}",
            join(route.trusted_proxies.iter().map(ToString::to_string).collect())
        ));
    }
    for HeaderTemplate { name, value, .. } in &route.headers {
        notes.push(format!("every call: with {name}: {value}"));
    }
    let selection = route.selection.to_string();
    if selection != moorline_crds::v1alpha1::default_selection() {
        notes.push(format!("messages choose their key by {selection}"));
    }
    match (route.errors.action, &route.errors.body) {
        (ErrorAction::Frame, None) => {}
        (ErrorAction::Frame, Some(_)) => notes.push("errors: a frame of the route's own".to_owned()),
        (ErrorAction::Close, _) => notes.push("errors: close with 1011".to_owned()),
        (ErrorAction::None, _) => notes.push("errors: nothing is sent".to_owned()),
    }
    let limits = limits(manifest);
    if !limits.is_empty() {
        notes.push(format!("limits: {}", limits.join(", ")));
    }
    notes
}

/// The limits a manifest sets, as it does: that is shorter than all with their defaults, and what the author looks for.
fn limits(manifest: &WebSocketRoute) -> Vec<String> {
    let limits = manifest.spec.limits.as_ref().and_then(|limits| serde_json::to_value(limits).ok());
    let Some(serde_json::Value::Object(limits)) = limits else { return Vec::new() };
    let shown = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    limits.iter().map(|(name, value)| format!("{name} {}", shown(value))).collect()
}

fn compact(value: &impl serde::Serialize) -> String {
    // A template is JSON by construction.
    serde_json::to_string(value).unwrap_or_default()
}

/// A duration as manifests write it.
fn duration(time: Duration) -> String {
    let ms = time.as_millis();
    let (seconds, rest) = (ms / 1000, ms % 1000);
    match (seconds, rest) {
        (0, rest) => format!("{rest}ms"),
        (seconds, 0) if seconds % 3600 == 0 => format!("{}h", seconds / 3600),
        (seconds, 0) if seconds % 60 == 0 => format!("{}m", seconds / 60),
        (seconds, 0) => format!("{seconds}s"),
        (seconds, rest) => format!("{seconds}s{rest}ms"),
    }
}

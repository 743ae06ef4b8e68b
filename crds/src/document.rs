//! The document: everything a sidecar needs to know to serve the routes of one Service.
//!
//! It is the second level of configuration. What users write has defaults, shorthands and mistakes; what
//! the data plane reads has none of them, so that no code on the path of a message decides what an absent
//! field means. An `Option` here is a choice ("no idle timeout"), never a default to fill in.
//!
//! Invariants: made only by `compile` or `codec::decode`, so selectors are linked and every template valid;
//! no action in `keyed` has a key that starts with `$`.

mod link;
pub(crate) mod millis;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::expression::Expression;
use crate::origin::OriginPolicy;
use crate::pattern::{HostPattern, PathPattern};
use crate::scope::Scope;
use crate::select::Selector;
use crate::template::{BodyTemplate, HeaderTemplate, RequestPlan};

/// The version of the document's format. A sidecar refuses every other one.
pub const FORMAT_VERSION: u32 = 1;

/// The compiled routes of one Service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Document {
    /// [`FORMAT_VERSION`].
    pub format_version: u32,
    /// The Service all routes belong to.
    pub service: ServiceId,
    /// The routes, ordered by their id.
    pub routes: Vec<Route>,
}

/// A Service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceId {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// A `WebSocketRoute`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RouteId {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// One `WebSocketRoute`, compiled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Route {
    /// Which resource it was.
    pub id: RouteId,
    /// The generation of the resource it was compiled from.
    pub generation: i64,
    /// The app's address, as `127.0.0.1:3000`. In a pod the port may be the name of one of the pod's ports, which the
    /// sidecar was told the number of: two pods behind one Service may differ in it.
    pub upstream: String,
    /// Where calls go while that address takes none.
    pub failover: Option<Failover>,
    /// Hosts it serves; empty for all.
    pub hosts: Vec<HostPattern>,
    /// The path it serves.
    pub path: PathPattern,
    /// Subprotocols it speaks, the preferred one first.
    pub subprotocols: Vec<String>,
    /// Pages that may connect.
    pub origins: OriginPolicy,
    /// Headers of the handshake that go with every call, in lower case.
    pub forward_headers: Vec<String>,
    /// Whether the user named those headers. Only then does `cookie` go along for an origin that was
    /// matched by nothing but `*`.
    pub forward_headers_explicit: bool,
    /// Peers whose `X-Forwarded-*` is believed.
    pub trusted_proxies: Vec<ipnet::IpNet>,
    /// Headers for every call.
    pub headers: Vec<HeaderTemplate>,
    /// What selects the action of a message.
    pub selection: Expression,
    /// Runs before the connection is accepted.
    pub connect: Option<Action>,
    /// Runs after the connection ended.
    pub disconnect: Option<Action>,
    /// Runs for messages that select nothing.
    pub default: Option<Action>,
    /// Runs for messages that select its key.
    pub keyed: BTreeMap<String, Action>,
    /// Bounds of every kind.
    pub limits: Limits,
    /// What a client sees of a failed call.
    pub errors: ErrorPolicy,
    #[serde(skip)]
    selector: Selector,
}

/// Where calls go while the app beside the sidecar takes none: to the Service, which knows who is ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Failover {
    /// Host and port of the Service, as `orders.shop.svc:80`.
    Address(String),
    /// The SRV record of a headless Service's named port, as `_http._tcp.orders.shop.svc`: it has no address of its own.
    Srv(String),
}

/// What happens on one event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Action {
    /// The route key.
    pub key: String,
    /// The call; `None` for an action without one.
    pub request: Option<RequestPlan>,
    /// What goes back.
    pub reply: Reply,
    /// Groups the connection joins afterwards.
    pub join: Vec<Expression>,
    /// Groups the connection leaves afterwards.
    pub leave: Vec<Expression>,
    /// The name of the connection's user.
    pub user: Option<Expression>,
    #[serde(skip)]
    response_selector: Option<Selector>,
}

/// What goes back after a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Reply {
    /// To whom.
    pub to: ReplyTo,
    /// Whether it is wrapped with the client's own id and the status.
    pub envelope: bool,
    /// What is sent; `None` for the app's body (and for nothing when there is no call).
    pub body: Option<BodyTemplate>,
}

/// To whom a reply goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ReplyTo {
    /// The connection the message came from.
    Sender,
    /// Every connection in the group of this name.
    Group(Expression),
    /// Every connection of the user of this name.
    User(Expression),
    /// Every connection of the Service.
    All,
    /// Nobody.
    None,
}

/// Bounds of every kind, defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Limits {
    /// Largest message of a client.
    pub message_bytes: usize,
    /// Largest frame of a client.
    pub frame_bytes: usize,
    /// Messages a connection may send per second; `None` for no limit.
    pub messages_per_second: Option<u32>,
    /// Messages a connection may send at once before the rate holds.
    pub message_burst: u32,
    /// What happens to a connection over the rate.
    pub rate_action: RateAction,
    /// Connections of this route in one sidecar.
    pub connections: u32,
    /// Connections accepted per second in one sidecar; `None` for no limit.
    pub accepts_per_second: Option<u32>,
    /// Connections accepted at once before that rate holds.
    pub accept_burst: u32,
    /// Time between pings; `None` for no pings.
    #[serde(rename = "pingIntervalMs", with = "millis::optional")]
    pub ping_interval: Option<Duration>,
    /// Time without data either way after which a connection is closed; `None` for never.
    #[serde(rename = "idleTimeoutMs", with = "millis::optional")]
    pub idle_timeout: Option<Duration>,
    /// Age at which a connection is closed; `None` for never.
    #[serde(rename = "maxAgeMs", with = "millis::optional")]
    pub max_age: Option<Duration>,
    /// By how much, at most, that age is shortened at random.
    pub max_age_jitter_percent: u8,
    /// Calls of one connection at the same time.
    pub in_flight: u16,
    /// How long a call may take when its action says nothing; already part of each `RequestPlan`.
    #[serde(rename = "callTimeoutMs", with = "millis")]
    pub call_timeout: Duration,
    /// How long the call of `$connect` may take when it says nothing.
    #[serde(rename = "connectTimeoutMs", with = "millis")]
    pub connect_timeout: Duration,
    /// Largest answer of the app.
    pub answer_bytes: usize,
    /// Outgoing queue of one connection.
    pub queue_bytes: usize,
    /// Connections to the app.
    pub app_connections: u16,
}

/// What happens to a connection over its message rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)] // documented where users set it: `v1alpha1::RateAction`
pub enum RateAction {
    Wait,
    Close,
}

/// What a client sees of a failed call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ErrorPolicy {
    /// What happens.
    pub action: ErrorAction,
    /// The frame to send instead of the default one.
    pub body: Option<BodyTemplate>,
}

/// What happens when a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)] // documented where users set it: `v1alpha1::ErrorAction`
pub enum ErrorAction {
    Frame,
    Close,
    None,
}

/// What [`Route::new`] makes a route of: the fields of [`Route`] without what is derived from them.
pub(crate) struct RouteParts {
    pub(crate) id: RouteId,
    pub(crate) generation: i64,
    pub(crate) upstream: String,
    pub(crate) failover: Option<Failover>,
    pub(crate) hosts: Vec<HostPattern>,
    pub(crate) path: PathPattern,
    pub(crate) subprotocols: Vec<String>,
    pub(crate) origins: OriginPolicy,
    pub(crate) forward_headers: Vec<String>,
    pub(crate) forward_headers_explicit: bool,
    pub(crate) trusted_proxies: Vec<ipnet::IpNet>,
    pub(crate) headers: Vec<HeaderTemplate>,
    pub(crate) selection: Expression,
    /// All actions, the three special ones included, by their keys.
    pub(crate) actions: BTreeMap<String, Action>,
    pub(crate) limits: Limits,
    pub(crate) errors: ErrorPolicy,
}

impl Route {
    pub(crate) fn new(parts: RouteParts) -> Self {
        let mut keyed = parts.actions;
        Self {
            id: parts.id,
            generation: parts.generation,
            upstream: parts.upstream,
            failover: parts.failover,
            hosts: parts.hosts,
            path: parts.path,
            subprotocols: parts.subprotocols,
            origins: parts.origins,
            forward_headers: parts.forward_headers,
            forward_headers_explicit: parts.forward_headers_explicit,
            trusted_proxies: parts.trusted_proxies,
            headers: parts.headers,
            selection: parts.selection,
            connect: keyed.remove("$connect"),
            disconnect: keyed.remove("$disconnect"),
            default: keyed.remove("$default"),
            keyed,
            limits: parts.limits,
            errors: parts.errors,
            selector: Selector::default(),
        }
        .link()
    }

    /// The selector for the bodies of this route's messages.
    pub fn selector(&self) -> &Selector {
        &self.selector
    }

    /// The action of a message and its key. Never `$connect` or `$disconnect`: those are not in reach of
    /// a key a client can send.
    pub fn choose<S: Scope + ?Sized>(&self, scope: &S) -> Option<(&str, &Action)> {
        self.selection
            .render_all(scope)
            .and_then(|key| self.keyed.get(key.as_ref()))
            .or(self.default.as_ref())
            .map(|action| (action.key.as_str(), action))
    }

    /// Every action.
    pub fn actions(&self) -> impl Iterator<Item = &Action> {
        [&self.connect, &self.disconnect, &self.default].into_iter().flatten().chain(self.keyed.values())
    }
}

impl Action {
    pub(crate) fn new(
        key: String,
        request: Option<RequestPlan>,
        reply: Reply,
        join: Vec<Expression>,
        leave: Vec<Expression>,
        user: Option<Expression>,
    ) -> Self {
        Self { key, request, reply, join, leave, user, response_selector: None }
    }

    /// The selector for the app's answer; `None` when nothing reads its body.
    pub fn response_selector(&self) -> Option<&Selector> {
        self.response_selector.as_ref()
    }
}

impl fmt::Display for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl fmt::Display for RouteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

#[cfg(test)]
mod tests;

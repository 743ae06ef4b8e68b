//! `WebSocketRoute` `moorline.dev/v1alpha1`: what users write.
//!
//! The doc comments of the fields are user documentation: they become the descriptions in the CRD and what
//! `kubectl explain` prints. The types keep text as text (expressions, durations, hosts) and do not parse
//! it: `compile` does, so that all problems of all routes are reported together and with their field,
//! where a parsing type would stop at the first one.
//!
//! Invariants: every string, list and map is bounded, which the cost limits of CEL rules need; a field
//! exists only when something reads it; unknown fields are errors. The schema of an optional enum carries the doc
//! of its type instead of the field's, so for those the user's text is at the type.

// The derive of `KubeSchema` repeats each struct inside a function, where its `pub` reaches nowhere.
#![allow(unreachable_pub)]
// Field docs are shown by kubectl, which does not render Markdown.
#![allow(clippy::doc_markdown)]
// Two printer columns of one type are not a duplicate.
#![allow(clippy::duplicated_attributes)]

mod duration;
mod expose;
mod limits;
mod reply;
mod request;
mod schema;
mod status;

pub use duration::{DurationError, DurationText};
pub use expose::{Expose, ExposeGateway, ExposeIngress, Rollout};
pub use limits::{Limits, RateAction};
pub use reply::{ErrorAction, Errors, Reply, ReplyTarget};
pub use request::Request;
pub use status::{SidecarCounts, WebSocketRouteStatus};

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

/// The group of the resource.
pub const GROUP: &str = "moorline.dev";
/// The version of the resource.
pub const VERSION: &str = "v1alpha1";
/// The kind of the resource.
pub const KIND: &str = "WebSocketRoute";

/// A WebSocketRoute gives an ordinary REST service a WebSocket address. Clients connect to its path; each
/// of their messages becomes an HTTP call on the service, and the service's answers, and whatever it
/// pushes, become messages to the clients.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "moorline.dev",
    version = "v1alpha1",
    kind = "WebSocketRoute",
    plural = "websocketroutes",
    shortname = "wsr",
    namespaced,
    derive = "PartialEq",
    status = "WebSocketRouteStatus",
    doc = "A WebSocketRoute gives an ordinary REST service a WebSocket address.",
    printcolumn(name = "Service", type_ = "string", json_path = ".spec.serviceRef.name"),
    printcolumn(name = "Path", type_ = "string", json_path = ".spec.path"),
    printcolumn(name = "Accepted", type_ = "string", json_path = ".status.conditions[?(@.type==\"Accepted\")].status"),
    printcolumn(
        name = "Programmed",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Programmed\")].status"
    ),
    printcolumn(name = "Sidecars", type_ = "string", json_path = ".status.sidecars.summary"),
    printcolumn(name = "Address", type_ = "string", json_path = ".status.address", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = ("!has(self.expose) || (has(self.hosts) && size(self.hosts) > 0)", "expose needs hosts"))]
pub struct WebSocketRouteSpec {
    /// The Service whose pods run the app, in the namespace of this route. The app stays as it is: it is
    /// called with ordinary HTTP requests. A change of the name closes open connections with code 1001; a change
    /// of the port takes effect with the next call.
    pub service_ref: ServiceRef,

    /// The path clients connect to, as `/ws/{tenant}`. A name in braces captures one segment, which
    /// expressions read as `${request.path.tenant}`. When the paths of two routes match the same request, a
    /// literal segment wins over a capture, segment by segment. A change concerns new connections; open ones keep
    /// what was captured when they were accepted.
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(
        validation = ("self.startsWith('/') && !self.startsWith('//')", "path starts with exactly one /"),
        validation = ("!self.contains('?') && !self.contains('#')", "path holds no ? or #")
    )]
    pub path: String,

    /// The host names this route serves, as `shop.example.com` or `*.example.com` for all names below
    /// `example.com`. The default, an empty list, serves every host. A named host wins over a wildcard, and
    /// both win over a route without hosts. Only new connections are concerned by a change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub hosts: Vec<String>,

    /// The subprotocols the app speaks, the preferred one first. Of those a client offers, which the app reads
    /// in `Moorline-Subprotocols` of its `$connect` call, the connection gets the one the app picks in
    /// `Sec-WebSocket-Protocol` of its answer, else the first of this list; a client that offers none of them is
    /// connected without one. The default is an empty list. A change applies to new connections; open ones keep
    /// theirs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 128)))]
    pub subprotocols: Vec<String>,

    /// The web pages that may connect, as `https://shop.example.com`, `https://*.example.com` (every host
    /// below `example.com`, not `example.com` itself) or `*`. The default, an empty list, allows only pages
    /// of the host that is connected to. Clients that are not browsers send no `Origin` and always pass. A
    /// page that is allowed by nothing but `*` has its `Cookie` header withheld from the app, unless
    /// `forwardHeaders` names it. Open connections are not checked again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 512)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub allowed_origins: Vec<String>,

    /// The headers of the client's handshake that go with every call, so that an app which authenticates
    /// its REST calls needs no change. The default is `[authorization, cookie, user-agent,
    /// accept-language]`; a list replaces it, and an empty list forwards nothing. Headers of the connection
    /// itself, of bodies, and those that Moorline sets cannot be named. The `$connect` call gets all
    /// end-to-end headers of the handshake, whatever this says. A change takes effect with the next call,
    /// also on open connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 128)))]
    pub forward_headers: Option<Vec<String>>,

    /// The proxies in front of Moorline, as addresses or CIDRs (`10.0.0.0/8`). What they say in
    /// `X-Forwarded-*`, `X-Request-Id` and `traceparent` is believed and passed on; from everyone else these
    /// headers are replaced. The default is an empty list. Only new connections are concerned by a change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 64)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub trusted_proxies: Vec<String>,

    /// Headers for every call of this route, name to expression, for instance `Authorization: Bearer
    /// ${request.querystring.access_token}`, since browsers cannot set headers on a handshake. A header is
    /// left out when a value in it is missing or empty. The default is none. A change takes effect with the
    /// next call, also on open connections.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::headers")]
    pub headers: BTreeMap<String, String>,

    /// What selects the entry of `routes` for a message: the entry whose key equals the value of this
    /// expression, else `$default`. The default is `${request.body.action}`. A message that is not JSON, or
    /// lacks the value, goes to `$default`. A change takes effect with the next message, also on open
    /// connections.
    #[serde(default = "default_selection")]
    #[schemars(length(min = 1, max = 1024))]
    pub route_selection_expression: String,

    /// What happens on connect, on each kind of message, and on disconnect. Keys are unique. A change takes
    /// effect with the next message, also on open connections.
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["key".into()]))]
    pub routes: Vec<RouteEntry>,

    /// Bounds on what clients and the app may use. Every bound has a default, and says what a change of it
    /// does to open connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,

    /// What a client sees when a call fails. The default is an error frame. A change takes effect with the
    /// next call, also on open connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<Errors>,

    /// See [`Rollout`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,

    /// How clients outside the cluster reach this route. The default is not at all: the Service `<service>-ws` is
    /// reachable within the cluster, and any Ingress or Gateway of yours can point at it. Needs `hosts`, and an admin
    /// who allows them. A change may close connections that come in through the controller in front.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expose: Option<Expose>,
}

/// A Service in the namespace of the route.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceRef {
    /// The name of the Service.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// The port of the Service the app answers HTTP on, by number or by name.
    #[schemars(schema_with = "schema::port")]
    pub port: IntOrString,
}

/// One entry of `routes`: what happens on one kind of event.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = (
        "!self.key.startsWith('$') || self.key in ['$connect', '$disconnect', '$default']",
        "a key that starts with $ is one of $connect, $disconnect and $default"
    ),
    validation = ("!has(self.user) || self.key == '$connect'", "user is possible only on $connect"),
    validation = (
        "self.key != '$disconnect' || ((!has(self.join) || size(self.join) == 0) && (!has(self.leave) || size(self.leave) == 0))",
        "join and leave are not possible on $disconnect: the connection has left every group"
    ),
    validation = (
        "self.key != '$disconnect' || !has(self.reply) || (has(self.reply.to) && self.reply.to != 'Sender')",
        "a reply on $disconnect cannot go to the sender, who is gone; set to"
    ),
    validation = (
        "!(self.key in ['$connect', '$disconnect']) || !has(self.reply) || !has(self.reply.envelope) || !self.reply.envelope",
        "envelope is possible only for messages"
    )
)]
pub struct RouteEntry {
    /// The value of `routeSelectionExpression` this entry is for, compared exactly. `$connect` runs before
    /// the connection is accepted: an answer other than 2xx becomes the answer to the client's handshake.
    /// `$disconnect` runs after the connection ended. `$default` is for messages no other key matches. A
    /// message can never select `$connect` or `$disconnect`.
    #[schemars(length(min = 1, max = 128))]
    pub key: String,

    /// The HTTP call to make. The default is no call: a `$connect` entry without one accepts the
    /// connection, and the joins and the reply of an entry act at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Request>,

    /// What goes back, and to whom. The default is the body of a 2xx answer to the sender for messages, and
    /// nothing for `$connect` and `$disconnect`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<Reply>,

    /// The groups the connection joins after a 2xx answer, as `tenant-${request.path.tenant}`. A group with a
    /// missing or empty value in its name is not joined. The default is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 1024)))]
    pub join: Vec<String>,

    /// The groups the connection leaves after a 2xx answer, before it joins any. The default is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 1024)))]
    pub leave: Vec<String>,

    /// The name of the connection's user, possible only on `$connect`, as `${response.body.user}`. The
    /// default is no user. Later only the app's `Moorline-User` header changes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub user: Option<String>,
}

/// The default of `routeSelectionExpression`.
pub fn default_selection() -> String {
    "${request.body.action}".to_owned()
}

#[cfg(test)]
mod tests;

//! The `WebSocketRoute` resource, its expression language, and the compiler from routes to a sidecar document.
//!
//! Everything here is pure: no I/O, no clock, no async runtime. The command line, the operator and the
//! sidecar share it, so a route means the same on a laptop, in a test and in a cluster. The way through it
//! is [`v1alpha1`] (what users write) → [`mod@compile`] → [`document`] (what the data plane reads), with
//! [`codec`] for the bytes in between and [`yaml`] for manifests.

pub mod bundle;
pub mod codec;
pub mod compile;
pub mod document;
pub mod expression;
pub mod names;
pub mod origin;
pub mod pattern;
pub mod routing;
pub mod scope;
pub mod select;
pub mod template;
pub mod v1alpha1;
pub mod yaml;

#[cfg(test)]
mod testing;

// The names the data plane and the command line use all the time. What users write (`v1alpha1`) is not
// among them, except for the resource itself: its `Limits` and `Reply` are not those of a document.
pub use codec::{DecodeError, decode, encode};
pub use compile::{Backend, Compiled, Problem, compile, route_id, service_of};
pub use document::{
    Action, Document, ErrorAction, ErrorPolicy, Failover, Limits, RateAction, Reply, ReplyTo, Route, RouteId, ServiceId,
};
pub use expression::{BodyPath, ContextVar, Expression, Source};
pub use origin::{Allowed, OriginPolicy, OriginRefused};
pub use routing::{Found, Router};
pub use scope::{Scope, Value};
pub use select::{Selection, Selector};
pub use template::{
    BodyPlan, BodyTemplate, HeaderTemplate, JsonTemplate, Method, PathTemplate, RenderError, RequestPlan,
};
pub use v1alpha1::WebSocketRoute;

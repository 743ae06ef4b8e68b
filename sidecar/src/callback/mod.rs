//! The callback API: how an application reaches the clients it never sees.
//!
//! Shaped as AWS's `@connections`, so that its SDKs work unchanged, and extended with groups, users, batches and lists.
//! It is served on a listener of its own that is bound to loopback: trust comes from the listener, never from a peer
//! address or a header, because both can be made up once anything forwards requests. What is left to defend against
//! on loopback is a browser on the same machine, which the module `guard` turns away.
//!
//! Invariant: every error has a JSON body. AWS's SDKs fail to parse any other one and then hide the status.

mod answer;
mod batch;
mod body;
mod error;
mod guard;
mod handle;
mod message;
mod path;
mod query;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::{HeaderMap, Method};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use warp::Filter as _;
use warp::filters::BoxedFilter;
use warp::reply::Response;

use crate::budget::Budget;
use crate::hub::Backplane;
use crate::metrics::Metrics;
use crate::serve::{self, ServeLimits};

/// The largest push, unless it is set otherwise.
pub const DEFAULT_MAX_BODY_BYTES: usize = 1024 * 1024;

/// Finds the Services of this process.
pub trait Directory: Send + Sync + fmt::Debug {
    /// The Service, if there is exactly one: paths then need not name it.
    fn only(&self) -> Option<Arc<dyn Backplane>>;
    /// The Service of this name.
    fn find(&self, namespace: &str, name: &str) -> Option<Arc<dyn Backplane>>;
}

/// What the API can do to the process itself.
pub trait Control: Send + Sync + fmt::Debug {
    /// Starts the drain, or joins the one under way; ready when it is complete. Dropping the future must not stop the
    /// drain: a caller that hangs up has not changed its mind.
    fn drain(&self) -> BoxFuture<'static, ()>;
}

/// Is told of every call. Must not block.
pub trait PushObserver: Send + Sync + fmt::Debug {
    /// A call was answered.
    fn pushed(&self, push: &Push<'_>);
}

/// One answered call. Never holds a payload.
#[derive(Clone, Copy, Debug)]
pub struct Push<'a> {
    /// What was asked, as the metric names it: `send`, `publish_group`, ...
    pub operation: &'static str,
    /// The connection, group or user that was named; empty where none is.
    pub target: &'a str,
    /// The status answered.
    pub status: u16,
    /// How many connections took the message, where that is known.
    pub reached: Option<usize>,
    /// The size of the request's body.
    pub body_bytes: usize,
    /// The id of the request, as the answer names it.
    pub request_id: &'a str,
    /// The fixed reason of a failure.
    pub error: Option<&'static str>,
}

/// What the API works on.
#[derive(Debug)]
pub struct CallbackState {
    /// The Services.
    pub directory: Arc<dyn Directory>,
    /// The process.
    pub control: Arc<dyn Control>,
    /// What payloads are charged to.
    pub budget: Arc<Budget>,
    /// Where calls are counted.
    pub metrics: Arc<Metrics>,
    /// Who else is told of calls.
    pub observer: Option<Arc<dyn PushObserver>>,
    /// The largest body.
    pub max_body_bytes: usize,
}

/// An idle connection is kept for longer than the pools of common HTTP clients keep theirs, so that it is they who
/// close it: a request sent into a connection that we just closed fails, and a client may not repeat a POST.
const LIMITS: ServeLimits = ServeLimits {
    max_connections: 1024,
    header_timeout: Duration::from_mins(2),
    max_head_bytes: 64 * 1024,
    keep_alive: true,
    lifetime: None,
    lasting: None,
    finish_within: Duration::from_secs(5),
};

/// Serves the API until `shutdown` is cancelled, then finishes the requests in flight.
pub async fn serve(listener: TcpListener, state: Arc<CallbackState>, shutdown: CancellationToken) {
    serve::serve(listener, filter(state), LIMITS, shutdown).await;
}

/// One filter for every request, because a warp filter that does not match answers in plain text.
fn filter(state: Arc<CallbackState>) -> BoxedFilter<(Response,)> {
    let query = warp::filters::query::raw().or(warp::any().map(String::new)).unify();
    warp::method()
        .and(warp::path::full())
        .and(query)
        .and(warp::header::headers_cloned())
        .and(warp::body::stream())
        .then(move |method: Method, path, query: String, headers: HeaderMap, body| {
            handle::handle(Arc::clone(&state), handle::Request { method, path, query, headers, body })
        })
        .boxed()
}

//! Health and metrics, on a runtime and a thread of their own.
//!
//! A probe that waits behind a thousand admissions would have the kubelet restart an operator for being busy, and one
//! on the operator's own runtime could not tell that this runtime stands still; here it can, because what stands still
//! brings no watch events.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use http::{HeaderValue, Method, StatusCode, header};
use moorline_serve::ServeLimits;
use prometheus_client::registry::Registry;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use warp::filters::BoxedFilter;
use warp::reply::Response;
use warp::{Filter as _, Reply as _};

use crate::certs::Served;

const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const LIMITS: ServeLimits = ServeLimits {
    max_connections: 128,
    header_timeout: Duration::from_secs(5),
    max_head_bytes: 16 * 1024,
    // One request a connection: whoever holds connections open cannot keep the probes out for long.
    keep_alive: false,
    lifetime: Some(Duration::from_secs(10)),
    lasting: None,
    finish_within: Duration::from_secs(2),
};

/// What is known of the watches.
pub trait Watches: Send + Sync + 'static {
    /// Those that brought nothing for so long that they must be taken for dead. A restart is what follows, so one that
    /// knows it cannot reach the API server, and tries, is not one of them.
    fn stale(&self) -> Vec<String>;
    /// Those that have not listed everything yet.
    fn unsynced(&self) -> Vec<String>;
}

/// What health and metrics are told from.
#[derive(Clone)]
pub struct Facts {
    /// For both probes.
    pub watches: Arc<dyn Watches>,
    /// Ready means that the webhook has one.
    pub certificate: Arc<Served>,
    /// The numbers.
    pub registry: Arc<Registry>,
}

/// Why health cannot be told.
#[derive(Debug, Error)]
pub enum HealthError {
    /// There is no thread or no runtime for it.
    #[error("cannot start the health listener: {0}")]
    Start(#[source] std::io::Error),
    /// Its port cannot be had.
    #[error("cannot listen on {address} for health and metrics: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
}

impl HealthError {
    /// A fixed word for logs.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Start(_) => "StartHealth",
            Self::Bind { .. } => "BindHealth",
        }
    }
}

/// The running listener.
pub struct Health {
    address: SocketAddr,
    shutdown: CancellationToken,
    thread: JoinHandle<()>,
}

/// Starts it. When this returns, probes are answered.
pub async fn start(address: SocketAddr, facts: Facts) -> Result<Health, HealthError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(HealthError::Start)?;
    let shutdown = CancellationToken::new();
    let (bound, is_bound) = oneshot::channel();
    let until = shutdown.clone();
    let run = move || {
        runtime.block_on(async move {
            let listener = match bind(address).await {
                Ok((listener, local)) => {
                    // Whoever waits for it is gone only when the process ends.
                    let _ = bound.send(Ok(local));
                    listener
                }
                Err(source) => {
                    let _ = bound.send(Err(source));
                    return;
                }
            };
            moorline_serve::serve(listener, filter(facts), LIMITS, until).await;
        });
    };
    let thread = std::thread::Builder::new().name("health".to_owned()).spawn(run).map_err(HealthError::Start)?;
    let outcome = is_bound.await.unwrap_or_else(|_| Err(std::io::Error::other("the thread ended")));
    let address = outcome.map_err(|source| HealthError::Bind { address, source })?;
    Ok(Health { address, shutdown, thread })
}

impl Health {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Finishes the requests in flight and ends the thread.
    pub async fn stop(self) {
        self.shutdown.cancel();
        let joined = tokio::task::spawn_blocking(move || self.thread.join().is_ok()).await;
        if !joined.unwrap_or_default() {
            tracing::error!("the thread of the health listener has panicked");
        }
    }
}

async fn bind(address: SocketAddr) -> std::io::Result<(TcpListener, SocketAddr)> {
    let listener = moorline_serve::bind(address).await?;
    let local = listener.local_addr()?;
    Ok((listener, local))
}

fn filter(facts: Facts) -> BoxedFilter<(Response,)> {
    warp::method()
        .and(warp::path::full())
        .map(move |method: Method, path: warp::path::FullPath| answer(&facts, &method, path.as_str()))
        .boxed()
}

fn answer(facts: &Facts, method: &Method, path: &str) -> Response {
    if *method != Method::GET {
        let mut refused = page(StatusCode::METHOD_NOT_ALLOWED, "only GET\n".to_owned());
        refused.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET"));
        return refused;
    }
    match path {
        "/livez" => verdict(&problem("these watches are stale", &facts.watches.stale())),
        "/readyz" => {
            let certificate = (!facts.certificate.is_present()).then(|| "the webhook has no certificate\n".to_owned());
            verdict(&(certificate.unwrap_or_default() + &problem("not yet listed", &facts.watches.unsynced())))
        }
        "/metrics" => metrics(&facts.registry),
        _ => page(StatusCode::NOT_FOUND, "not found\n".to_owned()),
    }
}

fn problem(what: &str, names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!("{what}: {}\n", names.join(", ")) }
}

fn verdict(problems: &str) -> Response {
    match problems {
        "" => page(StatusCode::OK, "ok\n".to_owned()),
        problems => page(StatusCode::SERVICE_UNAVAILABLE, problems.to_owned()),
    }
}

fn metrics(registry: &Registry) -> Response {
    let mut text = String::new();
    if prometheus_client::encoding::text::encode(&mut text, registry).is_err() {
        return page(StatusCode::INTERNAL_SERVER_ERROR, "a metric cannot be written\n".to_owned());
    }
    let mut response = page(StatusCode::OK, text);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    response
}

fn page(status: StatusCode, text: String) -> Response {
    let mut response = text.into_response();
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests;

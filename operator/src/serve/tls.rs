//! Serves the webhook over TLS.
//!
//! The accept loop of the other listeners, with a handshake in front. One request a connection: API servers speak
//! HTTP/1.1 to webhooks, and a server that closes an idle connection races with the next request on it, which then
//! fails; under `failurePolicy: Ignore` that is a pod without its sidecar. A handshake costs a millisecond or two, and
//! spreads the requests over the replicas besides. HTTP/2, which can tell the client what was not begun, is not an
//! option: API servers do not offer it.
//!
//! For the same reason the listener outlives the signal to stop by [`TlsLimits::linger`]: the endpoint is taken out of
//! the Service only after it.

use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use moorline_serve::{Bounds, Ends, accept_loop};
use parking_lot::Mutex;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use warp::filters::BoxedFilter;
use warp::reply::Response;

/// How often a refusal of the certificate is worth a line.
const TELL_EVERY: Duration = Duration::from_mins(1);

/// What the listener may use.
#[derive(Debug, Clone, Copy)]
pub struct TlsLimits {
    /// Connections at a time; more wait in the backlog.
    pub max_connections: usize,
    /// How long the handshake may take.
    pub handshake_timeout: Duration,
    /// How long the head of the request may take.
    pub header_timeout: Duration,
    /// The largest head of a request.
    pub max_head_bytes: usize,
    /// How long a connection may live at all after its handshake. API servers wait 30 seconds at most.
    pub lifetime: Duration,
    /// How long connections are still accepted once the shutdown has begun.
    pub linger: Duration,
    /// How long requests in flight may take after that.
    pub finish_within: Duration,
}

impl Default for TlsLimits {
    fn default() -> Self {
        Self {
            max_connections: 256,
            handshake_timeout: Duration::from_secs(5),
            header_timeout: Duration::from_secs(5),
            max_head_bytes: 16 * 1024,
            lifetime: Duration::from_secs(30),
            linger: Duration::from_secs(5),
            finish_within: Duration::from_secs(10),
        }
    }
}

/// Serves the filter until `shutdown` is cancelled and the endpoint is known to be gone, then finishes the requests in
/// flight. The filter must not reject.
///
/// # Cancel safety
///
/// Dropping the future leaves the connections it accepted without an owner; cancel `shutdown` instead.
pub async fn serve(
    listener: TcpListener,
    config: Arc<ServerConfig>,
    filter: BoxedFilter<(Response,)>,
    limits: TlsLimits,
    shutdown: CancellationToken,
) {
    let server = Arc::new(Server { acceptor: TlsAcceptor::from(config), filter, limits, told: Mutex::new(None) });
    let stop = CancellationToken::new();
    let bounds = Bounds { max_connections: limits.max_connections, finish_within: limits.finish_within };
    let accepting = accept_loop(listener, bounds, stop.clone(), |stream, ends| {
        let server = Arc::clone(&server);
        async move { server.serve(stream, &ends).await }
    });
    let stopping = async {
        shutdown.cancelled().await;
        sleep(limits.linger).await;
        stop.cancel();
    };
    tokio::join!(accepting, stopping);
}

struct Server {
    acceptor: TlsAcceptor,
    filter: BoxedFilter<(Response,)>,
    limits: TlsLimits,
    /// When a refused certificate was last told.
    told: Mutex<Option<Instant>>,
}

impl Server {
    async fn serve(&self, stream: TcpStream, ends: &Ends) {
        let stream = match timeout(self.limits.handshake_timeout, self.acceptor.accept(stream)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return self.tell_failure(&error),
            Err(_) => return tracing::debug!("a handshake took too long"),
        };
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.header_timeout)
            .max_buf_size(self.limits.max_head_bytes)
            .keep_alive(false)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(warp::service(self.filter.clone())));
        ends.drive_one(connection, self.limits.lifetime).await;
    }

    /// Scanners and probes end handshakes all the time. A client that refuses the certificate is another matter: it is
    /// the API server, and no pod gets its sidecar.
    fn tell_failure(&self, error: &std::io::Error) {
        let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        let is_refusal = matches!(cause, Some(rustls::Error::AlertReceived(_)));
        let mut told = self.told.lock();
        if !is_refusal || told.is_some_and(|last| last.elapsed() < TELL_EVERY) {
            tracing::debug!(%error, "a handshake failed");
            return;
        }
        *told = Some(Instant::now());
        tracing::warn!(%error, "a client of the webhook refuses its certificate; is the caBundle the right one?");
    }
}

#[cfg(test)]
mod tests;

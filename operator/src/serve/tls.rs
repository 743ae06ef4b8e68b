//! Serves the webhook over TLS.
//!
//! The accept loop of the other listeners, with a handshake in front. HTTP/2 where the client offers it, as the API
//! server does: closing an idle HTTP/1 connection races with the next request on it, which then fails and, under
//! `failurePolicy: Ignore`, leaves a pod without its sidecar; with HTTP/2 the client is told which requests were not
//! begun and sends them elsewhere.
//!
//! For the same reason the listener outlives the signal to stop by [`TlsLimits::linger`]: the endpoint is taken out of
//! the Service only after it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use moorline_serve::{Age, Bounds, Ends, accept_loop};
use parking_lot::Mutex;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use warp::filters::BoxedFilter;
use warp::reply::Response;

/// How often a refusal of the certificate is worth a line.
const TELL_EVERY: Duration = Duration::from_mins(1);

/// What the listener may use.
#[derive(Debug, Clone, Copy)]
pub struct TlsLimits {
    /// Connections at a time; an API server keeps one or two.
    pub max_connections: usize,
    /// Requests at a time on one connection.
    pub max_streams: u32,
    /// How long the handshake may take.
    pub handshake_timeout: Duration,
    /// How long the head of a request may take, and an HTTP/1 connection be idle. Longer than the 90 seconds after which
    /// API servers close idle connections themselves, so that it is they who do.
    pub header_timeout: Duration,
    /// The largest head of a request.
    pub max_head_bytes: u32,
    /// When a connection is asked to end, so that connections spread over replicas that came later.
    pub max_age: Duration,
    /// How long connections are still accepted once the shutdown has begun.
    pub linger: Duration,
    /// How long requests in flight may take after that.
    pub finish_within: Duration,
}

impl Default for TlsLimits {
    fn default() -> Self {
        Self {
            max_connections: 256,
            max_streams: 64,
            handshake_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_mins(2),
            max_head_bytes: 16 * 1024,
            max_age: Duration::from_mins(10),
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
    let streams = Streams::default();
    let server = Arc::new(Server {
        acceptor: TlsAcceptor::from(config),
        filter,
        limits,
        streams: streams.clone(),
        told: Mutex::new(None),
    });
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
    // The connections are gone, so nobody waits for what is still being answered.
    streams.gone.cancel();
    streams.tasks.close();
    streams.tasks.wait().await;
}

/// Runs the requests of HTTP/2 connections, which are tasks of their own, so that they have an owner too.
#[derive(Clone, Default)]
struct Streams {
    tasks: TaskTracker,
    gone: CancellationToken,
}

impl<F> hyper::rt::Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        self.tasks.spawn(self.gone.clone().run_until_cancelled_owned(future));
    }
}

struct Server {
    acceptor: TlsAcceptor,
    filter: BoxedFilter<(Response,)>,
    limits: TlsLimits,
    streams: Streams,
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
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let (io, service) = (TokioIo::new(stream), TowerToHyperService::new(warp::service(self.filter.clone())));
        let age = Age { finish_at: Some(self.limits.max_age), ..Age::default() };
        if is_http2 {
            ends.drive(self.http2().serve_connection(io, service), age).await;
        } else {
            ends.drive(self.http1().serve_connection(io, service), age).await;
        }
    }

    fn http1(&self) -> http1::Builder {
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.header_timeout)
            .max_buf_size(usize::try_from(self.limits.max_head_bytes).unwrap_or(usize::MAX));
        builder
    }

    fn http2(&self) -> http2::Builder<Streams> {
        let mut builder = http2::Builder::new(self.streams.clone());
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(self.limits.max_streams)
            .max_header_list_size(self.limits.max_head_bytes)
            // A peer that vanished without a word would keep its place until the connection is old.
            .keep_alive_interval(Duration::from_secs(30))
            .keep_alive_timeout(Duration::from_secs(10));
        builder
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

//! Serves warp filters on the listeners that are not the clients'.
//!
//! warp has a server of its own, but none of its parts can be set: no `TCP_NODELAY`, no header timeout, no bound on
//! connections, no TLS, and its connection tasks belong to nobody. So only warp's filters are used, as a service under
//! our accept loop. A crate, because the sidecar serves its admin and callback ports with it and the operator its health
//! port and, with TLS under the same loop, the webhook.

mod accept;
pub mod listen;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use warp::filters::BoxedFilter;
use warp::reply::Response;

pub use accept::{Age, Bounds, Ends, accept_loop};
pub use listen::bind;

/// What one listener may use.
#[derive(Clone, Copy, Debug)]
pub struct ServeLimits {
    /// Connections at a time; more wait in the backlog.
    pub max_connections: usize,
    /// How long the head of a request may take. It counts from the end of the answer before, so it is also how long an
    /// idle connection is kept.
    pub header_timeout: Duration,
    /// The largest head of a request, and the size of the read buffer.
    pub max_head_bytes: usize,
    /// Whether a connection serves more than one request.
    pub keep_alive: bool,
    /// How long a connection may live at all.
    pub lifetime: Option<Duration>,
    /// The path whose requests may take longer than that: whoever answers it bounds them.
    pub lasting: Option<&'static str>,
    /// How long requests in flight may take once the shutdown has begun.
    pub finish_within: Duration,
}

/// Serves the filter until `shutdown` is cancelled, then finishes the requests in flight. The filter must not reject:
/// what warp makes of a rejection is plain text.
///
/// # Cancel safety
///
/// Dropping the future leaves the connections it accepted without an owner; cancel `shutdown` instead.
pub async fn serve(
    listener: TcpListener,
    filter: BoxedFilter<(Response,)>,
    limits: ServeLimits,
    shutdown: CancellationToken,
) {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(limits.max_head_bytes)
        .keep_alive(limits.keep_alive);
    let bounds = Bounds { max_connections: limits.max_connections, finish_within: limits.finish_within };
    accept_loop(listener, bounds, shutdown, move |stream, ends| {
        let filter = TowerToHyperService::new(warp::service(filter.clone()));
        let lasts = Arc::<AtomicBool>::default();
        let spared = Arc::clone(&lasts);
        let service = service_fn(move |request: Request<Incoming>| {
            lasts.store(limits.lasting == Some(request.uri().path()), Ordering::Relaxed);
            filter.call(request)
        });
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        let age = Age { drop_at: limits.lifetime, spared };
        async move { ends.drive(connection, age).await }
    })
    .await;
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // tests fail by panicking
    use std::net::SocketAddr;
    use std::sync::atomic::AtomicUsize;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;
    use tokio::sync::{Notify, Semaphore};
    use tokio::time::timeout;
    use tokio_util::task::TaskTracker;
    use warp::{Filter as _, Reply as _};

    use super::*;

    const LIMITS: ServeLimits = ServeLimits {
        max_connections: 2,
        header_timeout: Duration::from_secs(30),
        max_head_bytes: 16 * 1024,
        keep_alive: true,
        lifetime: None,
        lasting: None,
        finish_within: Duration::from_secs(30),
    };

    struct Server {
        address: SocketAddr,
        shutdown: CancellationToken,
        tasks: TaskTracker,
    }

    async fn start(filter: BoxedFilter<(Response,)>, limits: ServeLimits) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (shutdown, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn(serve(listener, filter, limits, shutdown.clone()));
        tasks.close();
        Server { address, shutdown, tasks }
    }

    fn hello() -> BoxedFilter<(Response,)> {
        warp::any().map(|| "hello".into_response()).boxed()
    }

    async fn read_to_end(stream: &mut TcpStream) -> String {
        let mut answer = Vec::new();
        timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await.unwrap().unwrap();
        String::from_utf8(answer).unwrap()
    }

    async fn ask(stream: &mut TcpStream) {
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    }

    async fn answered(stream: &mut TcpStream) {
        let mut answer = vec![0; 12];
        timeout(Duration::from_secs(20), stream.read_exact(&mut answer)).await.unwrap().unwrap();
        assert_eq!(answer, b"HTTP/1.1 200");
    }

    #[tokio::test]
    async fn a_request_in_flight_is_finished_and_then_the_connection_closed() {
        let (begun, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (signal, wait) = (Arc::clone(&begun), Arc::clone(&go));
        let filter = warp::any()
            .then(move || {
                let (signal, wait) = (Arc::clone(&signal), Arc::clone(&wait));
                async move {
                    signal.notify_one();
                    wait.notified().await;
                    "done".into_response()
                }
            })
            .boxed();
        let server = start(filter, LIMITS).await;
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        ask(&mut stream).await;
        begun.notified().await;
        server.shutdown.cancel();
        go.notify_one();
        assert!(read_to_end(&mut stream).await.ends_with("done"));
        server.tasks.wait().await;
    }

    #[tokio::test]
    async fn a_request_that_outlasts_the_shutdown_is_cut_off() {
        let begun = Arc::new(Notify::new());
        let signal = Arc::clone(&begun);
        let filter = warp::any()
            .then(move || {
                signal.notify_one();
                std::future::pending::<Response>()
            })
            .boxed();
        let server = start(filter, ServeLimits { finish_within: Duration::from_millis(20), ..LIMITS }).await;
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        ask(&mut stream).await;
        begun.notified().await;
        server.shutdown.cancel();
        timeout(Duration::from_secs(20), server.tasks.wait()).await.unwrap();
        assert_eq!(read_to_end(&mut stream).await, "");
    }

    #[tokio::test]
    async fn idle_connections_do_not_hold_up_the_shutdown() {
        let server = start(hello(), LIMITS).await;
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        ask(&mut stream).await;
        answered(&mut stream).await;
        server.shutdown.cancel();
        timeout(Duration::from_secs(20), server.tasks.wait()).await.unwrap();
    }

    #[tokio::test]
    async fn a_head_that_does_not_arrive_closes_the_connection() {
        let server = start(hello(), ServeLimits { header_timeout: Duration::from_millis(20), ..LIMITS }).await;
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost:").await.unwrap();
        assert_eq!(read_to_end(&mut stream).await, "");
    }

    #[tokio::test]
    async fn no_more_connections_are_served_at_a_time_than_the_bound() {
        let (active, most, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), Semaphore::new(0));
        let (go, full) = (Arc::new(go), Arc::new(Notify::new()));
        let (now, peak, wait, signal) = (Arc::clone(&active), Arc::clone(&most), Arc::clone(&go), Arc::clone(&full));
        let filter = warp::any()
            .then(move || {
                let (now, peak, wait) = (Arc::clone(&now), Arc::clone(&peak), Arc::clone(&wait));
                let signal = Arc::clone(&signal);
                async move {
                    let count = now.fetch_add(1, Ordering::SeqCst) + 1;
                    peak.fetch_max(count, Ordering::SeqCst);
                    if count == LIMITS.max_connections {
                        signal.notify_one();
                    }
                    drop(wait.acquire().await);
                    now.fetch_sub(1, Ordering::SeqCst);
                    "ok".into_response()
                }
            })
            .boxed();
        let server = start(filter, ServeLimits { keep_alive: false, ..LIMITS }).await;
        let mut clients = Vec::new();
        for _ in 0..8 {
            let mut stream = TcpStream::connect(server.address).await.unwrap();
            ask(&mut stream).await;
            clients.push(stream);
        }
        full.notified().await;
        go.add_permits(1);
        for mut stream in clients {
            answered(&mut stream).await;
        }
        assert_eq!(most.load(Ordering::SeqCst), LIMITS.max_connections);
    }

    #[tokio::test]
    async fn without_keep_alive_a_connection_serves_one_request() {
        let server = start(hello(), ServeLimits { keep_alive: false, ..LIMITS }).await;
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        ask(&mut stream).await;
        assert!(read_to_end(&mut stream).await.ends_with("hello"));
    }

    #[tokio::test]
    async fn a_connection_that_is_never_read_ends_with_its_lifetime() {
        // Larger than the socket buffers of both ends, so that the answer cannot be written in full.
        let filter = warp::any().map(|| vec![b'x'; 64 * 1024 * 1024].into_response()).boxed();
        let limits = ServeLimits { max_connections: 1, lifetime: Some(Duration::from_millis(100)), ..LIMITS };
        let server = start(filter, limits).await;
        let mut stuck = TcpStream::connect(server.address).await.unwrap();
        ask(&mut stuck).await;
        let mut next = TcpStream::connect(server.address).await.unwrap();
        ask(&mut next).await;
        answered(&mut next).await;
    }

    #[tokio::test]
    async fn only_the_lasting_path_may_outlast_the_lifetime_of_a_connection() {
        let (begun, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (signal, wait) = (Arc::clone(&begun), Arc::clone(&go));
        let filter = warp::any()
            .then(move || {
                let (signal, wait) = (Arc::clone(&signal), Arc::clone(&wait));
                async move {
                    signal.notify_one();
                    wait.notified().await;
                    "done".into_response()
                }
            })
            .boxed();
        let limits = ServeLimits { lifetime: Some(Duration::from_millis(50)), lasting: Some("/wait"), ..LIMITS };
        let server = start(filter, limits).await;
        let mut lasting = TcpStream::connect(server.address).await.unwrap();
        lasting.write_all(b"GET /wait?now HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        begun.notified().await;
        let mut other = TcpStream::connect(server.address).await.unwrap();
        ask(&mut other).await;
        // Cut off: by then the lifetime of the first one, which is older, is over too.
        assert_eq!(read_to_end(&mut other).await, "");
        go.notify_waiters();
        assert!(read_to_end(&mut lasting).await.ends_with("done"));
    }
}

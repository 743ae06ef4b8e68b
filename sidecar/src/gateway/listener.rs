//! The clients' listener: accepts sockets within the process-wide limit and serves one HTTP/1.1 request on each.

use std::io::{self, Read as _, Write as _};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};

use super::accept;
use super::shared::{ProcessPermit, Shared};

/// From accept to the end of the request's headers; a client that sends them one byte at a time is dropped.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// The request line and all headers.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// How long to wait after a failed accept. It fails when file descriptors run out, and trying again at once would
/// burn the core that could close some.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);
/// The whole answer to a socket over the process-wide limit.
const FULL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// Accepts until the gateway stops. Sockets that are open then belong to their own tasks.
pub(super) async fn run(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = shared.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((tcp, peer)) => match shared.permit() {
                Some(permit) => {
                    // Not a session: a drain does not wait for sockets that never asked for one.
                    shared.tasks.spawn(serve(Arc::clone(&shared), permit, tcp, peer.ip()));
                }
                None => refuse(&shared, tcp),
            },
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::error!(%error, "cannot accept connections; trying again");
                tokio::time::sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
}

/// Errors of the connection that was to be accepted, not of the listener.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

/// Answers a socket over the limit without spending a task on it. Best effort: the request may not have come yet, and
/// then the client sees a reset.
fn refuse(shared: &Shared, tcp: TcpStream) {
    shared.metrics.unrouted().handshakes.inc("process_full");
    // As a standard socket, which is asked directly: the runtime does not know yet whether this one is ready. It stays
    // non-blocking.
    let Ok(mut tcp) = tcp.into_std() else { return };
    let mut head = [0_u8; 2048];
    let _ = tcp.read(&mut head);
    let _ = tcp.write(FULL);
}

async fn serve(shared: Arc<Shared>, permit: ProcessPermit, tcp: TcpStream, peer: IpAddr) {
    // Without it a small push may wait for the acknowledgement of the one before.
    let _ = tcp.set_nodelay(true);
    let permit = Arc::new(permit);
    let stop = shared.stop.clone();
    let service = service_fn(move |request| {
        let (shared, permit) = (Arc::clone(&shared), Arc::clone(&permit));
        async move { Ok::<_, std::convert::Infallible>(accept::handle(shared, permit, peer, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HANDSHAKE_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(tcp), service)
        .with_upgrades();
    tokio::pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        // What clients do wrong is their business; the text holds none of their bytes.
        tracing::debug!(%error, "a handshake ended early");
    }
}

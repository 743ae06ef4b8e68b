//! The clients' listener: accepts sockets within the process-wide limit and serves one HTTP/1.1 request on each.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
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
/// How long a socket over the process-wide limit is attended to.
const REFUSAL_TIME: Duration = Duration::from_secs(1);
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
                    // A socket for both families shows IPv4 as a part of IPv6.
                    let peer = peer.ip().to_canonical();
                    shared.tasks.spawn(serve(Arc::clone(&shared), permit, tcp, peer));
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

/// Answers a socket over the limit, if a place to do so is free; beyond those it is only closed, since refusing must cost
/// less than serving.
fn refuse(shared: &Arc<Shared>, tcp: TcpStream) {
    shared.metrics.unrouted().handshakes.inc("process_full");
    if let Ok(place) = Arc::clone(&shared.refusals).try_acquire_owned() {
        shared.tasks.spawn(async move {
            // A client that does nothing is not waited for: the time is all it gets.
            let _ = tokio::time::timeout(REFUSAL_TIME, say_full(tcp)).await;
            drop(place);
        });
    }
}

/// Reads something of the request first and what is left of it afterwards: a socket closed with unread input is reset,
/// and the reset destroys the answer.
async fn say_full(mut tcp: TcpStream) -> io::Result<()> {
    let mut head = [0_u8; 1024];
    if tcp.read(&mut head).await? == 0 {
        return Ok(());
    }
    tcp.write_all(FULL).await?;
    tcp.shutdown().await?;
    while tcp.read(&mut head).await? > 0 {}
    Ok(())
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

//! The loop that accepts connections, and what every connection is told about its end.
//!
//! Apart from what is spoken on a connection, because the admin port speaks plain HTTP/1 and the webhook TLS, while
//! the bound, the pause after a failed accept and the order of the end are the same. A connection is a future, so that
//! neither needs a trait for the other's sake. Every connection is a task on one tracker that [`accept_loop`] awaits.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper_util::server::graceful::GracefulConnection;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// First and longest pause after an accept that failed for want of descriptors or memory. Without one the loop would
/// spin, since the connection stays in the backlog and the next accept fails at once.
const ACCEPT_PAUSE: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// What an [`accept_loop`] is held to.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Connections at a time; more wait in the backlog.
    pub max_connections: usize,
    /// How long requests in flight may take once the shutdown has begun.
    pub finish_within: Duration,
}

/// How a connection learns that it has to end.
#[derive(Clone, Debug)]
pub struct Ends {
    shutdown: CancellationToken,
    abort: CancellationToken,
}

impl Ends {
    /// Serves `connection` to its end. At the shutdown it finishes its requests, as long as there is time for them.
    pub async fn drive<C>(&self, connection: C, age: Age)
    where
        C: GracefulConnection,
        C::Error: std::fmt::Display,
    {
        tokio::pin!(connection);
        let expired = age.over();
        tokio::pin!(expired);
        tokio::select! {
            result = &mut connection => return log_end(result),
            () = &mut expired => return,
            () = self.shutdown.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        tokio::select! {
            result = &mut connection => log_end(result),
            () = &mut expired => {}
            () = self.abort.cancelled() => {}
        }
    }

    /// Serves `connection`, which takes one request only. The shutdown does not touch it as long as there is time: its
    /// request may be on its way.
    pub async fn drive_one<E>(&self, connection: impl Future<Output = Result<(), E>>, lifetime: Duration)
    where
        E: std::fmt::Display,
    {
        tokio::select! {
            result = connection => log_end(result),
            () = sleep(lifetime) => {}
            () = self.abort.cancelled() => {}
        }
    }
}

/// How old a connection may become.
#[derive(Clone, Debug, Default)]
pub struct Age {
    /// When it is dropped as it is.
    pub drop_at: Option<Duration>,
    /// Set while it serves a request that may outlast that.
    pub spared: Arc<AtomicBool>,
}

impl Age {
    async fn over(&self) {
        match self.drop_at {
            Some(age) => sleep(age).await,
            None => std::future::pending().await,
        }
        if self.spared.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    }
}

fn log_end<E: std::fmt::Display>(result: Result<(), E>) {
    if let Err(error) = result {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Accepts connections and gives each to `serve`, until `shutdown` is cancelled; then waits for those it has.
///
/// # Cancel safety
///
/// Dropping the future leaves the connections it accepted without an owner; cancel `shutdown` instead.
pub async fn accept_loop<F, S>(listener: TcpListener, bounds: Bounds, shutdown: CancellationToken, serve: S)
where
    F: Future<Output = ()> + Send + 'static,
    S: Fn(TcpStream, Ends) -> F,
{
    let permits = Arc::new(Semaphore::new(bounds.max_connections));
    let tasks = TaskTracker::new();
    let ends = Ends { shutdown: shutdown.clone(), abort: CancellationToken::new() };
    loop {
        // The permit comes first, so that a connection over the bound stays in the backlog and costs nothing.
        let permit = tokio::select! {
            () = shutdown.cancelled() => break,
            permit = Arc::clone(&permits).acquire_owned() => permit,
        };
        let stream = tokio::select! {
            () = shutdown.cancelled() => break,
            stream = accept(&listener) => stream,
        };
        // Answers are small and written in one piece; to hold them back for more would only add latency.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot set TCP_NODELAY");
        }
        let connection = serve(stream, ends.clone());
        tasks.spawn(async move {
            connection.await;
            drop(permit);
        });
    }
    // Closed before the wait: who connects now is refused instead of left hanging in the backlog.
    drop(listener);
    tasks.close();
    if timeout(bounds.finish_within, tasks.wait()).await.is_err() {
        ends.abort.cancel();
        tasks.wait().await;
    }
}

/// The next connection. Pauses after failures that would only repeat.
async fn accept(listener: &TcpListener) -> TcpStream {
    let (mut pause, longest) = ACCEPT_PAUSE;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(pause).await;
                pause = (pause * 2).min(longest);
            }
        }
    }
}

/// Whether the error says something about the connection that was to be accepted and not about the process.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

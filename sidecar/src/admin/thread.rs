//! The thread of the admin listener, with a runtime of its own.
//!
//! Probes must be answered while every worker of the data plane is busy, or the kubelet restarts a pod for being popular,
//! and a report must come while thousands of clients reconnect. Tasks on the data plane's runtime would wait behind its
//! work; a second runtime with one thread costs a few hundred KiB and no lock that the data plane takes.
//!
//! Invariant: the thread ends when it is stopped or its owner is dropped, and [`AdminThread::serve`] returns after it
//! has.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::AdminState;

/// The thread's name, as `ps -T` shows it.
const NAME: &str = "moorline-admin";

/// A thread that waits to serve.
#[derive(Debug)]
pub struct AdminThread {
    start: oneshot::Sender<Start>,
    ended: oneshot::Receiver<()>,
    thread: JoinHandle<()>,
}

struct Start {
    state: Arc<dyn AdminState>,
    shutdown: CancellationToken,
}

impl std::fmt::Debug for Start {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Start")
    }
}

impl AdminThread {
    /// Starts the thread; it serves nothing yet. All that can fail fails here, while a port can still be named.
    pub fn new(listener: TcpListener) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = listener.into_std()?;
        let listener = {
            let _runtime = runtime.enter();
            TcpListener::from_std(listener)?
        };
        let (start, started) = oneshot::channel::<Start>();
        let (end, ended) = oneshot::channel();
        let thread = std::thread::Builder::new().name(NAME.to_owned()).spawn(move || {
            runtime.block_on(async move {
                // An error: the gateway was dropped before it ran.
                if let Ok(Start { state, shutdown }) = started.await {
                    super::serve(listener, state, shutdown).await;
                }
            });
            // Nobody waits when the gateway was dropped.
            let _ = end.send(());
        })?;
        Ok(Self { start, ended, thread })
    }

    /// Serves until `shutdown` is cancelled, then finishes the requests in flight.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops the thread and does not wait for it.
    pub async fn serve(self, state: Arc<dyn AdminState>, shutdown: &CancellationToken) {
        let shutdown = shutdown.child_token();
        let _stop: DropGuard = shutdown.clone().drop_guard();
        // An error in either of these means that the thread has panicked, which joining it tells.
        let _ = self.start.send(Start { state, shutdown });
        let _ = self.ended.await;
        if self.thread.join().is_err() {
            tracing::error!("the admin listener has failed");
        }
    }
}

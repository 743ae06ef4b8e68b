//! The task of one connection: its session, then the `$disconnect` call.
//!
//! Written as a future by hand. An `async fn` keeps its arguments beside the futures it moves them into, which made the
//! task of an idle connection 1808 bytes instead of less than 1 KiB.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::route::RoutePermit;
use super::shared::{ProcessPermit, Shared};
use crate::connection::Connection;
use crate::exchange;
use crate::session::Session;

/// The bookkeeping of a connection that ends however its task ends, by panic too.
pub(super) struct Registered(pub(super) Arc<Connection>);

impl Drop for Registered {
    fn drop(&mut self) {
        self.0.route.service.hub.remove(&self.0);
        self.0.outbox.end();
    }
}

/// A connection from its 101 to the end of its `$disconnect` call.
pub(super) struct ConnectionTask {
    shared: Arc<Shared>,
    connection: Arc<Connection>,
    state: TaskState,
}

#[allow(clippy::large_enum_variant)] // the large one is what an idle connection is; boxing it would only add a pointer
enum TaskState {
    Live {
        session: Session,
        _held: Held,
    },
    /// Boxed: what the call needs must not make every idle connection larger.
    Disconnecting(BoxFuture<'static, ()>),
}

/// What is given back when the session ends.
pub(super) type Held = (Registered, RoutePermit, Arc<ProcessPermit>);

impl ConnectionTask {
    /// The task of a session. `held` is given back before the application is told of the end.
    pub(super) fn new(shared: Arc<Shared>, connection: Arc<Connection>, session: Session, held: Held) -> Self {
        Self { shared, connection, state: TaskState::Live { session, _held: held } }
    }
}

impl Future for ConnectionTask {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let task = self.get_mut();
        loop {
            match &mut task.state {
                TaskState::Disconnecting(call) => return call.poll_unpin(cx),
                TaskState::Live { session, .. } => {
                    let ended = ready!(session.poll_unpin(cx));
                    task.connection.route.current().metrics.closed(ended.code, ended.label());
                    let (shared, connection) = (Arc::clone(&task.shared), Arc::clone(&task.connection));
                    // Replacing the state drops the session and what it held: the socket is closed and the id is gone
                    // before the application hears of it.
                    task.state = TaskState::Disconnecting(
                        async move { exchange::disconnect(&shared, &connection, &ended).await }.boxed(),
                    );
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_task_of_an_idle_connection_is_less_than_a_kibibyte() {
        assert!(size_of::<ConnectionTask>() < 1024, "{}", size_of::<ConnectionTask>());
    }
}

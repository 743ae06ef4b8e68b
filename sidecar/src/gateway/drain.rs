//! The drain: every connection is closed with 1012, spread over a window, each after its call in flight. Those of a
//! removed route are let go of in the same way, with their own code.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rand::seq::SliceRandom as _;
use tokio::time::{Instant, sleep, sleep_until};

use super::shared::Shared;
use crate::closing::CloseCause;
use crate::connection::Connection;

/// How often connections are looked for that were in their handshake when the closes were planned.
const STRAGGLER_ROUND: Duration = Duration::from_millis(50);

/// How far the drain is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DrainPhase {
    /// Nobody has asked for one.
    NotBegun,
    /// Connections are accepted for the grace, or being closed.
    Begun,
    /// No connection is left.
    Ended,
}

/// Starts the drain unless it runs already, and waits until no connection is left.
pub(super) async fn drain(shared: &Arc<Shared>) {
    let begins = shared.phase.send_if_modified(|phase| {
        let begins = *phase == DrainPhase::NotBegun;
        if begins {
            *phase = DrainPhase::Begun;
        }
        begins
    });
    if begins {
        // A task of its own: a caller that hangs up has not changed its mind.
        shared.tasks.spawn(run(Arc::clone(shared)));
    }
    let mut phase = shared.phase.subscribe();
    // An error means that the gateway is gone, and with it every connection.
    let _ = phase.wait_for(|phase| *phase == DrainPhase::Ended).await;
}

async fn run(shared: Arc<Shared>) {
    tracing::info!(connections = shared.connections(), "draining");
    sleep(shared.drain.grace).await;
    shared.refusing.store(true, Ordering::Release);
    close_spread(all(&shared), shared.drain.window, CloseCause::Drain).await;
    close_all(&shared).await;
    tracing::info!("drained");
    shared.phase.send_replace(DrainPhase::Ended);
}

/// Closes the connections of routes that are gone, spread like those of a drain and for the same reason: their clients
/// have as many other places to go to as those of a pod that ends, or as few.
pub(super) async fn let_go(shared: Arc<Shared>, connections: Vec<Arc<Connection>>, cause: CloseCause) {
    // To the end also when a drain begins meanwhile: that waits for these sessions too, and ends no earlier.
    close_spread(connections, shared.drain.window, cause).await;
}

async fn close_spread(mut connections: Vec<Arc<Connection>>, window: Duration, cause: CloseCause) {
    // In random order, so that clients that connected together do not come back together.
    connections.shuffle(&mut rand::rng());
    let start = Instant::now();
    for (connection, at) in connections.iter().zip(schedule(connections.len(), window)) {
        sleep_until(start + at).await;
        connection.outbox.close(cause.order());
    }
}

/// Closes every connection, also those that were in their handshake until now, and waits for the last `$disconnect`.
pub(super) async fn close_all(shared: &Shared) {
    shared.sessions.close();
    let everyone = shared.sessions.wait();
    tokio::pin!(everyone);
    loop {
        for connection in all(shared) {
            connection.outbox.close(CloseCause::Drain.order());
        }
        tokio::select! {
            () = everyone.as_mut() => return,
            () = sleep(STRAGGLER_ROUND) => {}
        }
    }
}

fn all(shared: &Shared) -> Vec<Arc<Connection>> {
    shared.table.load().services().flat_map(|service| service.hub.all()).collect()
}

/// When each of `count` closes happens, evenly over the window; the first at once.
fn schedule(count: usize, window: Duration) -> impl Iterator<Item = Duration> {
    let step = window.checked_div(u32::try_from(count.max(1)).unwrap_or(u32::MAX)).unwrap_or_default();
    (0..u32::try_from(count).unwrap_or(u32::MAX)).map(move |n| step * n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closes_are_spread_evenly_and_end_within_the_window() {
        let window = Duration::from_secs(10);
        let at: Vec<_> = schedule(4, window).collect();
        assert_eq!(at, [0, 2500, 5000, 7500].map(Duration::from_millis));
        assert_eq!(schedule(0, window).count(), 0);
    }
}

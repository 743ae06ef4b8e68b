//! What the tests of the data plane stand on: an app that records, a client that can send any bytes,
//! and a gateway of its own for each test.
//!
//! Nothing here uses the libraries of the data plane to speak HTTP or WebSocket, because a mistake
//! shared by both ends would pass. Nothing sleeps: every wait is for a condition, with a deadline that
//! only a failing test reaches.

pub(crate) mod app;
pub(crate) mod client;
pub(crate) mod dns;
pub(crate) mod frame;
pub(crate) mod http;
pub(crate) mod moorline;
pub(crate) mod received;

use std::future::Future;
use std::time::Duration;

/// How long a test waits for something that happens at once on an idle machine. Long, because a busy
/// two-core machine runs every test at the same time.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// Waits for a condition, and fails the test by name when it does not come true.
pub(crate) async fn within<T>(what: &str, condition: impl Future<Output = T>) -> T {
    let in_time = tokio::time::timeout(DEADLINE, condition).await;
    in_time.unwrap_or_else(|_| panic!("waited {DEADLINE:?} in vain for {what}"))
}

/// Asks again and again until the answer is yes, giving way to the rest of the runtime in between.
pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    within(what, async {
        let mut again = tokio::time::interval(Duration::from_millis(5));
        while !condition() {
            again.tick().await;
        }
    })
    .await;
}

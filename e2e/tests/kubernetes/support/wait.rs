//! Waiting for conditions, with what was seen last in the message when it takes too long.

use std::fmt::Debug;
use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use tokio::time::{sleep, timeout};

/// How long a condition may take on a machine that does many things at a time.
pub(crate) const LONG: Duration = Duration::from_mins(2);
/// Between two looks.
const ROUND: Duration = Duration::from_millis(50);

/// Looks until `done` holds. How long that took.
pub(crate) async fn until<T, F, L, D>(what: &str, look: L, done: D) -> Result<(T, Duration)>
where
    T: Debug,
    F: Future<Output = Result<T>>,
    L: Fn() -> F,
    D: Fn(&T) -> bool,
{
    within(LONG, what, look, done).await
}

/// As [`until`], with a time of its own.
pub(crate) async fn within<T, F, L, D>(limit: Duration, what: &str, look: L, done: D) -> Result<(T, Duration)>
where
    T: Debug,
    F: Future<Output = Result<T>>,
    L: Fn() -> F,
    D: Fn(&T) -> bool,
{
    let start = Instant::now();
    let mut last = String::from("nothing");
    while start.elapsed() < limit {
        // A look that hangs, because the API server is stopped say, must not outlive the limit.
        match timeout(Duration::from_secs(10), look()).await {
            Ok(Ok(seen)) if done(&seen) => return Ok((seen, start.elapsed())),
            Ok(Ok(seen)) => last = format!("{seen:#?}"),
            Ok(Err(error)) => last = format!("{error:#}"),
            Err(_) => "no answer".clone_into(&mut last),
        }
        sleep(ROUND).await;
    }
    bail!("{what}: not within {limit:?}; last seen: {last}")
}

//! Asks sidecars what they serve, while this replica is the leader.
//!
//! The answer is what `Programmed` is made of. Asked and not told: a sidecar that had to report would need the address of
//! the operator and rights at it, and would be one more thing that fails when the operator is down.
//!
//! Invariants: no pod is asked twice at a time; at most [`Poller::concurrency`] are, and [`RATE`] per second.

mod ask;
mod schedule;

use std::sync::Arc;

use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use self::ask::ask_sidecar;
use self::schedule::Schedule;
use crate::bucket::Bucket;
use crate::lease::{Leadership, became};
use crate::metrics::Metrics;
use crate::store::Store;
use crate::store::index::{Answer, Index, PodKey, Standing};

/// Questions per second, and at once.
const RATE: (f64, f64) = (500.0, 100.0);

/// Asks sidecars.
#[derive(Debug)]
pub(crate) struct Poller {
    pub(crate) store: Arc<Store>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) leadership: Leadership,
    /// Questions at a time.
    pub(crate) concurrency: usize,
}

impl Poller {
    /// Asks whenever this replica leads, until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut leader = self.leadership.watch();
        while stop.run_until_cancelled(became(&mut leader, true)).await == Some(true) {
            let term = stop.child_token();
            tokio::select! {
                () = self.lead(&term) => {}
                _ = became(&mut leader, false) => {}
            }
        }
    }

    async fn lead(&self, term: &CancellationToken) {
        let mut schedule = Schedule::default();
        let mut bucket = Bucket::new(RATE.0, RATE.1, Instant::now());
        // Dropped with this future, which aborts the questions that are out: their answers would go nowhere.
        let mut questions: JoinSet<(PodKey, Option<Standing>)> = JoinSet::new();
        let all = self.store.read(Index::pod_keys);
        self.take(&mut schedule, all);
        loop {
            let mut pause = None;
            while questions.len() < self.concurrency && schedule.wake().is_some_and(|at| at <= Instant::now()) {
                if let Err(wait) = bucket.take(Instant::now()) {
                    pause = Some(Instant::now() + wait);
                    break;
                }
                if let Some(key) = schedule.pop(Instant::now()) {
                    self.ask(&mut questions, key);
                }
            }
            let wake = pause.or(schedule.wake()).filter(|_| questions.len() < self.concurrency);
            tokio::select! {
                () = term.cancelled() => break,
                () = self.store.to_ask.notified() => {
                    let changed = self.store.update(Index::take_pods);
                    self.take(&mut schedule, changed);
                }
                Some(finished) = questions.join_next() => match finished {
                    Ok((key, standing)) => schedule.answered(&key, standing, Instant::now(), rand::random()),
                    Err(error) => tracing::error!(%error, "a question ended without a result"),
                },
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {}
            }
        }
    }

    fn take(&self, schedule: &mut Schedule, pods: impl IntoIterator<Item = PodKey>) {
        let now = Instant::now();
        for key in pods {
            match self.store.read(|index| index.ask_target(&key)) {
                Some(target) => schedule.put(key, &target.uid, target.is_behind, now, rand::random()),
                None => schedule.remove(&key),
            }
        }
    }

    fn ask(&self, questions: &mut JoinSet<(PodKey, Option<Standing>)>, key: PodKey) {
        let Some(target) = self.store.read(|index| index.ask_target(&key)) else {
            questions.spawn(async move { (key, None) });
            return;
        };
        let (store, metrics) = (Arc::clone(&self.store), Arc::clone(&self.metrics));
        questions.spawn(async move {
            let (answer, result) = match ask_sidecar(&target.ip).await {
                Ok(report) => (Answer::Report(report), "ok"),
                Err(error) => {
                    let (namespace, pod) = (key.namespace.as_str(), key.name.as_str());
                    tracing::debug!(namespace, pod, ip = %target.ip, %error, "a sidecar did not answer");
                    (Answer::Unreachable, error.reason())
                }
            };
            metrics.polled(result);
            let standing = store.update(|index| index.put_answer(&key, &target.uid, answer, Timestamp::now()));
            (key, standing)
        });
    }
}

//! Tells pods that there is a new document.
//!
//! The kubelet refreshes a volume when it syncs the pod: once a minute, or at once when the pod changes. So an annotation
//! is changed, through the status subresource, which keeps annotations and resets everything else: the operator never
//! needs the right to patch a pod. A queue of its own under one rate for all Services, because a Service of thousands of
//! pods must neither hold a worker for minutes nor the API server for a moment.
//!
//! What a pod is told is made when its turn comes, so that one that waited is told the newest.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use jiff::Timestamp;
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use moorline_crds::names;
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::{is_conflict, is_not_found};
use crate::bucket::Bucket;
use crate::lease::Leadership;
use crate::metrics::Metrics;
use crate::store::Store;
use crate::store::index::{Nudge, PodKey};
use crate::store::objects::Pod;

/// Patches at a time.
const CONCURRENCY: usize = 16;

/// Pods that wait to be told.
#[derive(Debug, Default)]
pub(super) struct Nudges {
    waiting: Mutex<Waiting>,
    added: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    order: VecDeque<PodKey>,
    known: HashSet<PodKey>,
}

impl Waiting {
    fn push(&mut self, key: PodKey) {
        if self.known.insert(key.clone()) {
            self.order.push_back(key);
        }
    }

    fn pop(&mut self) -> Option<PodKey> {
        let key = self.order.pop_front()?;
        self.known.remove(&key);
        Some(key)
    }
}

impl Nudges {
    /// Adds pods to the end of the queue; those that wait already keep their place.
    pub(super) fn add(&self, pods: impl Iterator<Item = PodKey>, metrics: &Metrics) {
        let mut waiting = self.waiting.lock();
        pods.for_each(|pod| waiting.push(pod));
        metrics.nudges_waiting.set(i64::try_from(waiting.order.len()).unwrap_or(i64::MAX));
        drop(waiting);
        self.added.notify_one();
    }

    /// Forgets those that wait: who leads next finds them again.
    pub(super) fn clear(&self) {
        *self.waiting.lock() = Waiting::default();
    }

    fn next(&self, metrics: &Metrics) -> Option<PodKey> {
        let mut waiting = self.waiting.lock();
        let next = waiting.pop();
        metrics.nudges_waiting.set(i64::try_from(waiting.order.len()).unwrap_or(i64::MAX));
        next
    }
}

/// Empties the queue.
pub(super) struct Nudger {
    pub(super) store: Arc<Store>,
    pub(super) client: Client,
    pub(super) metrics: Arc<Metrics>,
    pub(super) leadership: Leadership,
    pub(super) nudges: Arc<Nudges>,
    pub(super) per_second: u32,
}

impl Nudger {
    /// Works until `stop`.
    pub(super) async fn run(self: Arc<Self>, stop: CancellationToken) {
        let per_second = f64::from(self.per_second);
        let mut bucket = Bucket::new(per_second, (per_second / 10.0).max(1.0), Instant::now());
        let slots = Arc::new(Semaphore::new(CONCURRENCY));
        let tasks = TaskTracker::new();
        let work = async {
            loop {
                let Some(key) = self.nudges.next(&self.metrics) else {
                    self.nudges.added.notified().await;
                    continue;
                };
                while let Err(wait) = bucket.take(Instant::now()) {
                    sleep(wait).await;
                }
                let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
                let (nudger, stop) = (Arc::clone(&self), stop.clone());
                tasks.spawn(async move {
                    stop.run_until_cancelled(nudger.tell(&key)).await;
                    drop(slot);
                });
            }
        };
        stop.run_until_cancelled(work).await;
        tasks.close();
        tasks.wait().await;
        self.nudges.clear();
    }

    async fn tell(&self, key: &PodKey) {
        // It may have caught up while it waited.
        let Some(nudge) = self.store.read(|index| index.nudge(key)) else { return };
        if !self.leadership.holds() {
            return;
        }
        let result = match self.patch(key, &nudge).await {
            Ok(_) => "ok",
            Err(error) if is_not_found(&error) || is_conflict(&error) => "gone",
            Err(error) => {
                tracing::warn!(namespace = %key.namespace, pod = %key.name, %error, "a pod cannot be told");
                "error"
            }
        };
        self.metrics.nudged(result);
        // Also one that failed, so that the next attempt waits as long as after one that had no effect.
        self.store.update(|index| index.nudged(key, nudge, Timestamp::now()));
    }

    async fn patch(&self, key: &PodKey, nudge: &Nudge) -> kube::Result<Pod> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &key.namespace);
        let params = PatchParams { field_manager: Some(names::NUDGE_MANAGER.to_owned()), ..PatchParams::default() };
        // The uid makes it fail for another pod of this name.
        let patch = json!({"metadata": {"uid": nudge.uid, "annotations": {names::DOCUMENTS_ANNOTATION: nudge.value}}});
        api.patch_status(&key.name, &params, &Patch::Merge(&patch)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> PodKey {
        PodKey { namespace: "shop".to_owned(), name: name.to_owned() }
    }

    #[test]
    fn a_pod_that_waits_already_is_told_once_and_keeps_its_place() {
        let mut waiting = Waiting::default();
        for name in ["a", "b", "a"] {
            waiting.push(key(name));
        }
        assert_eq!((waiting.pop(), waiting.pop(), waiting.pop()), (Some(key("a")), Some(key("b")), None));
        waiting.push(key("a"));
        assert_eq!(waiting.pop(), Some(key("a")));
    }
}

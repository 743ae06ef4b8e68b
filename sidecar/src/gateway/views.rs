//! The gateway as the callback and admin listeners see it.

use std::fmt;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::drain::{self, DrainPhase};
use super::shared::Shared;
use crate::admin::AdminState;
use crate::callback::{Control, Directory, Push, PushObserver};
use crate::hub::Backplane;
use crate::metrics::{Metrics, UpstreamMetrics};
use crate::observe::{Event as Seen, EventKind, PushSeen};
use crate::report::Report;

/// A view of the shared state.
pub(super) struct View {
    pub(super) shared: Arc<Shared>,
    /// The gauges of the pools, held until the next look: the metrics forget what nobody holds.
    pub(super) pools: Mutex<Vec<Arc<UpstreamMetrics>>>,
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("View")
    }
}

impl Directory for View {
    fn only(&self) -> Option<Arc<dyn Backplane>> {
        self.shared.table.load().only_service()
    }

    fn find(&self, namespace: &str, name: &str) -> Option<Arc<dyn Backplane>> {
        self.shared.table.load().service(namespace, name)
    }
}

impl Control for View {
    fn drain(&self) -> BoxFuture<'static, ()> {
        let shared = Arc::clone(&self.shared);
        async move { drain::drain(&shared).await }.boxed()
    }
}

impl PushObserver for View {
    fn pushed(&self, push: &Push<'_>) {
        if let Some(observer) = &self.shared.observer {
            observer.observe(&Seen {
                request_id: push.request_id,
                status: push.status,
                push: Some(PushSeen { operation: push.operation, target: push.target, reached: push.reached }),
                message_bytes: push.body_bytes,
                error: push.error,
                ..Seen::new(EventKind::Push)
            });
        }
    }
}

impl AdminState for View {
    fn drain(&self) -> watch::Receiver<DrainPhase> {
        self.shared.phase.subscribe()
    }

    fn config_hash(&self) -> String {
        self.shared.table.load().hash()
    }

    fn report(&self) -> Report {
        self.shared.report()
    }

    fn metrics(&self) -> Arc<Metrics> {
        // Gauges of the pools are read when somebody looks, so that calls do not pay for them.
        let mut held = Vec::new();
        for (authority, pool) in self.shared.table.load().pools().all() {
            let stats = pool.stats();
            let gauges = self.shared.metrics.upstream(&authority);
            let set = |gauge: &prometheus_client::metrics::gauge::Gauge, value: usize| {
                gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
            };
            set(&gauges.active, stats.open.saturating_sub(stats.idle));
            set(&gauges.idle, stats.idle);
            set(&gauges.waiting, stats.waiting);
            held.push(gauges);
        }
        *self.pools.lock() = held;
        Arc::clone(&self.shared.metrics)
    }
}

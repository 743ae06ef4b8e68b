//! The index as the webhook and the probes see it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use moorline_inject::RoutedService;
use tokio::sync::watch;

use crate::serve::health::Watches;
use crate::store::Store;
use crate::webhook::Routed;

/// How long a watch may do nothing at all, before the process is taken for stuck. Each is begun again once a minute.
const DEAD_AFTER: Duration = Duration::from_mins(5);

/// The index as the webhook and the probes see it.
pub(super) struct IndexFacts {
    store: Arc<Store>,
    synced: watch::Receiver<bool>,
}

impl IndexFacts {
    pub(super) fn new(store: Arc<Store>) -> Self {
        let synced = store.synced();
        Self { store, synced }
    }
}

impl Routed for IndexFacts {
    fn services_of(&self, namespace: &str, labels: &BTreeMap<String, String>) -> Vec<RoutedService> {
        self.store.routed(namespace, labels)
    }

    fn is_synced(&self) -> bool {
        *self.synced.borrow()
    }
}

impl Watches for IndexFacts {
    fn stale(&self) -> Vec<String> {
        self.store.dead(DEAD_AFTER)
    }

    fn unsynced(&self) -> Vec<String> {
        self.store.unsynced()
    }
}

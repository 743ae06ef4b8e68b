//! What is known about the cluster: watches fill an index, and whoever acts reads one Service of it at a time.
//!
//! One lock around the index, held for microseconds and never across an await; decoding happens before it is taken. The
//! index marks what changed, and two signals wake those who act on it. Every replica keeps its index warm, so that a new
//! leader acts on what it already knows.

pub(crate) mod index;
mod kinds;
pub(crate) mod objects;
mod optional;
mod scope;
mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use moorline_inject::RoutedService;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch as signal};
use tokio::time::Instant;

use self::index::{Index, Reason};
pub(crate) use self::scope::Scope;
pub(crate) use self::watch::Watches;
use crate::api::Pulse;
use crate::metrics::{Metrics, World};
use crate::view::Settings;

/// What is known about the cluster.
pub(crate) struct Store {
    index: Mutex<Index>,
    settings: ArcSwap<Settings>,
    /// Wakes who acts on Services.
    pub(crate) changed: Notify,
    /// Wakes who asks pods.
    pub(crate) to_ask: Notify,
    watches: Mutex<Vec<Arc<Watched>>>,
    synced: signal::Sender<bool>,
    metrics: Arc<Metrics>,
}

/// The state of one watch.
#[derive(Debug)]
pub(crate) struct Watched {
    resource: &'static str,
    namespace: Option<String>,
    /// When the server last answered.
    pulse: Arc<Pulse>,
    /// When anything last happened, a failure too. A watch that fails and goes on is alive: restarting the process would
    /// not bring the API server back.
    life: Pulse,
    is_synced: AtomicBool,
    /// Watches of APIs that a cluster may lack hold nobody up.
    is_optional: bool,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store")
    }
}

impl Store {
    /// One that knows nothing yet.
    pub(crate) fn new(settings: Settings, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            index: Mutex::default(),
            settings: ArcSwap::from_pointee(settings),
            changed: Notify::new(),
            to_ask: Notify::new(),
            watches: Mutex::default(),
            synced: signal::Sender::new(false),
            metrics,
        })
    }

    /// Changes the index, and wakes who has to act on it.
    pub(crate) fn update<T>(&self, change: impl FnOnce(&mut Index) -> T) -> T {
        let (result, (services, pods)) = {
            let mut index = self.index.lock();
            (change(&mut index), index.pending())
        };
        if services {
            self.changed.notify_one();
        }
        if pods {
            self.to_ask.notify_one();
        }
        result
    }

    /// Reads the index.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&Index) -> T) -> T {
        read(&self.index.lock())
    }

    /// What the admin set, and what the cluster can do.
    pub(crate) fn settings(&self) -> Arc<Settings> {
        self.settings.load_full()
    }

    /// The cluster can do something else now.
    pub(crate) fn set_settings(&self, settings: Settings) {
        self.settings.store(Arc::new(settings));
        self.update(|index| index.mark_all(Reason::Settings));
    }

    /// Turns true when everything was listed once, and stays so.
    pub(crate) fn synced(&self) -> signal::Receiver<bool> {
        self.synced.subscribe()
    }

    /// Services with a route that select a pod with these labels, sorted by name.
    pub(crate) fn routed(&self, namespace: &str, labels: &BTreeMap<String, String>) -> Vec<RoutedService> {
        self.read(|index| index.routed(namespace, labels))
    }

    /// Watches of which nothing was heard for this long, not even a failure.
    pub(crate) fn dead(&self, limit: Duration) -> Vec<String> {
        let is_dead = |watch: &&Arc<Watched>| watch.pulse.age().min(watch.life.age()) > limit;
        self.watches.lock().iter().filter(is_dead).map(|watch| watch.title()).collect()
    }

    /// Watches that have not listed yet.
    pub(crate) fn unsynced(&self) -> Vec<String> {
        let watches = self.watches.lock();
        watches.iter().filter(|watch| !watch.is_optional && !watch.is_synced()).map(|watch| watch.title()).collect()
    }

    fn add_watch(&self, watch: Arc<Watched>) {
        self.watches.lock().push(watch);
    }

    fn drop_watch(&self, watch: &Arc<Watched>) {
        self.watches.lock().retain(|known| !Arc::ptr_eq(known, watch));
    }

    /// As if every watch had listed, for tests without any.
    #[cfg(test)]
    pub(crate) fn sync(&self) {
        self.synced.send_replace(true);
    }

    /// A watch has listed.
    fn listed(&self, watch: &Watched) {
        watch.is_synced.store(true, Ordering::Release);
        if self.unsynced().is_empty() {
            self.synced.send_if_modified(|synced| !std::mem::replace(synced, true));
        }
    }
}

impl Watched {
    fn title(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{} of {namespace}", self.resource),
            None => self.resource.to_owned(),
        }
    }

    fn is_synced(&self) -> bool {
        self.is_synced.load(Ordering::Acquire)
    }
}

impl World for Store {
    fn watch_ages(&self) -> Vec<(&'static str, Duration)> {
        let mut oldest: BTreeMap<&'static str, Duration> = BTreeMap::new();
        for watch in self.watches.lock().iter() {
            let age = watch.pulse.age();
            oldest.entry(watch.resource).and_modify(|known| *known = age.max(*known)).or_insert(age);
        }
        oldest.into_iter().collect()
    }

    fn sidecars(&self) -> Vec<(String, u64)> {
        let mut versions: BTreeMap<String, u64> = BTreeMap::new();
        self.read(|index| {
            for version in index.sidecar_versions() {
                match versions.get_mut(version) {
                    Some(count) => *count += 1,
                    None => drop(versions.insert(version.to_owned(), 1)),
                }
            }
        });
        versions.into_iter().collect()
    }

    fn routes(&self) -> Vec<(&'static str, &'static str, u64)> {
        let mut counts: BTreeMap<(&'static str, &'static str), u64> = BTreeMap::new();
        self.read(|index| {
            for route in index.routes() {
                let conditions = route.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
                for wanted in ["Accepted", "ResolvedRefs", "Programmed"] {
                    let found = conditions.iter().find(|condition| condition.type_ == wanted);
                    let status = match found.map(|condition| condition.status.as_str()) {
                        Some("True") => "True",
                        Some("False") => "False",
                        _ => "Unknown",
                    };
                    *counts.entry((wanted, status)).or_default() += 1;
                }
            }
        });
        counts.into_iter().map(|((condition, status), count)| (condition, status, count)).collect()
    }
}

/// When an object of a watch is seen for the first time as a change, and not as part of what was there.
fn appeared(is_change: bool) -> Option<Instant> {
    is_change.then(Instant::now)
}

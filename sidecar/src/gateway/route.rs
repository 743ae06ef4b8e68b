//! A route as connections hold it: a cell that outlives reloads, and what is in it now.
//!
//! Connections keep the cell and read its content per message, so a reload changes live connections by one pointer.
//! A removed route keeps its last content, because its connections still owe a `$disconnect` under it.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::HeaderValue;
use moorline_crds::{Route, RouteId, ServiceId};
use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use tokio::time::Instant;

use crate::exchange::encoded;
use crate::hub::{Backplane, Hub, Local};
use crate::metrics::{KeyMetrics, Metrics, NO_KEY, RouteMetrics};
use crate::rate::TokenBucket;
use crate::upstream::App;

/// One Service of this process: the scope of its groups, users and broadcasts.
#[derive(Debug)]
pub struct Service {
    /// Its name.
    pub id: ServiceId,
    /// Its connections here.
    pub hub: Arc<Hub>,
    /// What its pushes go through.
    pub backplane: Arc<dyn Backplane>,
}

impl Service {
    /// A Service without connections.
    pub fn new(id: ServiceId) -> Self {
        let hub = Arc::new(Hub::default());
        Self { id, backplane: Arc::new(Local::new(Arc::clone(&hub))), hub }
    }
}

/// A route over its reloads.
pub struct RouteCell {
    /// Its name.
    pub id: RouteId,
    /// The Service it belongs to. A route that moves to another Service becomes another cell.
    pub service: Arc<Service>,
    current: ArcSwap<RouteRuntime>,
    open: AtomicUsize,
    accepts: Mutex<Option<(u32, u32, TokenBucket)>>,
    removed: AtomicBool,
}

/// The content of a route now.
pub struct RouteRuntime {
    /// The compiled route.
    pub route: Route,
    /// Its application.
    pub app: App,
    /// The base of the callback API, as the application is told it.
    pub callback_url: HeaderValue,
    /// Its metrics.
    pub metrics: Arc<RouteMetrics>,
    keys: HashMap<String, Key>,
    no_key: Key,
}

struct Key {
    header: HeaderValue,
    metrics: Arc<KeyMetrics>,
}

/// Counts a connection of a route for as long as it is held.
#[derive(Debug)]
pub struct RoutePermit {
    cell: Arc<RouteCell>,
}

impl RouteCell {
    /// A cell with its first content.
    pub fn new(service: Arc<Service>, runtime: RouteRuntime) -> Self {
        Self {
            id: runtime.route.id.clone(),
            service,
            current: ArcSwap::from_pointee(runtime),
            open: AtomicUsize::new(0),
            accepts: Mutex::new(None),
            removed: AtomicBool::new(false),
        }
    }

    /// The content now.
    pub fn current(&self) -> Arc<RouteRuntime> {
        self.current.load_full()
    }

    /// Replaces the content.
    pub fn replace(&self, runtime: RouteRuntime) {
        self.current.store(Arc::new(runtime));
    }

    /// Notes that no document has the route any more. Set before its connections are looked for, and asked after one is
    /// registered, so that a handshake under way at that moment is not missed.
    pub(super) fn remove(&self) {
        self.removed.store(true, Ordering::SeqCst);
    }

    /// Whether the route is gone.
    pub(super) fn is_removed(&self) -> bool {
        self.removed.load(Ordering::SeqCst)
    }

    /// Takes a token of the accept rate, or says how long to wait.
    pub fn admit(&self, now: Instant) -> Result<(), Duration> {
        let runtime = self.current.load();
        let limits = &runtime.route.limits;
        let Some(rate) = limits.accepts_per_second else { return Ok(()) };
        let mut accepts = self.accepts.lock();
        // A reload that changes the rate starts a new bucket.
        if accepts.as_ref().is_none_or(|(known, burst, _)| (*known, *burst) != (rate, limits.accept_burst)) {
            *accepts = Some((rate, limits.accept_burst, TokenBucket::new(rate.into(), limits.accept_burst, now)));
        }
        match accepts.as_mut() {
            Some((.., bucket)) => bucket.take(now).map_err(|next| next - now),
            None => Ok(()),
        }
    }

    /// Counts a connection against the route's limit.
    pub fn permit(self: &Arc<Self>) -> Option<RoutePermit> {
        let runtime = self.current.load();
        let limit = usize::try_from(runtime.route.limits.connections).unwrap_or(usize::MAX);
        self.open.try_update(Ordering::AcqRel, Ordering::Acquire, |open| (open < limit).then_some(open + 1)).ok()?;
        runtime.metrics.connections.inc();
        Some(RoutePermit { cell: Arc::clone(self) })
    }
}

impl Drop for RoutePermit {
    fn drop(&mut self) {
        self.cell.open.fetch_sub(1, Ordering::AcqRel);
        self.cell.current.load().metrics.connections.dec();
    }
}

impl RouteRuntime {
    /// The content for a compiled route.
    pub fn new(route: Route, app: App, callback_url: HeaderValue, metrics: &Metrics) -> Self {
        let route_metrics = metrics.route(&route.id);
        let key = |name: &str| Key { header: encoded(name), metrics: route_metrics.key(name) };
        let keys = route.actions().map(|action| (action.key.clone(), key(&action.key))).collect::<HashMap<_, _>>();
        route_metrics.retain_keys(|name| name == NO_KEY || keys.contains_key(name));
        let no_key = key(NO_KEY);
        Self { route, app, callback_url, metrics: route_metrics, keys, no_key }
    }

    fn entry(&self, key: &str) -> &Key {
        self.keys.get(key).unwrap_or(&self.no_key)
    }

    /// The route key as a header.
    pub fn route_key_header(&self, key: &str) -> HeaderValue {
        self.entry(key).header.clone()
    }

    /// The metrics of a key.
    pub fn key(&self, key: &str) -> &KeyMetrics {
        &self.entry(key).metrics
    }

    /// The counter of messages that chose a key; the empty key is of those that chose none.
    pub fn messages(&self, key: &str) -> &Counter {
        &self.entry(key).metrics.messages
    }

    /// The maximum age, shortened at random by up to the jitter, so that connections that began together do not end
    /// together.
    pub fn jittered_max_age(&self) -> Option<Duration> {
        let age = self.route.limits.max_age?;
        let jitter = f64::from(self.route.limits.max_age_jitter_percent.min(100)) / 100.0;
        Some(age.mul_f64(1.0 - jitter * rand::random::<f64>()))
    }
}

impl fmt::Debug for RouteCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouteCell").field("id", &self.id).finish_non_exhaustive()
    }
}

impl fmt::Debug for RouteRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouteRuntime").field("route", &self.route.id).finish_non_exhaustive()
    }
}

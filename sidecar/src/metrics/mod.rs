//! The numbers of the process, as Prometheus reads them.
//!
//! The parts of the data plane hold handles to their own numbers ([`RouteMetrics`], [`KeyMetrics`],
//! [`UpstreamMetrics`]) and update them with one atomic addition; a scrape walks over what exists at that moment. So
//! forgetting a route is dropping one entry, not deleting its labels from ten families. Every label value is a name
//! from a document or one of a fixed set: nothing a client sends can make a time series.

mod collect;
mod histogram;
mod labelled;
mod process;
mod route;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::encoding::prometheus_text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

pub use histogram::Histogram;
pub use labelled::{Label, Labelled};
pub use route::{KeyMetrics, NO_KEY, RouteMetrics};

use crate::budget::Budget;

/// The media type of what [`Metrics::encode`] returns.
pub const CONTENT_TYPE: &str = prometheus_text::CONTENT_TYPE;

/// The route of handshakes that matched none.
const NO_ROUTE: &str = "none";

/// All numbers of the process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    live: Arc<Live>,
    /// Frames handed to the sockets of clients.
    pub frames_sent: Counter,
    /// Connections closed because they did not read what they were sent.
    pub slow_consumers: Counter,
    /// Frames and answers whose connection had gone before they were written.
    pub undeliverable: Counter,
    /// `$disconnect` calls that failed.
    pub disconnect_calls_failed: Counter,
    /// Answer headers with an invalid value.
    pub ignored_answer_headers: Counter,
    /// The most connections the process takes.
    pub max_connections: Gauge,
}

/// The numbers that come and go, and those under labels.
#[derive(Debug)]
struct Live {
    routes: Mutex<BTreeMap<String, Arc<RouteMetrics>>>,
    upstreams: Mutex<BTreeMap<String, Arc<UpstreamMetrics>>>,
    unrouted: Arc<RouteMetrics>,
    pushes: Labelled<(&'static str, &'static str), 128>,
    reloads: Labelled<&'static str, 4>,
    budget: Arc<Budget>,
}

/// The connections to one app.
#[derive(Debug, Default)]
pub struct UpstreamMetrics {
    /// Connections with a call in flight.
    pub active: Gauge,
    /// Connections kept alive for the next call.
    pub idle: Gauge,
    /// Calls that wait for a connection.
    pub waiting: Gauge,
}

/// How a reload ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// Something changed and was taken up.
    Applied,
    /// The documents were those already in use.
    Unchanged,
    /// The documents were refused; the old ones stay.
    Refused,
}

impl Metrics {
    /// The numbers of a process whose buffers are charged to `budget`.
    pub fn new(budget: Arc<Budget>) -> Arc<Self> {
        let live = Arc::new(Live {
            routes: Mutex::default(),
            upstreams: Mutex::default(),
            unrouted: Arc::default(),
            pushes: Labelled::default(),
            reloads: Labelled::default(),
            budget,
        });
        let mut metrics = Self {
            registry: Registry::default(),
            live: Arc::clone(&live),
            frames_sent: Counter::default(),
            slow_consumers: Counter::default(),
            undeliverable: Counter::default(),
            disconnect_calls_failed: Counter::default(),
            ignored_answer_headers: Counter::default(),
            max_connections: Gauge::default(),
        };
        let mut registry = Registry::default();
        let ours = registry.sub_registry_with_prefix("moorline");
        for (name, help, counter) in [
            ("frames_sent", "Frames handed to the sockets of clients", &metrics.frames_sent),
            ("slow_consumers", "Connections closed because they did not read", &metrics.slow_consumers),
            ("undeliverable", "Frames and answers whose connection had gone", &metrics.undeliverable),
            ("disconnect_calls_failed", "$disconnect calls that failed", &metrics.disconnect_calls_failed),
            ("ignored_answer_headers", "Answer headers with an invalid value", &metrics.ignored_answer_headers),
        ] {
            ours.register(name, help, counter.clone());
        }
        ours.register("max_connections", "The most connections the process takes", metrics.max_connections.clone());
        ours.register("build", "The version of the process", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        ours.register_collector(Box::new(live));
        registry.register_collector(Box::new(process::Process));
        metrics.registry = registry;
        Arc::new(metrics)
    }

    /// The handles of a route, named `namespace/name`. A route that was forgotten and comes back counts on.
    pub fn route(&self, route: &impl fmt::Display) -> Arc<RouteMetrics> {
        let metrics = Arc::clone(self.live.routes.lock().entry(route.to_string()).or_default());
        metrics.retire(false);
        metrics
    }

    /// Forgets a route as soon as nobody holds its handles: its connections are still to end, and their closes count.
    pub fn forget_route(&self, route: &impl fmt::Display) {
        if let Some(metrics) = self.live.routes.lock().get(&route.to_string()) {
            metrics.retire(true);
        }
    }

    /// Where handshakes count that matched no route. Its other numbers are not shown.
    pub fn unrouted(&self) -> Arc<RouteMetrics> {
        Arc::clone(&self.live.unrouted)
    }

    /// The handles of an app, named by its address. Forgotten when nobody else holds them.
    pub fn upstream(&self, upstream: &impl fmt::Display) -> Arc<UpstreamMetrics> {
        Arc::clone(self.live.upstreams.lock().entry(upstream.to_string()).or_default())
    }

    /// Counts a call of the callback API.
    pub fn pushed(&self, operation: &'static str, status: u16) {
        self.live.pushes.inc((operation, status_label(status)));
    }

    /// How many calls of the callback API ended like this.
    pub fn pushes(&self, operation: &'static str, status: u16) -> u64 {
        self.live.pushes.get((operation, status_label(status)))
    }

    /// Counts a reload.
    pub fn reloaded(&self, result: Reload) {
        self.live.reloads.inc(match result {
            Reload::Applied => "applied",
            Reload::Unchanged => "unchanged",
            Reload::Refused => "refused",
        });
    }

    /// All numbers in the text form of [`CONTENT_TYPE`].
    pub fn encode(&self) -> String {
        self.live.prune();
        let mut text = String::new();
        // Writing to a `String` does not fail.
        let _ = prometheus_text::encode(&mut text, &self.registry);
        text
    }
}

/// The statuses the callback API answers with.
fn status_label(status: u16) -> &'static str {
    match status {
        200 => "200",
        204 => "204",
        400 => "400",
        403 => "403",
        404 => "404",
        405 => "405",
        408 => "408",
        410 => "410",
        413 => "413",
        429 => "429",
        500 => "500",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // tests fail by panicking
    use std::time::Duration;

    use super::*;

    fn metrics() -> Arc<Metrics> {
        Metrics::new(Budget::new(1000))
    }

    #[test]
    fn every_family_is_shown_under_its_name() {
        let metrics = metrics();
        let route = metrics.route(&"shop/orders");
        route.connections.inc();
        route.handshakes.inc("accepted");
        route.closed(1000, "closed by the client");
        route.failed_over.inc("ok");
        let key = route.key("order");
        key.messages.inc();
        key.called("ok", Duration::from_millis(3));
        metrics.unrouted().handshakes.inc("RouteNotFound");
        metrics.pushed("send", 200);
        metrics.reloaded(Reload::Applied);
        let held = metrics.upstream(&"127.0.0.1:3000");
        held.idle.set(2);
        let text = metrics.encode();
        for line in [
            r#"moorline_connections{route="shop/orders"} 1"#,
            r#"moorline_handshakes_total{route="shop/orders",outcome="accepted"} 1"#,
            r#"moorline_handshakes_total{route="none",outcome="RouteNotFound"} 1"#,
            r#"moorline_messages_total{route="shop/orders",key="order"} 1"#,
            r#"moorline_calls_total{route="shop/orders",key="order",outcome="ok"} 1"#,
            r#"moorline_call_duration_seconds_count{route="shop/orders",key="order"} 1"#,
            r#"moorline_call_duration_seconds_bucket{route="shop/orders",key="order",le="0.005"} 1"#,
            r#"moorline_calls_failed_over_total{route="shop/orders",outcome="ok"} 1"#,
            r#"moorline_closes_total{route="shop/orders",code="1000",cause="closed by the client"} 1"#,
            "moorline_frames_sent_total 0",
            "moorline_slow_consumers_total 0",
            "moorline_undeliverable_total 0",
            "moorline_disconnect_calls_failed_total 0",
            "moorline_ignored_answer_headers_total 0",
            "moorline_max_connections 0",
            "moorline_queue_bytes 0",
            r#"moorline_pushes_total{operation="send",status="200"} 1"#,
            r#"moorline_reloads_total{result="applied"} 1"#,
            r#"moorline_app_connections{upstream="127.0.0.1:3000",state="idle"} 2"#,
            concat!(r#"moorline_build_info{version=""#, env!("CARGO_PKG_VERSION"), r#""} 1"#),
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn the_bytes_in_queues_are_those_charged_to_the_budget() {
        let budget = Budget::new(1000);
        let metrics = Metrics::new(Arc::clone(&budget));
        let _held = budget.charge(bytes::Bytes::from_static(b"1234567"));
        assert!(metrics.encode().contains("moorline_queue_bytes 7\n"));
    }

    #[test]
    fn a_forgotten_route_is_shown_until_its_last_holder_is_gone() {
        let metrics = metrics();
        let held = metrics.route(&"a/b");
        metrics.forget_route(&"a/b");
        held.closed(1001, "route removed");
        assert!(metrics.encode().contains(r#"moorline_closes_total{route="a/b",code="1001",cause="route removed"} 1"#));
        drop(held);
        assert!(!metrics.encode().contains("a/b"));
    }

    #[test]
    fn a_route_that_comes_back_before_it_is_forgotten_counts_on() {
        let metrics = metrics();
        let held = metrics.route(&"a/b");
        held.handshakes.inc("accepted");
        metrics.forget_route(&"a/b");
        drop(metrics.route(&"a/b"));
        drop(held);
        assert_eq!(metrics.route(&"a/b").handshakes.get("accepted"), 1);
        assert!(metrics.encode().contains("a/b"));
    }

    #[test]
    fn names_with_quotes_and_line_ends_cannot_break_the_text() {
        let metrics = metrics();
        let route = metrics.route(&"a/b");
        route.key("x\"} 1\nevil_metric{y=\"").messages.inc();
        let text = metrics.encode();
        assert!(!text.lines().any(|line| line.starts_with("evil_metric")), "{text}");
    }

    #[test]
    fn each_name_has_one_type_line() {
        let metrics = metrics();
        drop(metrics.route(&"a/b"));
        drop(metrics.route(&"c/d"));
        let text = metrics.encode();
        let mut types: Vec<_> = text.lines().filter(|line| line.starts_with("# TYPE")).collect();
        let all = types.len();
        types.sort_unstable();
        types.dedup();
        assert_eq!(types.len(), all, "{text}");
    }
}

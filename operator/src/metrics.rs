//! The numbers of the operator, as Prometheus reads them.
//!
//! Counters are handles that the parts update; what is a state of the world (pods by version, routes by condition, the
//! age of watches) is not kept beside it but read from the index when Prometheus asks, so that the two cannot differ.
//! Every label takes values from a fixed list or names of versions; no name of a route or pod makes a time series.
//! `docs/operator-metrics.md` lists them, and a test compares.

mod process;

use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabelSet, EncodeLabelValue, EncodeMetric as _, LabelValueEncoder,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

pub(crate) use self::process::Process;

/// What comes before every name but those of the process.
pub const PREFIX: &str = "moorline_operator";

/// Upper bounds in seconds for what takes milliseconds.
const SHORT: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 10.0];
/// Upper bounds in seconds for delivery. The goal is two.
const DELIVERY: [f64; 14] = [0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0, 300.0];

/// A fixed word as the value of a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Word(pub &'static str);

impl EncodeLabelValue for Word {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        encoder.write_str(self.0)
    }
}

/// Labels of [`Metrics::reconciles`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReconcileLabels {
    reason: Word,
    result: Word,
}

/// Labels of [`Metrics::api_calls`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ApiLabels {
    verb: Word,
    resource: Word,
    result: Word,
}

/// The only label of a family.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ResultLabel {
    result: Word,
}

/// The only label of a family.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReasonLabel {
    reason: Word,
}

/// The only label of a family.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ResourceLabel {
    resource: Word,
}

/// All numbers but those of the webhook and the certificates, which register their own.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    reconciles: Family<ReconcileLabels, Counter>,
    reconcile_seconds: ShortHistograms,
    api_calls: Family<ApiLabels, Counter>,
    undecodable: Family<ResourceLabel, Counter>,
    watch_failures: Family<ResourceLabel, Counter>,
    nudges: Family<ResultLabel, Counter>,
    polls: Family<ResultLabel, Counter>,
    restarts: Family<ResultLabel, Counter>,
    evictions: Family<ResultLabel, Counter>,
    events: Family<ResultLabel, Counter>,
    /// Services that wait to be looked at.
    pub queue_depth: Gauge,
    /// Pods that wait to be told of a new document.
    pub nudges_waiting: Gauge,
    /// Whether this process is the leader.
    pub leader: Gauge,
    programmed_seconds: DeliveryHistogram,
}

/// A histogram over [`DELIVERY`].
#[derive(Debug, Clone)]
struct DeliveryHistogram(Histogram);

impl Default for DeliveryHistogram {
    fn default() -> Self {
        Self(Histogram::new(DELIVERY))
    }
}

/// Histograms over [`SHORT`].
#[derive(Debug, Clone)]
struct ShortHistograms(Family<ReasonLabel, Histogram, fn() -> Histogram>);

impl Default for ShortHistograms {
    fn default() -> Self {
        Self(Family::new_with_constructor(|| Histogram::new(SHORT)))
    }
}

impl Metrics {
    /// Registers everything in a registry that puts [`PREFIX`] before the names.
    pub fn register(registry: &mut Registry) -> Arc<Self> {
        let metrics = Self::default();
        registry.register("reconciles", "Looks at one Service, by what caused them", metrics.reconciles.clone());
        let help = "How long they took, the calls included";
        registry.register("reconcile_seconds", help, metrics.reconcile_seconds.0.clone());
        registry.register("api_calls", "Calls to the API server", metrics.api_calls.clone());
        let help = "Objects that could not be decoded and were left out";
        registry.register("undecodable_objects", help, metrics.undecodable.clone());
        registry.register("watch_failures", "Lists and watches that failed", metrics.watch_failures.clone());
        registry.register("nudges", "Pods told of a new document", metrics.nudges.clone());
        registry.register("polls", "Sidecars asked what they serve", metrics.polls.clone());
        registry.register("restarts", "Workloads restarted", metrics.restarts.clone());
        registry.register("evictions", "Pods evicted", metrics.evictions.clone());
        registry.register("events", "Events written", metrics.events.clone());
        registry.register("queue_depth", "Services that wait to be looked at", metrics.queue_depth.clone());
        registry.register("nudges_waiting", "Pods that wait to be told", metrics.nudges_waiting.clone());
        registry.register("leader", "Whether this process is the leader", metrics.leader.clone());
        let help = "From seeing a new generation of a route to all sidecars serving it";
        registry.register("programmed_seconds", help, metrics.programmed_seconds.0.clone());
        registry.register("build", "The version of the process", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        Arc::new(metrics)
    }

    pub(crate) fn reconciled(&self, reason: &'static str, result: &'static str, took: Duration) {
        self.reconciles.get_or_create(&ReconcileLabels { reason: Word(reason), result: Word(result) }).inc();
        self.reconcile_seconds.0.get_or_create(&ReasonLabel { reason: Word(reason) }).observe(took.as_secs_f64());
    }

    pub(crate) fn called(&self, verb: &'static str, resource: &'static str, result: &'static str) {
        let labels = ApiLabels { verb: Word(verb), resource: Word(resource), result: Word(result) };
        self.api_calls.get_or_create(&labels).inc();
    }

    pub(crate) fn could_not_decode(&self, resource: &'static str) {
        self.undecodable.get_or_create(&ResourceLabel { resource: Word(resource) }).inc();
    }

    pub(crate) fn watch_failed(&self, resource: &'static str) {
        self.watch_failures.get_or_create(&ResourceLabel { resource: Word(resource) }).inc();
    }

    pub(crate) fn nudged(&self, result: &'static str) {
        self.nudges.get_or_create(&ResultLabel { result: Word(result) }).inc();
    }

    pub(crate) fn polled(&self, result: &'static str) {
        self.polls.get_or_create(&ResultLabel { result: Word(result) }).inc();
    }

    pub(crate) fn restarted(&self, result: &'static str) {
        self.restarts.get_or_create(&ResultLabel { result: Word(result) }).inc();
    }

    pub(crate) fn evicted(&self, result: &'static str) {
        self.evictions.get_or_create(&ResultLabel { result: Word(result) }).inc();
    }

    pub(crate) fn told(&self, result: &'static str) {
        self.events.get_or_create(&ResultLabel { result: Word(result) }).inc();
    }

    pub(crate) fn programmed(&self, after: Duration) {
        self.programmed_seconds.0.observe(after.as_secs_f64());
    }
}

/// What is read from elsewhere at each scrape.
pub(crate) trait World: Send + Sync + fmt::Debug {
    /// Each watch and how long ago it last gave a sign of life.
    fn watch_ages(&self) -> Vec<(&'static str, Duration)>;
    /// Pods with a sidecar, by its version.
    fn sidecars(&self) -> Vec<(String, u64)>;
    /// Routes by condition and its status.
    fn routes(&self) -> Vec<(&'static str, &'static str, u64)>;
}

/// Puts a [`World`] into a registry.
#[derive(Debug)]
pub(crate) struct WorldCollector(pub(crate) Arc<dyn World>);

impl Collector for WorldCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let help = "How long ago a watch last gave a sign of life; the oldest where there are several of a resource";
        let mut family = encoder.encode_descriptor("watch_age_seconds", help, None, MetricType::Gauge)?;
        for (resource, age) in self.0.watch_ages() {
            ConstGauge::new(age.as_secs_f64()).encode(family.encode_family(&[("resource", resource)])?)?;
        }
        let help = "Pods with a sidecar by its version";
        let mut family = encoder.encode_descriptor("sidecars", help, None, MetricType::Gauge)?;
        for (version, count) in self.0.sidecars() {
            gauge(count).encode(family.encode_family(&[("version", version.as_str())])?)?;
        }
        let help = "Routes by condition and its status";
        let mut family = encoder.encode_descriptor("routes", help, None, MetricType::Gauge)?;
        for (condition, status, count) in self.0.routes() {
            gauge(count).encode(family.encode_family(&[("condition", condition), ("status", status)])?)?;
        }
        Ok(())
    }
}

fn gauge(count: u64) -> ConstGauge<i64> {
    ConstGauge::new(i64::try_from(count).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;

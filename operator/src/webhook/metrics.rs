//! The numbers about admissions.

use std::time::Duration;

use moorline_inject::Asked;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// From a small pod on an idle machine to the five seconds that the API server waits.
const SECONDS: [f64; 10] = [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0];

type Labels = [(&'static str, &'static str); 2];

/// The numbers about admissions. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics {
    admissions: Family<Labels, Counter>,
    seconds: Histogram,
}

impl Metrics {
    /// Adds them to `registry`, whose prefix is the operator's.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self { admissions: Family::default(), seconds: Histogram::new(SECONDS) };
        registry.register(
            "admissions",
            "Pods the webhook was asked about, by what came of it",
            metrics.admissions.clone(),
        );
        registry.register(
            "admission_seconds",
            "How long answers of the webhook took, from the head of the request",
            metrics.seconds.clone(),
        );
        metrics
    }

    /// Makes every family visible, for the test that compares them with the documentation.
    #[cfg(test)]
    pub(crate) fn touch(&self) {
        self.answered(Asked::Pod, "test", Duration::ZERO);
    }

    /// Counts an answer. `outcome` is one of a fixed set.
    pub(super) fn answered(&self, asked: Asked, outcome: &'static str, took: Duration) {
        let path = match asked {
            Asked::Namespace => "namespace",
            Asked::Pod => "pod",
        };
        self.admissions.get_or_create(&[("path", path), ("outcome", outcome)]).inc();
        self.seconds.observe(took.as_secs_f64());
    }
}

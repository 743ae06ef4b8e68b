//! The numbers about certificates.

use std::sync::Arc;

use jiff::Timestamp;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::error::CertificateError;
use super::step::Step;

type Labelled<M> = Family<[(&'static str, &'static str); 1], M>;

/// The numbers about certificates. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Metrics(Arc<Numbers>);

#[derive(Debug, Default)]
struct Numbers {
    expiry: Labelled<Gauge>,
    steps: Labelled<Counter>,
    errors: Labelled<Counter>,
}

impl Metrics {
    /// Adds them to `registry`, whose prefix is the operator's.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let Numbers { expiry, steps, errors } = &*metrics.0;
        registry.register(
            "certificate_expiry_timestamp_seconds",
            "When the certificate that this replica presents, or the authority that signs, expires",
            expiry.clone(),
        );
        registry.register("certificate_steps", "Steps of certificate renewals made by this replica", steps.clone());
        registry.register("certificate_errors", "Failures to renew, publish or read certificates", errors.clone());
        metrics
    }

    /// Makes every family visible, for the test that compares them with the documentation.
    #[cfg(test)]
    pub(crate) fn touch(&self) {
        self.serving_until(Timestamp::UNIX_EPOCH);
        self.0.steps.get_or_create(&[("step", "test")]).inc();
        self.0.errors.get_or_create(&[("reason", "test")]).inc();
    }

    pub(super) fn serving_until(&self, at: Timestamp) {
        self.0.expiry.get_or_create(&[("certificate", "serving")]).set(at.as_second());
    }

    pub(super) fn authority_until(&self, at: Timestamp) {
        self.0.expiry.get_or_create(&[("certificate", "authority")]).set(at.as_second());
    }

    pub(super) fn step(&self, step: Step) {
        self.0.steps.get_or_create(&[("step", step.reason())]).inc();
    }

    pub(super) fn error(&self, error: &CertificateError) {
        self.0.errors.get_or_create(&[("reason", error.reason())]).inc();
    }
}

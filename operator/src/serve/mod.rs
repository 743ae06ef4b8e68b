//! The two listeners of the operator: the webhook's, over TLS, and that of health and metrics.
//!
//! Two, because the kubelet and Prometheus have no reason to reach the webhook, nor the API server the metrics; and
//! because a probe must be answered when the webhook's runtime is busy.

pub mod health;
#[cfg(test)]
pub(crate) mod testing;
pub mod tls;

pub use moorline_serve::bind;

//! Answers the API server about pods: an `AdmissionReview` comes in, one with a patch goes out.
//!
//! A thin shell around `moorline-inject`. Everything is read as raw JSON, since a typed pod would lose what its type is
//! too old to know. [`body`] reads a request within bounds, [`review`] is the envelope, and [`Webhook`] puts the
//! question and counts.
//!
//! Invariants: a pod is never denied, so whatever goes wrong here is a warning on a pod that is admitted as it is; and
//! nothing is changed anywhere (`sideEffects: None`), so that a dry run is the same as a run.

mod body;
mod metrics;
mod review;
mod service;

pub use metrics::Metrics;
pub use service::{Routed, Webhook, filter};

//! The Moorline operator: from `WebSocketRoute` resources to sidecars that serve them.
//!
//! A pure core between two thin shells. [`view`] holds what is known about one Service, [`mod@plan`] says what should be
//! there because of it, and the shells (`store`, `poll`, `act`) fill the one and carry out the other. One Service at a
//! time, so that the cost of a change does not grow with the cluster.

mod act;
mod api;
mod backoff;
mod bucket;
pub mod certs;
pub mod cli;
#[cfg(test)]
mod fake_api;
mod lease;
pub mod metrics;
pub mod plan;
mod poll;
pub mod reasons;
mod run;
pub mod serve;
mod store;
pub mod view;
pub mod webhook;

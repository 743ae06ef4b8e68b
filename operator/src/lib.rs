//! The Moorline operator: from `WebSocketRoute` resources to sidecars that serve them.
//!
//! A pure core between two thin shells. [`view`] holds what is known about one Service, [`mod@plan`] says what should be
//! there because of it, and the shells fill the one and carry out the other. One Service at a time, so that the cost of
//! a change does not grow with the cluster.

pub mod certs;
pub mod plan;
pub mod reasons;
pub mod serve;
pub mod view;
pub mod webhook;

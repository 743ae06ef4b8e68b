//! The data plane as its users meet it: real sockets, a recording app on one side, a client that can
//! send any bytes on the other.
//!
//! One binary for all of it, since linking is what costs; the modules are one subject each. Every test
//! has its own app and gateway and runs beside all the others.

// Tests fail by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod adverse_app;
mod adverse_client;
mod adverse_templates;
mod callback;
mod close_codes;
mod documents;
mod drain;
mod effects;
mod failing_over;
mod handshake;
mod headers;
mod limits;
mod messages;
mod oddities;
mod origins;
mod reading;
mod reload;
mod replies;
mod services;
mod stress;
mod subprotocols;
mod support;

//! The Moorline data plane: holds WebSocket connections and turns their messages into HTTP calls.

pub mod admin;
pub mod budget;
pub mod callback;
pub mod closing;
pub mod connection;
pub mod frame;
pub mod gateway;
pub mod hub;
pub mod metrics;
pub mod serve;

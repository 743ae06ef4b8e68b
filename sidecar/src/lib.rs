//! The Moorline data plane: holds WebSocket connections and turns their messages into HTTP calls.

pub mod budget;
pub mod closing;
pub mod connection;
pub mod frame;
pub mod gateway;
pub mod hub;
pub mod observe;

//! The Moorline data plane: holds WebSocket connections and turns their messages into HTTP calls.

pub mod access_log;
pub mod budget;
pub mod cli;
pub mod closing;
pub mod connection;
pub mod console;
pub mod frame;
pub mod gateway;
pub mod hub;
pub mod lines;
pub mod observe;
pub mod source;
pub mod style;

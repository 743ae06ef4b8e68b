//! The Moorline data plane: holds WebSocket connections and turns their messages into HTTP calls.

pub mod access_log;
pub mod admin;
pub mod budget;
pub mod callback;
pub mod cli;
pub mod closing;
pub mod connection;
pub mod console;
pub mod exchange;
pub mod frame;
pub mod gateway;
pub mod hub;
pub mod lines;
pub mod metrics;
pub mod observe;
pub mod rate;
pub mod report;
pub mod session;
pub mod source;
pub mod style;
pub mod upstream;

pub use moorline_serve::{self as serve, listen};

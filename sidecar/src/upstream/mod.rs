//! Calls to the app: a bounded pool of keep-alive HTTP/1.1 connections.
//!
//! Built on hyper's bare connections and not on hyper-util's client, because that one has no bound on
//! open connections (ten thousand busy sockets would open ten thousand connections to the app), no
//! queue that is first in, first out, and does not say whether a failed request may be repeated. The
//! parts, from pure to I/O: [`error`] and [`reuse`] (rules), [`slots`] (who may use what), [`answer`]
//! (limits), [`socket`] and [`connection`] (one exchange), [`pool`] (sharing), [`call`] (attempts), [`elsewhere`]
//! (failing over).
//!
//! Guarantees:
//! - At most `max_connections` sockets to the app are open or opening at any moment.
//! - Waiting calls are served in the order in which they came; a call that is dropped while it waits,
//!   connects or reads gives its place back at once.
//! - A request is sent twice only where [`Pool::call`] says so, and never a third time.
//! - No part of an answer over the limit is kept, whatever the app sends.

mod answer;
mod call;
mod connection;
mod cooldown;
mod elsewhere;
mod error;
mod pool;
mod reuse;
mod slots;
mod socket;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

pub use answer::Answer;
pub use elsewhere::{App, NameServers};
pub(crate) use elsewhere::{Elsewhere, Finder, Resolver, host_of};
pub use error::{CallError, CallPhase, Side};
pub use pool::{Pool, PoolStats};
use tokio::time::Instant;

/// How a pool reaches one app.
#[derive(Clone, Debug)]
pub struct PoolSettings {
    /// `host:port`, as it goes into the `Host` header. A name is resolved for each new connection.
    pub authority: String,
    /// Most connections open or opening at a time; 0 counts as 1.
    pub max_connections: usize,
    /// Most calls of each class that wait for a connection.
    pub max_waiting: usize,
    /// How long a connection may be idle and be used again, unless the app's `Keep-Alive: timeout`
    /// says otherwise. Zero: every call opens a connection.
    pub max_idle: Duration,
    /// Longest time for one attempt to connect.
    pub connect_timeout: Duration,
    /// Says where each connection goes, if that is not to the authority. Each then carries one call.
    pub(crate) finder: Option<Arc<Finder>>,
}

/// What a call may use.
#[derive(Clone, Copy, Debug)]
pub struct CallOptions {
    /// Covers waiting for a connection, connecting, sending, the whole answer, and a repeat.
    pub deadline: Instant,
    /// Largest body of an answer.
    pub answer_bytes: usize,
    /// Which share of the pool it may take.
    pub class: CallClass,
}

/// Which share of the pool a call may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallClass {
    /// A message of a client, or its connect: all of it.
    Message,
    /// A `$disconnect`: a quarter, at least one connection. When a node loses its network, thousands
    /// of sockets end together, and the clients that are still there must not wait behind them.
    Disconnect,
}

// === impl PoolSettings ===

impl PoolSettings {
    /// The defaults for one app.
    pub fn new(authority: impl Into<String>) -> Self {
        Self {
            authority: authority.into(),
            max_connections: 64,
            max_waiting: 1024,
            // Below the shortest idle time-out in wide use: gunicorn's is 2 s, Node's 5 s, most are longer.
            max_idle: Duration::from_millis(1500),
            connect_timeout: Duration::from_secs(5),
            finder: None,
        }
    }
}

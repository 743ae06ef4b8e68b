//! What pushes go through: one trait for one process, peers, NATS or Redis.
//!
//! The callback API and the data plane talk only to this trait, so that a push reaches a connection wherever it is
//! held without either of them knowing how. Futures are boxed because the implementation is chosen at start-up; a
//! push is followed by a system call per receiver, beside which one allocation is nothing.

use futures_util::future::BoxFuture;

use crate::connection::{CloseOrder, ConnectionId, IdentityError};
use crate::frame::Frame;

/// Who a publish is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The members of a group.
    Group(String),
    /// The connections of a user.
    User(String),
    /// Every connection of the Service.
    All,
}

/// What a publish did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Published {
    /// How many connections took the frame into their queue.
    pub reached: usize,
}

/// Why a call for one connection failed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// There is no such connection.
    #[error("no connection has this id, or it has ended")]
    Gone,
    /// Its queue is full; nothing was enqueued.
    #[error("the outgoing queue of this connection is full; nothing was enqueued")]
    QueueFull,
    /// The change of identity was refused.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

/// What the status call tells of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// When it connected.
    pub connected_at: std::time::SystemTime,
    /// When data last went either way.
    pub last_active_at: std::time::SystemTime,
    /// The client's address.
    pub source_ip: std::net::IpAddr,
    /// The client's `User-Agent`.
    pub user_agent: Option<String>,
    /// The user.
    pub user: Option<String>,
    /// The groups.
    pub groups: Vec<String>,
}

/// Which part of a list is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// At most this many.
    pub limit: usize,
    /// Those that come after this one.
    pub after: Option<ConnectionId>,
}

/// One page of connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// How many there are in all.
    pub count: usize,
    /// The page.
    pub connections: Vec<ConnectionId>,
    /// What to pass as `after` for the next page; none on the last.
    pub next: Option<ConnectionId>,
}

/// Reaches connections, wherever they are held.
pub trait Backplane: Send + Sync + std::fmt::Debug {
    /// Queues a frame for every connection of the target.
    fn publish(&self, target: Target, frame: Frame) -> BoxFuture<'_, Published>;
    /// Queues a frame for one connection.
    fn send(&self, id: ConnectionId, frame: Frame) -> BoxFuture<'_, Result<(), SendError>>;
    /// Orders one connection to close.
    fn close(&self, id: ConnectionId, order: CloseOrder) -> BoxFuture<'_, Result<(), SendError>>;
    /// Describes one connection.
    fn status(&self, id: ConnectionId) -> BoxFuture<'_, Result<Status, SendError>>;
    /// Puts a connection into a group.
    fn join(&self, id: ConnectionId, group: String) -> BoxFuture<'_, Result<(), SendError>>;
    /// Takes a connection out of a group.
    fn leave(&self, id: ConnectionId, group: String) -> BoxFuture<'_, Result<(), SendError>>;
    /// Lists the connections of a target.
    fn list(&self, target: Target, page: Page) -> BoxFuture<'_, Listing>;
}

//! What the process knows about one client connection, apart from its socket.
//!
//! The socket belongs to the session task alone; everybody else (the callback API, groups, drain, reload) holds an
//! `Arc<Connection>` and talks to the task through its [`Outbox`]. So a push never waits for a slow client, and a
//! connection costs one allocation plus what it really carries.

mod handshake_record;
mod id;
mod identity;
mod outbox;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

pub use handshake_record::{HandshakeRecord, RecordBuilder};
pub use id::{ConnectionId, ParseIdError};
pub use identity::{Identity, IdentityError, MAX_GROUPS, MAX_NAME_BYTES, MAX_STATE_BYTES, valid_name};
pub use outbox::{CloseOrder, CloseWhen, Outbox, PushError, Taken};

use crate::gateway::RouteCell;

/// One client connection.
#[derive(Debug)]
pub struct Connection {
    /// Its name in every API and header.
    pub id: ConnectionId,
    /// The route it connected through; its current form is read per message, so that a reload takes effect on live
    /// connections.
    pub route: Arc<RouteCell>,
    /// What the handshake said.
    pub handshake: HandshakeRecord,
    /// The client's address, as a trusted proxy reported it or as the socket shows it.
    pub source_ip: IpAddr,
    /// When the handshake was accepted for `$connect`.
    pub connected_at: SystemTime,
    /// User, groups and application state. Private to the hub's operations, so that the indexes cannot disagree.
    pub(crate) identity: Mutex<Identity>,
    /// Frames and orders for the session task.
    pub outbox: Outbox,
    last_active_ms: AtomicU64,
}

impl Connection {
    /// A connection that has just been accepted.
    pub fn new(
        id: ConnectionId,
        route: Arc<RouteCell>,
        handshake: HandshakeRecord,
        source_ip: IpAddr,
        outbox: Outbox,
    ) -> Self {
        Self {
            id,
            route,
            handshake,
            source_ip,
            connected_at: SystemTime::now(),
            identity: Mutex::default(),
            outbox,
            last_active_ms: AtomicU64::new(unix_ms(SystemTime::now())),
        }
    }

    /// Notes traffic, for the status call.
    pub fn touch(&self) {
        self.last_active_ms.store(unix_ms(SystemTime::now()), Ordering::Relaxed);
    }

    /// When data last went either way.
    pub fn last_active(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.last_active_ms.load(Ordering::Relaxed))
    }

    /// The user it belongs to, if one was named.
    pub fn user(&self) -> Option<Arc<str>> {
        self.identity.lock().user().cloned()
    }

    /// The groups it is in.
    pub fn groups(&self) -> Vec<Arc<str>> {
        self.identity.lock().groups().to_vec()
    }

    /// The client's `User-Agent`, if it sent one.
    pub fn user_agent(&self) -> Option<&str> {
        self.handshake.header("user-agent")
    }
}

/// Milliseconds since 1970; 0 for a clock set before that.
pub fn unix_ms(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}

//! The backplane of one process: the hub itself.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};

use super::Hub;
use super::backplane::{Backplane, Listing, Page, Published, SendError, Status, Target};
use crate::connection::{CloseOrder, Connection, ConnectionId};
use crate::frame::Frame;

/// Reaches the connections of this process only.
#[derive(Debug)]
pub struct Local {
    hub: Arc<Hub>,
}

impl Local {
    /// A backplane over this hub.
    pub fn new(hub: Arc<Hub>) -> Self {
        Self { hub }
    }

    fn find(&self, id: ConnectionId) -> Result<Arc<Connection>, SendError> {
        self.hub.get(id).ok_or(SendError::Gone)
    }
}

impl Backplane for Local {
    fn publish(&self, target: Target, frame: Frame) -> BoxFuture<'_, Published> {
        ready(Published { reached: self.hub.publish(&target, &frame) }).boxed()
    }

    fn send(&self, id: ConnectionId, frame: Frame) -> BoxFuture<'_, Result<(), SendError>> {
        ready(self.hub.send(id, frame)).boxed()
    }

    fn close(&self, id: ConnectionId, order: CloseOrder) -> BoxFuture<'_, Result<(), SendError>> {
        ready(self.hub.close(id, order)).boxed()
    }

    fn status(&self, id: ConnectionId) -> BoxFuture<'_, Result<Status, SendError>> {
        ready(self.find(id).map(|connection| Status {
            connected_at: connection.connected_at,
            last_active_at: connection.last_active(),
            source_ip: connection.source_ip,
            user_agent: connection.user_agent().map(str::to_owned),
            user: connection.user().map(|user| user.to_string()),
            groups: connection.groups().iter().map(ToString::to_string).collect(),
        }))
        .boxed()
    }

    fn join(&self, id: ConnectionId, group: String) -> BoxFuture<'_, Result<(), SendError>> {
        ready(self.find(id).and_then(|connection| Ok(self.hub.join(&connection, &group)?))).boxed()
    }

    fn leave(&self, id: ConnectionId, group: String) -> BoxFuture<'_, Result<(), SendError>> {
        ready(self.find(id).map(|connection| self.hub.leave(&connection, &group))).boxed()
    }

    fn list(&self, target: Target, page: Page) -> BoxFuture<'_, Listing> {
        ready(self.hub.list(&target, page)).boxed()
    }
}

//! The connections of one Service in this process, and who they are: the registry behind every push.
//!
//! Groups and users are scoped to a Service, so each Service has a hub of its own and a name in one can never reach a
//! connection of another. The hub is synchronous and knows nothing of other processes; that is the
//! [`Backplane`](backplane::Backplane)'s part.

pub mod backplane;
mod index;
mod local;

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

pub use backplane::{Backplane, Listing, Page, Published, SendError, Target};
pub use local::Local;

use self::index::Index;
use crate::connection::{CloseOrder, Connection, ConnectionId, IdentityError, PushError, valid_name};
use crate::frame::Frame;

const SHARDS: usize = 16;

/// The connections of one Service.
#[derive(Debug, Default)]
pub struct Hub {
    connections: [Mutex<HashMap<ConnectionId, Arc<Connection>>>; SHARDS],
    groups: Index,
    users: Index,
}

impl Hub {
    fn shard(&self, id: ConnectionId) -> &Mutex<HashMap<ConnectionId, Arc<Connection>>> {
        // Ids are uniformly random, so any byte of one spreads evenly.
        &self.connections[usize::from(id.encode()[0]) % SHARDS]
    }

    /// Registers a connection.
    pub fn insert(&self, connection: Arc<Connection>) {
        self.shard(connection.id).lock().insert(connection.id, connection);
    }

    /// Forgets a connection and all its memberships.
    pub fn remove(&self, connection: &Arc<Connection>) {
        self.shard(connection.id).lock().remove(&connection.id);
        let mut identity = connection.identity.lock();
        let (user, groups) = identity.end();
        for group in groups {
            self.groups.remove(&group, connection.id);
        }
        if let Some(user) = user {
            self.users.remove(&user, connection.id);
        }
    }

    /// The connection with this id.
    pub fn get(&self, id: ConnectionId) -> Option<Arc<Connection>> {
        self.shard(id).lock().get(&id).cloned()
    }

    /// How many connections there are.
    pub fn len(&self) -> usize {
        self.connections.iter().map(|shard| shard.lock().len()).sum()
    }

    /// Whether there is no connection.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many groups have members.
    pub fn group_count(&self) -> usize {
        self.groups.names()
    }

    /// All connections now.
    pub fn all(&self) -> Vec<Arc<Connection>> {
        self.connections.iter().flat_map(|shard| shard.lock().values().cloned().collect::<Vec<_>>()).collect()
    }

    /// Puts a connection into a group.
    pub fn join(&self, connection: &Arc<Connection>, group: &str) -> Result<(), IdentityError> {
        if !valid_name(group) {
            return Err(IdentityError::InvalidName);
        }
        // The identity stays locked over both changes: see the module of `identity`.
        let mut identity = connection.identity.lock();
        if identity.is_gone() {
            return Err(IdentityError::Gone);
        }
        let name = self.groups.insert(group, connection);
        match identity.add_group(&name) {
            Ok(_) => Ok(()),
            Err(error) => {
                self.groups.remove(group, connection.id);
                Err(error)
            }
        }
    }

    /// Takes a connection out of a group. Leaving a group one is not in is no error: the wanted state holds.
    pub fn leave(&self, connection: &Arc<Connection>, group: &str) {
        let mut identity = connection.identity.lock();
        if identity.remove_group(group) {
            self.groups.remove(group, connection.id);
        }
    }

    /// Names the user of a connection; an empty name takes it away.
    pub fn set_user(&self, connection: &Arc<Connection>, user: &str) -> Result<(), IdentityError> {
        if !user.is_empty() && !valid_name(user) {
            return Err(IdentityError::InvalidName);
        }
        let mut identity = connection.identity.lock();
        if identity.is_gone() {
            return Err(IdentityError::Gone);
        }
        let name = (!user.is_empty()).then(|| self.users.insert(user, connection));
        let before = identity.set_user(name);
        if let Some(before) = before
            && &*before != user
        {
            self.users.remove(&before, connection.id);
        }
        Ok(())
    }

    /// The connections a target means.
    pub fn members(&self, target: &Target) -> Vec<Arc<Connection>> {
        match target {
            Target::Group(name) => self.groups.members(name),
            Target::User(name) => self.users.members(name),
            Target::All => self.all(),
        }
    }

    /// How many connections a target means.
    pub fn count(&self, target: &Target) -> usize {
        match target {
            Target::Group(name) => self.groups.count(name),
            Target::User(name) => self.users.count(name),
            Target::All => self.len(),
        }
    }

    /// Queues a frame for every connection of the target and says how many took it. One that has no room is closed as
    /// a slow consumer and does not count.
    pub fn publish(&self, target: &Target, frame: &Frame) -> usize {
        self.members(target).iter().filter(|connection| connection.outbox.push_or_close(frame.clone()).is_ok()).count()
    }

    /// Queues a frame for one connection.
    pub fn send(&self, id: ConnectionId, frame: Frame) -> Result<(), SendError> {
        let connection = self.get(id).ok_or(SendError::Gone)?;
        connection.outbox.try_push(frame).map_err(|error| match error {
            PushError::Gone => SendError::Gone,
            PushError::Full => SendError::QueueFull,
        })
    }

    /// Orders one connection to close.
    pub fn close(&self, id: ConnectionId, order: CloseOrder) -> Result<(), SendError> {
        let connection = self.get(id).ok_or(SendError::Gone)?;
        connection.outbox.close(order);
        Ok(())
    }

    /// One page of the ids of a target, in the order of ids.
    pub fn list(&self, target: &Target, page: Page) -> Listing {
        let mut ids: Vec<ConnectionId> = self.members(target).iter().map(|connection| connection.id).collect();
        let count = ids.len();
        ids.sort_unstable();
        let start = page.after.map_or(0, |after| ids.partition_point(|id| *id <= after));
        let end = (start + page.limit).min(count);
        let next = (end < count && end > start).then(|| ids[end - 1]);
        Listing { count, connections: ids[start..end].to_vec(), next }
    }
}

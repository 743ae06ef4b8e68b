//! A sharded index from a name to the connections that carry it; one each for groups and users.
//!
//! Sharded by name so that joins of different groups do not wait for each other. A publish copies the members out
//! before it pushes: ten thousand reference counts are cheaper than holding the shard while ten thousand tasks are
//! woken.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::connection::{Connection, ConnectionId};

const SHARDS: usize = 16;

type Members = HashMap<ConnectionId, Arc<Connection>>;

/// Connections by name.
#[derive(Debug, Default)]
pub(super) struct Index {
    shards: [Mutex<HashMap<Arc<str>, Members>>; SHARDS],
}

impl Index {
    fn shard(&self, name: &str) -> &Mutex<HashMap<Arc<str>, Members>> {
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        // The remainder is below SHARDS, so the cast loses nothing.
        #[allow(clippy::cast_possible_truncation)]
        &self.shards[(hasher.finish() % SHARDS as u64) as usize]
    }

    /// Adds a member. Returns the name as the index holds it, so that all members share one allocation of it.
    pub(super) fn insert(&self, name: &str, connection: &Arc<Connection>) -> Arc<str> {
        let mut shard = self.shard(name).lock();
        let key = shard.get_key_value(name).map_or_else(|| Arc::from(name), |(key, _)| Arc::clone(key));
        shard.entry(Arc::clone(&key)).or_default().insert(connection.id, Arc::clone(connection));
        key
    }

    /// Removes a member; a name without members is forgotten.
    pub(super) fn remove(&self, name: &str, id: ConnectionId) {
        let mut shard = self.shard(name).lock();
        if let Some(members) = shard.get_mut(name) {
            members.remove(&id);
            if members.is_empty() {
                shard.remove(name);
            }
        }
    }

    /// The members now.
    pub(super) fn members(&self, name: &str) -> Vec<Arc<Connection>> {
        self.shard(name).lock().get(name).map(|members| members.values().cloned().collect()).unwrap_or_default()
    }

    /// How many members there are now.
    pub(super) fn count(&self, name: &str) -> usize {
        self.shard(name).lock().get(name).map_or(0, HashMap::len)
    }

    /// How many names have members.
    pub(super) fn names(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }
}

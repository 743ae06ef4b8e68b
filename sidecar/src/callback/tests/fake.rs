//! A backplane that records what reaches it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, UNIX_EPOCH};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};
use parking_lot::Mutex;

use crate::connection::{CloseOrder, ConnectionId, IdentityError, valid_name};
use crate::frame::{Frame, Opcode};
use crate::hub::backplane::{Published, Status};
use crate::hub::{Backplane, Listing, Page, SendError, Target};

#[derive(Debug, Default)]
pub(super) struct Peer {
    pub(super) frames: Vec<Frame>,
    pub(super) is_full: bool,
    pub(super) user: Option<String>,
    pub(super) groups: BTreeSet<String>,
    pub(super) order: Option<CloseOrder>,
}

#[derive(Debug, Default)]
pub(super) struct Fake {
    pub(super) peers: Mutex<BTreeMap<ConnectionId, Peer>>,
}

impl Fake {
    pub(super) fn connect(&self) -> ConnectionId {
        let id = ConnectionId::random();
        self.peers.lock().insert(id, Peer::default());
        id
    }

    fn with<T>(&self, id: ConnectionId, act: impl FnOnce(&mut Peer) -> Result<T, SendError>) -> Result<T, SendError> {
        self.peers.lock().get_mut(&id).ok_or(SendError::Gone).and_then(act)
    }

    pub(super) fn edit(&self, id: ConnectionId, act: impl FnOnce(&mut Peer)) {
        self.with(id, |peer| {
            act(peer);
            Ok(())
        })
        .unwrap();
    }

    pub(super) fn received(&self, id: ConnectionId) -> Vec<(Opcode, Vec<u8>)> {
        let peers = self.peers.lock();
        peers[&id].frames.iter().map(|frame| (frame.opcode(), frame.payload().to_vec())).collect()
    }
}

fn is_meant(target: &Target, peer: &Peer) -> bool {
    match target {
        Target::Group(name) => peer.groups.contains(name),
        Target::User(name) => peer.user.as_ref() == Some(name),
        Target::All => true,
    }
}

impl Backplane for Fake {
    fn publish(&self, target: Target, frame: Frame) -> BoxFuture<'_, Published> {
        let mut peers = self.peers.lock();
        let meant = peers.values_mut().filter(|peer| is_meant(&target, peer));
        let reached = meant.map(|peer| peer.frames.push(frame.clone())).count();
        ready(Published { reached }).boxed()
    }

    fn send(&self, id: ConnectionId, frame: Frame) -> BoxFuture<'_, Result<(), SendError>> {
        let result = self.with(id, |peer| {
            if peer.is_full {
                return Err(SendError::QueueFull);
            }
            peer.frames.push(frame);
            Ok(())
        });
        ready(result).boxed()
    }

    fn close(&self, id: ConnectionId, order: CloseOrder) -> BoxFuture<'_, Result<(), SendError>> {
        ready(self.with(id, |peer| {
            peer.order = Some(order);
            Ok(())
        }))
        .boxed()
    }

    fn status(&self, id: ConnectionId) -> BoxFuture<'_, Result<Status, SendError>> {
        ready(self.with(id, |peer| {
            Ok(Status {
                connected_at: UNIX_EPOCH,
                last_active_at: UNIX_EPOCH + Duration::from_millis(1500),
                source_ip: [192, 0, 2, 7].into(),
                user_agent: peer.user.as_ref().map(|user| format!("agent of {user}")),
                user: peer.user.clone(),
                groups: peer.groups.iter().cloned().collect(),
            })
        }))
        .boxed()
    }

    fn join(&self, id: ConnectionId, group: String) -> BoxFuture<'_, Result<(), SendError>> {
        ready(self.with(id, |peer| {
            if !valid_name(&group) {
                return Err(IdentityError::InvalidName.into());
            }
            if peer.groups.len() >= 2 {
                return Err(IdentityError::TooManyGroups.into());
            }
            peer.groups.insert(group);
            Ok(())
        }))
        .boxed()
    }

    fn leave(&self, id: ConnectionId, group: String) -> BoxFuture<'_, Result<(), SendError>> {
        ready(self.with(id, |peer| {
            peer.groups.remove(&group);
            Ok(())
        }))
        .boxed()
    }

    fn list(&self, target: Target, page: Page) -> BoxFuture<'_, Listing> {
        let peers = self.peers.lock();
        let ids: Vec<_> = peers.iter().filter(|(_, peer)| is_meant(&target, peer)).map(|(id, _)| *id).collect();
        let rest = ids.iter().copied().filter(|id| page.after.is_none_or(|after| *id > after));
        let connections: Vec<_> = rest.clone().take(page.limit).collect();
        let next = (rest.count() > connections.len()).then(|| connections.last().copied()).flatten();
        ready(Listing { count: ids.len(), connections, next }).boxed()
    }
}

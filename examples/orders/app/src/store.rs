//! What the service keeps: orders, and which sessions are open. In memory, and in each replica its own, so that there
//! is nothing to install; a real service has a database here.

use std::collections::{BTreeMap, BTreeSet};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// What the service keeps.
#[derive(Debug)]
pub(crate) struct Store(Mutex<Kept>);

#[derive(Debug)]
struct Kept {
    orders: BTreeMap<u64, Order>,
    sessions: BTreeSet<String>,
    opened: u64,
    closed: u64,
}

/// An order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Order {
    pub(crate) id: u64,
    pub(crate) item: String,
    pub(crate) quantity: u32,
    pub(crate) state: State,
    pub(crate) by: String,
}

/// How far an order is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    Open,
    Ready,
    Served,
}

/// What somebody orders.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewOrder {
    item: String,
    quantity: u32,
}

/// What is to be different.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    item: Option<String>,
    quantity: Option<u32>,
    state: Option<State>,
}

/// The sessions that this replica was told of.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Sessions {
    pub(crate) open: usize,
    pub(crate) opened: u64,
    pub(crate) closed: u64,
}

/// Why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    NoSuchOrder(u64),
    Senseless(&'static str),
}

impl Default for Store {
    fn default() -> Self {
        let order = |id, item: &str, quantity| {
            (id, Order { id, item: item.to_owned(), quantity, state: State::Open, by: "house".to_owned() })
        };
        let orders = BTreeMap::from([order(1, "coffee", 1), order(2, "scone", 4), order(7, "tea", 2)]);
        Self(Mutex::new(Kept { orders, sessions: BTreeSet::new(), opened: 0, closed: 0 }))
    }
}

impl Store {
    pub(crate) fn list(&self, state: Option<State>) -> Vec<Order> {
        let kept = self.0.lock();
        kept.orders.values().filter(|order| state.is_none_or(|state| state == order.state)).cloned().collect()
    }

    pub(crate) fn read(&self, id: u64) -> Result<Order, Refusal> {
        self.0.lock().orders.get(&id).cloned().ok_or(Refusal::NoSuchOrder(id))
    }

    pub(crate) fn create(&self, by: String, NewOrder { item, quantity }: NewOrder) -> Result<Order, Refusal> {
        check(&item, quantity)?;
        let mut kept = self.0.lock();
        let id = kept.orders.last_key_value().map_or(1, |(id, _)| id + 1);
        let order = Order { id, item, quantity, state: State::Open, by };
        kept.orders.insert(id, order.clone());
        Ok(order)
    }

    pub(crate) fn patch(&self, id: u64, change: Change) -> Result<Order, Refusal> {
        let mut kept = self.0.lock();
        let order = kept.orders.get_mut(&id).ok_or(Refusal::NoSuchOrder(id))?;
        let item = change.item.unwrap_or_else(|| order.item.clone());
        let quantity = change.quantity.unwrap_or(order.quantity);
        check(&item, quantity)?;
        *order = Order { item, quantity, state: change.state.unwrap_or(order.state), ..order.clone() };
        Ok(order.clone())
    }

    pub(crate) fn sign_in(&self, session: String) {
        let mut kept = self.0.lock();
        kept.opened += 1;
        kept.sessions.insert(session);
    }

    /// Of a session that another replica opened, too: which replica is called is not the caller's choice.
    pub(crate) fn sign_out(&self, session: &str) {
        let mut kept = self.0.lock();
        kept.closed += 1;
        kept.sessions.remove(session);
    }

    pub(crate) fn sessions(&self) -> Sessions {
        let kept = self.0.lock();
        Sessions { open: kept.sessions.len(), opened: kept.opened, closed: kept.closed }
    }
}

fn check(item: &str, quantity: u32) -> Result<(), Refusal> {
    if item.trim().is_empty() || item.len() > 60 {
        Err(Refusal::Senseless("item: is a text of 1 to 60 bytes"))
    } else if !(1..=99).contains(&quantity) {
        Err(Refusal::Senseless("quantity: is between 1 and 99"))
    } else {
        Ok(())
    }
}

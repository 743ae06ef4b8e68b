//! The pools of a table: which routes share one, and what a reload keeps.
//!
//! A pool is carried over with its open connections as long as some route uses it, and so is what is known of the app:
//! whether it rests, and what its failing over has left of its budget.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use moorline_crds::Route;
use moorline_crds::document::Failover;

use super::problem::{self, RouteProblem};
use super::shared::Shared;
use crate::upstream::{App, Elsewhere, Finder, Pool, PoolSettings, host_of};

/// How long one try elsewhere may take to connect: three of them are made within two seconds.
const CONNECT_ELSEWHERE: Duration = Duration::from_secs(1);

/// The pools of a table.
#[derive(Debug, Default)]
pub(super) struct Pools {
    homes: HashMap<Key, Pool>,
    elsewheres: HashMap<(Key, FailoverKey), (Pool, Arc<Elsewhere>)>,
}

/// Routes that agree on these share a pool.
type Key = (String, u16);
/// A [`Failover`], as text that can be hashed: whether it is an SRV name, and the name.
type FailoverKey = (bool, String);

impl Pools {
    /// The app of a route, taken over from the pools before where it can be; and why it cannot be reached, if so.
    pub(super) fn app(&mut self, before: &Self, route: &Route, shared: &Shared) -> (App, Option<RouteProblem>) {
        // With a problem the pool is made all the same: it cannot connect, and calls go elsewhere or fail as for any
        // app that is not there.
        let (authority, problem) = match problem::upstream(&route.upstream, &shared.app_ports) {
            Ok(authority) => (authority, None),
            Err(problem) => (route.upstream.clone(), Some(problem)),
        };
        let key = (authority, route.limits.app_connections);
        let home = match self.homes.get(&key).or_else(|| before.homes.get(&key)) {
            Some(pool) => pool.clone(),
            None => Pool::new(settings(&key, shared), shared.tasks.clone()),
        };
        self.homes.insert(key.clone(), home.clone());
        let elsewhere = route.failover.as_ref().map(|failover| self.elsewhere(before, key, failover, shared));
        (App::new(home, elsewhere), problem)
    }

    fn elsewhere(&mut self, before: &Self, home: Key, failover: &Failover, shared: &Shared) -> Arc<Elsewhere> {
        let connections = home.1;
        let name = match failover {
            Failover::Address(address) => (false, address.clone()),
            Failover::Srv(name) => (true, name.clone()),
        };
        let key = (home, name);
        let known = self.elsewheres.get(&key).or_else(|| before.elsewheres.get(&key)).cloned();
        let (pool, elsewhere) = known.unwrap_or_else(|| {
            let finder = Finder::new(failover.clone(), Arc::clone(&shared.resolver), shared.own_addresses.clone());
            let settings = PoolSettings {
                connect_timeout: CONNECT_ELSEWHERE,
                finder: Some(Arc::new(finder)),
                ..settings(&(host_of(failover), connections), shared)
            };
            let pool = Pool::new(settings, shared.tasks.clone());
            (pool.clone(), Arc::new(Elsewhere::new(pool)))
        });
        self.elsewheres.insert(key, (pool, Arc::clone(&elsewhere)));
        elsewhere
    }

    /// All pools, for their gauges, by the name of their app.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &Pool)> {
        let homes = self.homes.iter().map(|((authority, _), pool)| (authority.as_str(), pool));
        homes.chain(self.elsewheres.iter().map(|((_, (_, name)), (pool, _))| (name.as_str(), pool)))
    }

    /// Closes the pools that the next table does not use; calls in flight finish.
    pub(super) fn close_unused(&self, next: &Self) {
        let homes = self.homes.iter().filter(|(key, _)| !next.homes.contains_key(*key)).map(|(_, pool)| pool);
        let elsewheres = self.elsewheres.iter().filter(|(key, _)| !next.elsewheres.contains_key(*key));
        homes.chain(elsewheres.map(|(_, (pool, _))| pool)).for_each(Pool::close);
    }
}

fn settings((authority, connections): &Key, shared: &Shared) -> PoolSettings {
    PoolSettings {
        max_connections: (*connections).into(),
        // Bounded by what can wait at all: connections times calls in flight of each. A number here would be that of
        // one route, and would refuse the calls of another that shares the pool.
        max_waiting: usize::MAX,
        max_idle: shared.app_idle,
        ..PoolSettings::new(authority.clone())
    }
}

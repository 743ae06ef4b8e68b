//! Where else the app runs: the addresses of a Service, from the cluster's DNS.
//!
//! Each new connection asks for the next address, so that the tries of one call go to different replicas. Answers are
//! kept for a few seconds, as long as the cluster's DNS says they hold: every call makes a connection, and the name
//! server must not get a query for each. When it fails, what it said last is used on, for an address that may be out of
//! date is better than none.
//!
//! Invariants: one query at a time per target, others wait for its answer; the pod itself is never an address of an SRV
//! target; a failure is remembered too, for a shorter time.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use moorline_crds::document::Failover;
use rand::seq::SliceRandom as _;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::dns::Resolver;

/// How long an answer is used. The records of a cluster hold for as long.
const FRESH: Duration = Duration::from_secs(5);
/// How long a failure is: short, for it is mostly a name server that restarts or a Service that has just nobody.
const FAILED: Duration = Duration::from_millis(500);

/// Finds the addresses of one target.
#[derive(Debug)]
pub(crate) struct Finder {
    target: Failover,
    resolver: Arc<Resolver>,
    /// The pod's own addresses.
    own: Vec<IpAddr>,
    known: Mutex<Known>,
    turn: AtomicUsize,
}

#[derive(Debug)]
struct Known {
    addresses: Arc<[SocketAddr]>,
    /// Why there are none, or no newer ones.
    failure: Option<(io::ErrorKind, String)>,
    until: Instant,
}

impl Finder {
    /// A finder that has asked nobody yet.
    pub(crate) fn new(target: Failover, resolver: Arc<Resolver>, own: Vec<IpAddr>) -> Self {
        let known = Known { addresses: Arc::from([]), failure: None, until: Instant::now() };
        // Any start: replicas that fail together must not all go to the same one first.
        let turn = AtomicUsize::new(rand::random_range(0..1024));
        Self { target, resolver, own, known: Mutex::new(known), turn }
    }

    /// The address of the next connection.
    pub(crate) async fn next(&self) -> io::Result<SocketAddr> {
        let addresses = self.addresses().await?;
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % addresses.len().max(1);
        addresses.get(turn).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    async fn addresses(&self) -> io::Result<Arc<[SocketAddr]>> {
        let mut known = self.known.lock().await;
        if Instant::now() >= known.until {
            let found = self.look_up().await;
            let now = Instant::now();
            match found {
                Ok(mut addresses) => {
                    addresses.shuffle(&mut rand::rng());
                    known.failure = None;
                    known.addresses = addresses.into();
                    known.until = now + FRESH;
                }
                Err(error) => {
                    tracing::debug!(target = ?self.target, %error, "cannot find another replica");
                    if error.kind() == io::ErrorKind::NotFound {
                        // An answer, and not the lack of one: nobody is there any more.
                        known.addresses = Arc::from([]);
                    }
                    known.failure = Some((error.kind(), error.to_string()));
                    known.until = now + FAILED;
                }
            }
        }
        match &known.failure {
            Some((kind, words)) if known.addresses.is_empty() => Err(io::Error::new(*kind, words.clone())),
            _ => Ok(Arc::clone(&known.addresses)),
        }
    }

    async fn look_up(&self) -> io::Result<Vec<SocketAddr>> {
        let found = match &self.target {
            Failover::Address(address) => match address.parse() {
                Ok(address) => vec![address],
                Err(_) => tokio::net::lookup_host(address.as_str()).await?.collect(),
            },
            Failover::Srv(name) => {
                let mut found = self.resolver.srv(name).await?;
                found.retain(|address| !self.own.contains(&address.ip().to_canonical()));
                found
            }
        };
        if found.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "no other replica is ready"));
        }
        Ok(found)
    }
}

/// What a call to the target names as its host.
pub(crate) fn host_of(target: &Failover) -> String {
    match target {
        Failover::Address(address) => address.clone(),
        // Service and protocol are labels that start with `_`; what follows is the name of the Service.
        Failover::Srv(name) => {
            let labels: Vec<&str> = name.split('.').skip_while(|label| label.starts_with('_')).collect();
            labels.join(".").trim_end_matches('.').to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_the_service() {
        assert_eq!(host_of(&Failover::Address("orders.shop.svc:80".to_owned())), "orders.shop.svc:80");
        assert_eq!(host_of(&Failover::Srv("_http._tcp.orders.shop.svc".to_owned())), "orders.shop.svc");
    }
}

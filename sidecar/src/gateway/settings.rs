//! How a gateway process is set up, apart from its routes.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::observe::Observer;
use crate::upstream::NameServers;

/// Bytes held for all clients together.
pub const DEFAULT_MAX_BUFFERED_BYTES: usize = 256 * 1024 * 1024;

/// Where the callback API listens.
#[derive(Clone, Copy, Debug)]
pub struct CallbackBind {
    /// The port on 127.0.0.1 and `[::1]`; 0 for any.
    pub port: u16,
    /// One loopback address instead of both.
    pub explicit: Option<SocketAddr>,
}

/// How connections end when the process goes away.
#[derive(Clone, Copy, Debug)]
pub struct DrainSettings {
    /// How long handshakes are still accepted: endpoints take a moment to forget a pod.
    pub grace: Duration,
    /// Over how long the closes are spread, so that clients do not reconnect all at once.
    pub window: Duration,
}

/// The settings of one process.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where clients connect.
    pub client: SocketAddr,
    /// Where the application calls back.
    pub callback: CallbackBind,
    /// Health, hash and metrics.
    pub admin: SocketAddr,
    /// Client connections of the process, counted from accept. `None`: 90 % of the file limit.
    pub max_connections: Option<usize>,
    /// Bytes held for all clients together.
    pub max_buffered_bytes: usize,
    /// The largest push the callback API takes.
    pub max_push_bytes: usize,
    /// How long an app connection may be idle and still be used, unless the app says otherwise.
    pub app_idle: Duration,
    /// The numbers of the app's ports, by the names that routes may use.
    pub app_ports: BTreeMap<String, u16>,
    /// The pod's own addresses, to which a call never fails over.
    pub own_addresses: Vec<IpAddr>,
    /// Whom to ask for other replicas.
    pub name_servers: NameServers,
    /// Serve only loopback `Host`s on routes without hosts: a page of another site must not reach a developer's
    /// machine by a name that resolves to it.
    pub loopback_hosts_only: bool,
    /// How connections end.
    pub drain: DrainSettings,
    /// Who watches.
    pub observer: Option<Arc<dyn Observer>>,
}

impl Default for Settings {
    fn default() -> Self {
        let loopback = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        Self {
            client: loopback(8800),
            callback: CallbackBind { port: 8801, explicit: None },
            admin: loopback(8802),
            max_connections: None,
            max_buffered_bytes: DEFAULT_MAX_BUFFERED_BYTES,
            max_push_bytes: crate::callback::DEFAULT_MAX_BODY_BYTES,
            app_idle: Duration::from_millis(1500),
            app_ports: BTreeMap::new(),
            own_addresses: Vec::new(),
            name_servers: NameServers::System,
            loopback_hosts_only: false,
            drain: DrainSettings { grace: Duration::from_secs(2), window: Duration::from_secs(15) },
            observer: None,
        }
    }
}

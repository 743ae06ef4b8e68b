//! The gateway: listeners, handshakes, the route table, reload and drain.
//!
//! A [`Gateway`] is bound first and run then, so that whoever starts it knows the ports and can say so before the first
//! client comes. A [`Handle`] steers it from outside.

mod accept;
mod drain;
mod forwarded;
mod handle;
mod handshake;
mod listener;
mod pools;
mod problem;
mod record;
mod refusal;
mod route;
mod settings;
mod shared;
mod table;
mod task;
mod views;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use moorline_crds::Document;
use tokio::net::TcpListener;

pub use self::drain::DrainPhase;
pub use self::handle::Handle;
pub use self::route::{RouteCell, RoutePermit, RouteRuntime, Service};
pub use self::settings::{CallbackBind, DEFAULT_MAX_BUFFERED_BYTES, DrainSettings, Settings};
pub use self::shared::Shared;
pub use self::table::{Reloaded, Table};

use self::views::View;
use crate::admin::AdminThread;
use crate::budget::Budget;
use crate::callback::CallbackState;
use crate::metrics::Metrics;

/// Why a gateway could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen for {what} on {address}")]
pub struct BindError {
    /// What the listener is for: clients, callbacks or admin.
    pub what: &'static str,
    /// Where.
    pub address: String,
    /// Why not.
    #[source]
    pub source: io::Error,
}

/// Where a gateway listens.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// Clients.
    pub client: SocketAddr,
    /// The callback API, one or two addresses of one port.
    pub callback: Vec<SocketAddr>,
    /// Health, hash and metrics.
    pub admin: SocketAddr,
}

/// A bound gateway.
#[derive(Debug)]
pub struct Gateway {
    shared: Arc<Shared>,
    client: TcpListener,
    callback: Vec<TcpListener>,
    admin: AdminThread,
    addresses: Addresses,
    callback_base: Arc<str>,
    max_push_bytes: usize,
}

impl Gateway {
    /// Binds all listeners and loads the documents. Nothing is served yet.
    pub async fn bind(settings: Settings, documents: Vec<Document>) -> Result<Self, BindError> {
        let client = bind(settings.client, "clients").await?;
        let admin = bind(settings.admin, "admin").await?;
        let callback = match settings.callback.explicit {
            Some(address) => vec![bind(address, "callbacks").await?],
            None => crate::listen::bind_loopback(settings.callback.port).await.map_err(|source| BindError {
                what: "callbacks",
                address: format!("127.0.0.1:{}", settings.callback.port),
                source,
            })?,
        };
        let local = |listener: &TcpListener, what| {
            listener.local_addr().map_err(|source| BindError { what, address: String::new(), source })
        };
        let addresses = Addresses {
            client: local(&client, "clients")?,
            callback: callback.iter().map(|listener| local(listener, "callbacks")).collect::<Result<_, _>>()?,
            admin: local(&admin, "admin")?,
        };
        let admin = AdminThread::new(admin).map_err(|source| BindError {
            what: "admin",
            address: addresses.admin.to_string(),
            source,
        })?;
        let callback_base: Arc<str> =
            addresses.callback.first().map(|address| format!("http://{address}")).unwrap_or_default().into();
        let budget = Budget::new(settings.max_buffered_bytes);
        let metrics = Metrics::new(Arc::clone(&budget));
        let max_connections = settings.max_connections.unwrap_or_else(default_max_connections);
        metrics.max_connections.set(i64::try_from(max_connections).unwrap_or(i64::MAX));
        let shared = Shared::new(&settings, max_connections, budget, metrics);
        let max_push_bytes = settings.max_push_bytes;
        let gateway = Self { shared, client, callback, admin, addresses, callback_base, max_push_bytes };
        gateway.handle().reload(documents);
        Ok(gateway)
    }

    /// Where it listens.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// The process-wide limit on client connections.
    pub fn max_connections(&self) -> usize {
        self.shared.max_connections()
    }

    /// A handle.
    pub fn handle(&self) -> Handle {
        Handle::new(Arc::clone(&self.shared), Arc::clone(&self.callback_base))
    }

    /// Serves until [`Handle::shutdown`]. When this returns, every task has ended.
    pub async fn run(self) {
        let Self { shared, client, callback, admin, max_push_bytes, .. } = self;
        let view = Arc::new(View { shared: Arc::clone(&shared), pools: parking_lot::Mutex::default() });
        let state = Arc::new(CallbackState {
            directory: Arc::clone(&view) as _,
            control: Arc::clone(&view) as _,
            budget: Arc::clone(&shared.budget),
            metrics: Arc::clone(&shared.metrics),
            observer: shared.observer.is_some().then(|| Arc::clone(&view) as _),
            max_body_bytes: max_push_bytes,
        });
        for listener in callback {
            shared.tasks.spawn(crate::callback::serve(listener, Arc::clone(&state), shared.stop.clone()));
        }
        let clients = async {
            listener::run(client, Arc::clone(&shared)).await;
            finish(&shared).await;
        };
        tokio::join!(clients, admin.serve(view, &shared.stop));
    }
}

/// Ends everything once the listener has stopped.
async fn finish(shared: &Shared) {
    // A handshake that was admitted in the moment the drain ended has a session nobody has told yet.
    drain::close_all(shared).await;
    for (_, pool) in shared.table.load().pools().all() {
        pool.close();
    }
    shared.tasks.close();
    shared.tasks.wait().await;
}

async fn bind(address: SocketAddr, what: &'static str) -> Result<TcpListener, BindError> {
    crate::listen::bind(address).await.map_err(|source| BindError { what, address: address.to_string(), source })
}

/// 90 % of the file limit: the rest is for connections to applications, listeners and files.
fn default_max_connections() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    usize::try_from(limit.unwrap_or(u64::from(u32::MAX))).unwrap_or(usize::MAX) / 10 * 9
}

/// Splits `host:port`, leaving IPv6 brackets on the host.
pub fn split_port(authority: &str) -> (&str, Option<u16>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => match port.parse() {
            Ok(port) => (host, Some(port)),
            Err(_) => (authority, None),
        },
        _ => (authority, None),
    }
}

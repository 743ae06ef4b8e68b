//! What the demo stands on: the service of orders and the gateway in front of it, on the usual ports if they are free.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use moorline_crds::document::Document;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::script::Stage;
use super::transcript::Transcript;
use super::{journal, orders};
use crate::cli::args::{ADMIN_PORT, CALLBACK_PORT, CLIENT_PORT, DemoArgs, loopback};
use crate::cli::outcome::Failure;
use crate::cli::serving;
use crate::gateway::{Addresses, CallbackBind, DrainSettings, Gateway, Settings};
use crate::observe::Observer;
use crate::source::manifests::{self, File};

/// The manifest, so that the binary alone is enough.
const ROUTE: &str = include_str!("../../../../examples/orders/route.yaml");
/// Where it is in the repository.
pub(super) const ROUTE_PATH: &str = "examples/orders/route.yaml";
/// The port its `serviceRef` names.
const APP_PORT: u16 = 3000;

/// The service of orders and the gateway before it.
pub(super) struct House {
    pub(super) app: SocketAddr,
    pub(super) addresses: Addresses,
    journal: journal::Journal,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl House {
    pub(super) async fn open(args: DemoArgs, observer: Option<Arc<dyn Observer>>) -> Result<(Self, Gateway), Failure> {
        let listener = listen_for_app(args.app).await?;
        let app = listener.local_addr().map_err(|error| Failure::Runtime(error.to_string()))?;
        let settings = Settings {
            client: args.listen.unwrap_or_else(|| free(CLIENT_PORT)),
            callback: CallbackBind {
                port: args.callback.map_or_else(|| free(CALLBACK_PORT).port(), |address| address.port()),
                explicit: args.callback,
            },
            admin: args.admin.unwrap_or_else(|| free(ADMIN_PORT)),
            loopback_hosts_only: true,
            drain: DrainSettings { grace: Duration::ZERO, window: Duration::ZERO },
            observer,
            ..Settings::default()
        };
        let gateway = serving::bind(settings, documents(app)?).await?;
        let addresses = gateway.addresses().clone();
        let (recorder, journal) = journal::journal();
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let service = orders::service(&orders::Store::with_orders());
        tasks.spawn(journal::serve(listener, service, recorder, stop.clone()));
        Ok((Self { app, addresses, journal, tasks, stop }, gateway))
    }

    /// What the script plays on.
    pub(super) fn stage<'a, W>(&'a mut self, transcript: &'a mut Transcript<W>) -> Stage<'a, W> {
        let callback = self.addresses.callback.first().copied().unwrap_or(loopback(CALLBACK_PORT));
        Stage { gateway: self.addresses.client, callback, journal: &mut self.journal, transcript }
    }

    /// Ends the service. The gateway is stopped before, and with it the service's clients.
    pub(super) async fn close(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

async fn listen_for_app(wanted: Option<SocketAddr>) -> Result<TcpListener, Failure> {
    match wanted {
        Some(address) => {
            TcpListener::bind(address).await.map_err(|error| Failure::Runtime(format!("--app: {address}: {error}")))
        }
        None => match TcpListener::bind(loopback(APP_PORT)).await {
            Ok(listener) => Ok(listener),
            Err(_) => TcpListener::bind(loopback(0))
                .await
                .map_err(|error| Failure::Runtime(format!("no port for the service: {error}"))),
        },
    }
}

/// The port on this machine if it can be had, else any. Somebody may take it before it is bound, which then is said.
fn free(port: u16) -> SocketAddr {
    let taken = |address: SocketAddr| {
        std::net::TcpListener::bind(address).is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse)
    };
    // The callback listener wants it on both addresses, and a browser or a client may try either.
    let v6 = SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, port));
    if taken(loopback(port)) || taken(v6) { loopback(0) } else { loopback(port) }
}

/// The documents of the example, with the app where it is.
fn documents(app: SocketAddr) -> Result<Vec<Document>, Failure> {
    let file = File { name: ROUTE_PATH.to_owned(), text: Ok(ROUTE.to_owned()) };
    let compiled = manifests::compile_all(&[file], &|_| Ok(moorline_crds::Backend::at(app.to_string())));
    match compiled.problems.first() {
        Some(problem) => Err(Failure::Runtime(problem.to_string())),
        None => Ok(compiled.documents),
    }
}

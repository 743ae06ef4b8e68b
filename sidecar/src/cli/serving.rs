//! Serving until a signal: what `run`, `dev` and `demo` have in common.
//!
//! The first SIGTERM or SIGINT drains and then stops; the second one exits at once, because whoever sends it has waited
//! long enough. Everything runs inside the one future here, so that nothing outlives it.

use std::future::Future;
use std::pin::pin;

use futures_util::FutureExt as _;
use futures_util::future::FusedFuture as _;
use moorline_crds::document::Document;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::outcome::{Done, Failure, Outcome};
use crate::gateway::{Gateway, Settings};

/// Serves until a signal, with `companion` running beside until everything has stopped: it follows the configuration,
/// which may change during a long drain too. A companion that ends has failed, and everything with it.
pub(super) async fn until_signalled(
    gateway: Gateway,
    mut signals: Signals,
    companion: impl Future<Output = Failure>,
) -> Outcome {
    let handle = gateway.handle();
    let mut serving = pin!(gateway.run());
    let mut companion = pin!(companion.fuse());
    let outcome = tokio::select! {
        name = signals.next() => {
            tracing::info!(signal = name, connections = handle.connections(), "draining; again to exit at once");
            Ok(Done::Well)
        }
        failure = &mut companion => Err(failure),
        () = &mut serving => return Err(Failure::Runtime("the gateway ended by itself".to_owned())),
    };
    let mut stopping = pin!(futures_util::future::join(handle.shutdown(), serving));
    loop {
        tokio::select! {
            _ = &mut stopping => return outcome,
            // Not even told: the tasks end with the runtime, which does not wait for them.
            _ = signals.next() => return Ok(Done::Interrupted),
            _ = &mut companion, if !companion.is_terminated() => {}
        }
    }
}

/// Binds a gateway; what cannot be had is named by its flag.
pub(super) async fn bind(settings: Settings, documents: Vec<Document>) -> Result<Gateway, Failure> {
    Gateway::bind(settings, documents).await.map_err(|error| {
        let flag = match error.what {
            "clients" => "--listen",
            "callbacks" => "the callback port",
            _ => "--admin",
        };
        Failure::Runtime(format!("{flag}: {}: {}", error.address, error.source))
    })
}

/// SIGTERM and SIGINT. To be had before anything is printed: who reads `ready` may send one the next moment, and
/// without this it would be the end at once.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(super) fn new() -> Result<Self, Failure> {
        let listen = |kind| signal(kind).map_err(|error| Failure::Runtime(format!("signals: {error}")));
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

//! Serving until a signal: what `run`, `dev` and `demo` have in common.
//!
//! The first SIGTERM or SIGINT drains and then stops; the second one exits at once, because whoever sends it has waited
//! long enough. Everything runs inside the one future here, so that nothing outlives it.

use std::future::Future;
use std::pin::pin;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::outcome::{Done, Failure, Outcome};
use crate::gateway::Gateway;

/// Serves until a signal, with `companion` running beside: it follows the configuration, and stops first. A companion
/// that ends has failed, and everything with it.
pub(super) async fn until_signalled(gateway: Gateway, companion: impl Future<Output = Failure>) -> Outcome {
    let mut signals = Signals::new()?;
    let handle = gateway.handle();
    let mut serving = pin!(gateway.run());
    let outcome = tokio::select! {
        name = signals.next() => {
            tracing::info!(signal = name, connections = handle.connections(), "draining; again to exit at once");
            Ok(Done::Well)
        }
        failure = companion => Err(failure),
        () = &mut serving => return Err(Failure::Runtime("the gateway ended by itself".to_owned())),
    };
    tokio::select! {
        _ = futures_util::future::join(handle.shutdown(), serving) => outcome,
        _ = signals.next() => {
            handle.shutdown_now();
            Ok(Done::Interrupted)
        }
    }
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Self, Failure> {
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

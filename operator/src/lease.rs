//! Which replica acts: the one that holds a Lease.
//!
//! Of our own and not kube-lease-manager 0.13, which was read for this: it takes a lease over by a patch without a
//! precondition, so that two candidates that saw the same expired lease both believe they hold it until the first one's
//! next renewal; it compares `renewTime` with the local clock, so that a node whose clock is ahead takes over from a
//! healthy holder; and it acts on a detached task. Here every write names the version that was read, a lease has expired
//! when *we* have not seen it change for its duration (no clock of another machine is read), and the holder stops
//! acting well before that.
//!
//! Invariants: [`Leadership::holds`] is false from [`STEP_DOWN`] after the start of the last renewal that worked, also
//! when this process was frozen; nobody takes over before [`DURATION`] after it. So two never act, as long as what is
//! already on its way takes less than the difference.

mod record;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, PostParams};
use kube::{Client, ResourceExt as _};
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use self::record::{Decision, Observed};
use crate::api::{is_conflict, is_not_found};

/// How long a lease is valid after its holder was last heard of.
const DURATION: Duration = Duration::from_secs(15);
/// How long the holder acts without having renewed it.
const STEP_DOWN: Duration = Duration::from_secs(10);
/// Time between renewals.
const RENEW_EVERY: Duration = Duration::from_secs(3);
/// Time between looks of those who wait: a lease that was given up is taken within this.
const LOOK_EVERY: Duration = Duration::from_millis(800);
/// How long one call may take.
const CALL: Duration = Duration::from_secs(3);

/// What a lease is for.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    /// The namespace of the lease.
    pub(crate) namespace: String,
    /// Its name.
    pub(crate) name: String,
    /// Who we are; a new process is somebody else, also in the same pod.
    pub(crate) identity: String,
}

/// Whether this process may act.
#[derive(Debug, Clone)]
pub(crate) struct Leadership {
    leader: watch::Receiver<bool>,
    until: Arc<Until>,
}

/// Until when the lease is held, in milliseconds since `started`; zero for not at all.
#[derive(Debug)]
struct Until {
    started: Instant,
    ms: AtomicU64,
}

/// Why a step towards the lease failed.
#[derive(Debug, Error)]
enum LeaseError {
    #[error("the lease cannot be read: {0}")]
    Read(#[source] kube::Error),
    #[error("the lease cannot be written: {0}")]
    Write(#[source] kube::Error),
    #[error("no answer within {CALL:?}")]
    Timeout,
}

impl Leadership {
    /// Turns true when this process becomes the leader, and false when it is no more.
    pub(crate) fn watch(&self) -> watch::Receiver<bool> {
        self.leader.clone()
    }

    /// Whether this process may write now. Looks at the time itself, because a process that was frozen finds out about
    /// its lost lease later than it runs on.
    pub(crate) fn holds(&self) -> bool {
        self.until.is_ahead()
    }
}

/// Waits until this process leads, or leads no more. False when that is not told any longer.
pub(crate) async fn became(leader: &mut watch::Receiver<bool>, leads: bool) -> bool {
    // What it returns holds a lock, which nobody should have for as long as he leads.
    leader.wait_for(|now| *now == leads).await.is_ok()
}

#[cfg(test)]
impl Leadership {
    /// One that is held until it is not, for tests of those who follow it.
    pub(crate) fn held() -> (watch::Sender<bool>, Self) {
        let (sender, leader) = watch::channel(true);
        let until = Until { started: Instant::now(), ms: AtomicU64::new(u64::MAX) };
        (sender, Self { leader, until: Arc::new(until) })
    }
}

impl Until {
    fn set(&self, until: Option<Instant>) {
        let ms = until.map_or(0, |until| millis(until.saturating_duration_since(self.started)));
        self.ms.store(ms, Ordering::Release);
    }

    fn is_ahead(&self) -> bool {
        millis(self.started.elapsed()) < self.ms.load(Ordering::Acquire)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A candidate that has not begun.
#[derive(Debug)]
pub(crate) struct Election {
    candidate: Candidate,
    leader: watch::Sender<bool>,
    until: Arc<Until>,
}

impl Election {
    /// Makes the candidate, and the handle by which the rest of the process follows it.
    pub(crate) fn new(candidate: Candidate) -> (Self, Leadership) {
        let (sender, receiver) = watch::channel(false);
        let until = Arc::new(Until { started: Instant::now(), ms: AtomicU64::new(0) });
        let leadership = Leadership { leader: receiver, until: Arc::clone(&until) };
        (Self { candidate, leader: sender, until }, leadership)
    }

    /// Stands until `resign`, then gives the lease up so that another replica has it within a second.
    pub(crate) async fn run(self, client: Client, resign: CancellationToken) {
        let api: Api<Lease> = Api::namespaced(client, &self.candidate.namespace);
        let mut observed = Observed::default();
        let mut held: Option<Held> = None;
        loop {
            let pause = match held.take() {
                None => {
                    held = self.look(&api, &mut observed).await;
                    if held.is_some() { RENEW_EVERY } else { LOOK_EVERY }
                }
                Some(lease) => {
                    held = self.renew(&api, lease).await;
                    match &held {
                        Some(lease) if lease.is_fresh => RENEW_EVERY,
                        _ => LOOK_EVERY,
                    }
                }
            };
            self.publish(held.as_ref());
            let pause = pause.mul_f64(rand::random_range(0.8..=1.0));
            // A renewal that fails goes on until it is too late, and not longer.
            if resign.run_until_cancelled(sleep(pause)).await.is_none() {
                break;
            }
        }
        self.publish(None);
        if let Some(held) = held {
            self.give_up(&api, held).await;
        }
    }

    fn publish(&self, held: Option<&Held>) {
        self.until.set(held.map(|held| held.renewed + STEP_DOWN));
        let is_leader = held.is_some();
        if self.leader.send_if_modified(|leader| std::mem::replace(leader, is_leader) != is_leader) {
            let identity = self.candidate.identity.as_str();
            if is_leader {
                tracing::info!(identity, "this replica is the leader");
            } else {
                tracing::info!(identity, "this replica is not the leader any more");
            }
        }
    }

    /// One look of one who waits.
    async fn look(&self, api: &Api<Lease>, observed: &mut Observed) -> Option<Held> {
        match self.try_take(api, observed).await {
            Ok(held) => held,
            Err(error) => {
                tracing::warn!(%error, "the lease");
                None
            }
        }
    }

    async fn try_take(&self, api: &Api<Lease>, observed: &mut Observed) -> Result<Option<Held>, LeaseError> {
        let found = call(api.get_opt(&self.candidate.name)).await?.map_err(LeaseError::Read)?;
        let begun = Instant::now();
        let write = match found {
            None => {
                let lease = record::first(&self.candidate, DURATION, Timestamp::now());
                call(api.create(&PostParams::default(), &lease)).await?
            }
            Some(found) => match observed.look(&found, begun, DURATION) {
                Decision::Wait => return Ok(None),
                Decision::Take => {
                    let lease = record::taken(found, &self.candidate.identity, DURATION, Timestamp::now());
                    call(api.replace(&self.candidate.name, &PostParams::default(), &lease)).await?
                }
            },
        };
        match write {
            Ok(lease) => Ok(Some(Held { lease, renewed: begun, is_fresh: true })),
            // Another candidate was faster.
            Err(error) if is_conflict(&error) => Ok(None),
            Err(error) => Err(LeaseError::Write(error)),
        }
    }

    /// One renewal. None when the lease is lost.
    async fn renew(&self, api: &Api<Lease>, held: Held) -> Option<Held> {
        let begun = Instant::now();
        let lease = record::renewed(held.lease.clone(), Timestamp::now());
        let error = match call(api.replace(&self.candidate.name, &PostParams::default(), &lease)).await {
            Ok(Ok(lease)) => return Some(Held { lease, renewed: begun, is_fresh: true }),
            Ok(Err(error)) if is_conflict(&error) => return self.after_conflict(api, held).await,
            Ok(Err(error)) if is_not_found(&error) => {
                tracing::warn!("the lease was deleted");
                return None;
            }
            Ok(Err(error)) => LeaseError::Write(error),
            Err(error) => error,
        };
        let silent = held.renewed.elapsed();
        tracing::warn!(%error, ?silent, "the lease was not renewed");
        (silent < STEP_DOWN).then_some(Held { is_fresh: false, ..held })
    }

    /// Somebody wrote the lease: a person who labels it, or one who took it.
    async fn after_conflict(&self, api: &Api<Lease>, held: Held) -> Option<Held> {
        let found = match call(api.get_opt(&self.candidate.name)).await {
            Ok(Ok(found)) => found?,
            Ok(Err(_)) | Err(_) => {
                return (held.renewed.elapsed() < STEP_DOWN).then_some(Held { is_fresh: false, ..held });
            }
        };
        let is_ours = record::holder(&found) == Some(self.candidate.identity.as_str());
        if !is_ours {
            tracing::warn!(holder = record::holder(&found), "another replica took the lease");
        }
        is_ours.then_some(Held { lease: found, is_fresh: false, ..held })
    }

    async fn give_up(&self, api: &Api<Lease>, held: Held) {
        let lease = record::released(held.lease, Timestamp::now());
        match call(api.replace(&lease.name_any(), &PostParams::default(), &lease)).await {
            Ok(Ok(_)) => tracing::info!("the lease is given up"),
            // It expires.
            Ok(Err(error)) => tracing::warn!(%error, "the lease could not be given up"),
            Err(error) => tracing::warn!(%error, "the lease could not be given up"),
        }
    }
}

/// The lease as it was last written by us.
#[derive(Debug)]
struct Held {
    lease: Lease,
    /// When the last write that worked was begun.
    renewed: Instant,
    /// Whether that was the last attempt.
    is_fresh: bool,
}

async fn call<T>(call: impl Future<Output = kube::Result<T>>) -> Result<kube::Result<T>, LeaseError> {
    timeout(CALL, call).await.map_err(|_| LeaseError::Timeout)
}

#[cfg(test)]
mod tests;

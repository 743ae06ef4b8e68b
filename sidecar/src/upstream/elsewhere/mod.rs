//! Failing over: a call that finds nobody at the app beside the sidecar goes to another replica.
//!
//! Clients keep their sockets when the container of the app restarts or ends before the pod does; what they send in
//! between is answered by the replicas that are there. Only a call that was not begun may go, so that no order is run
//! twice, and each try is a connection of its own, because the address of a Service spreads connections and not
//! requests. The rules are apart from the rest: when the app is worth a try ([`cooldown`](super::cooldown)), how many
//! tries there are ([`budget`]), where they go ([`find`], [`dns`]).
//!
//! Guarantees:
//! - A request leaves this process at most once, save where [`Pool::call`] repeats it.
//! - At most [`TRIES`] tries, begun within [`TIME`], those after the first within the budget.
//! - A healthy app costs a call one read of memory more than without a failover.

mod budget;
mod dns;
mod find;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, ready};
use futures_util::{FutureExt as _, TryFutureExt as _};
use http::Request;
use http_body_util::Full;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

pub use self::dns::NameServers;
pub(crate) use self::dns::Resolver;
pub(crate) use self::find::{Finder, host_of};

use self::budget::Budget;
use super::call::Missed;
use super::error::{CallError, Result};
use super::{Answer, CallOptions, Pool};

/// Tries elsewhere of one call.
const TRIES: usize = 3;
/// When the last of them must have its connection.
const TIME: Duration = Duration::from_secs(2);
/// The pauses before the second and the third, each shortened at random. A Service takes about a second to see that a
/// replica is gone, and until then may lead to the very app that is: the third try comes when it no longer does, since of
/// two replicas three quick ones would meet the dead one every eighth time.
const PAUSES: [Duration; TRIES - 1] = [Duration::from_millis(100), Duration::from_millis(1600)];

/// The app of a route: beside the sidecar, and elsewhere.
#[derive(Clone, Debug)]
pub struct App {
    home: Pool,
    elsewhere: Option<Arc<Elsewhere>>,
}

/// The other replicas of an app.
#[derive(Debug)]
pub(crate) struct Elsewhere {
    pool: Pool,
    budget: Mutex<Budget>,
    /// Calls that were made here without a try at home.
    instead: AtomicU64,
}

impl Elsewhere {
    /// Calls through this pool, which makes a connection for each.
    pub(crate) fn new(pool: Pool) -> Self {
        Self { pool, budget: Mutex::new(Budget::new(Instant::now())), instead: AtomicU64::new(0) }
    }
}

impl App {
    /// An app that is beside the sidecar, and perhaps elsewhere too.
    pub(crate) fn new(home: Pool, elsewhere: Option<Arc<Elsewhere>>) -> Self {
        Self { home, elsewhere }
    }

    /// Makes a call as [`Pool::call`] does, elsewhere when the app is not there to take it. `went` says afterwards
    /// whether it was tried elsewhere.
    ///
    /// # Cancel safety
    ///
    /// As [`Pool::call`].
    // Of combinators and boxes for what is rare, so that it is no larger than a call of the pool.
    pub fn call<'a>(
        &'a self,
        request: Request<Bytes>,
        options: CallOptions,
        went: &'a mut bool,
    ) -> impl Future<Output = Result<Answer>> + Send + 'a {
        let request = self.home.prepare(request);
        if let Some(elsewhere) = &self.elsewhere
            && !self.home.is_worth_a_try()
        {
            *went = true;
            return Either::Left(elsewhere.instead(&self.home, request, options).boxed());
        }
        let tried = Instant::now();
        let attempt = self.home.attempt(request, options, options.deadline);
        Either::Right(attempt.or_else(move |Missed { error, unbegun }| match (&self.elsewhere, unbegun) {
            (Some(elsewhere), Some(request)) if is_absence(&error) => {
                self.home.shared.cooldown.failed(tried);
                *went = true;
                let call = elsewhere.call(&self.home, *request, options);
                Either::Left(async { call.await.map_err(|missed| missed.settle(error)) }.boxed())
            }
            _ => Either::Right(ready(Err(error))),
        }))
    }
}

impl Elsewhere {
    /// A call while the app rests. When there is nobody elsewhere, the app is asked after all: it may be back, and
    /// there is nothing to lose.
    async fn instead(&self, home: &Pool, request: Request<Full<Bytes>>, options: CallOptions) -> Result<Answer> {
        self.instead.fetch_add(1, Ordering::Relaxed);
        match self.call(home, request, options).await {
            Ok(answer) => Ok(answer),
            Err(Missed { error, unbegun: Some(request) }) if is_absence(&error) => {
                let tried = Instant::now();
                // It counts as one call, and is counted there now.
                self.instead.fetch_sub(1, Ordering::Relaxed);
                home.attempt(home.address(*request), options, options.deadline).await.map_err(|missed| {
                    if is_absence(&missed.error) {
                        home.shared.cooldown.failed(tried);
                    }
                    missed.error
                })
            }
            Err(missed) => Err(missed.error),
        }
    }

    /// The tries of one call.
    async fn call(&self, home: &Pool, request: Request<Full<Bytes>>, options: CallOptions) -> Result<Answer, Missed> {
        let until = options.deadline.min(Instant::now() + TIME);
        let mut request = self.pool.address(request);
        let mut pauses = PAUSES.iter();
        loop {
            let missed = match self.pool.attempt(request, options, until).await {
                Ok(answer) => return Ok(answer),
                Err(missed) => missed,
            };
            let Some(pause) = pauses.next().map(|pause| pause.mul_f64(rand::random_range(0.5..1.0))) else {
                return Err(missed);
            };
            let calls = home.calls() + self.instead.load(Ordering::Relaxed);
            let again = is_absence(&missed.error)
                && Instant::now() + pause < until
                && self.budget.lock().take(Instant::now(), calls);
            request = match missed {
                Missed { unbegun: Some(request), .. } if again => *request,
                missed => return Err(missed),
            };
            sleep(pause).await;
        }
    }
}

impl Missed {
    /// What a call is told that nobody elsewhere took: that the app was not there, unless more is known.
    fn settle(self, at_home: CallError) -> CallError {
        if self.unbegun.is_some() && is_absence(&self.error) { at_home } else { self.error }
    }
}

/// Whether the error says that nobody is there, rather than that the app is slow, wrong or kept busy by us.
fn is_absence(error: &CallError) -> bool {
    use std::io::ErrorKind::{
        ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable, InvalidInput, NetworkUnreachable,
        NotFound, TimedOut,
    };
    match error {
        // Not what this machine lacks, descriptors or ports: going elsewhere needs one too.
        CallError::ConnectFailed(source) => matches!(
            source.kind(),
            ConnectionRefused
                | ConnectionReset
                | ConnectionAborted
                | HostUnreachable
                | NetworkUnreachable
                | TimedOut
                | NotFound
                // The name of a port that this pod does not have.
                | InvalidInput
        ),
        CallError::Timeout { phase } => *phase == super::CallPhase::Connecting,
        CallError::ConnectionLost { sent } => !sent,
        _ => false,
    }
}

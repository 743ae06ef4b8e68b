//! The pool that calls share: taking a connection, waiting for one, giving it back, closing old ones.
//!
//! All counting is in [`Slots`], under one lock that is held for a few dozen instructions and never
//! while a connection is closed, a waiter is woken or anything is awaited: each of these can run code
//! that takes the lock again, and closing is a system call.
//!
//! Invariant: every grant ends in exactly one [`Shared::settle`]. A [`Lease`] and a [`Waiting`] do it
//! when they are dropped, so a call may be cancelled at any point.

use std::{
    fmt,
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll, ready},
    time::Duration,
};

use http::HeaderValue;
use parking_lot::Mutex;
use tokio::{
    net::TcpStream,
    sync::{Notify, oneshot},
    time::{Instant, sleep_until, timeout_at},
};
use tokio_util::task::TaskTracker;

use super::{
    CallClass, PoolSettings,
    connection::Connection,
    cooldown::Cooldown,
    elsewhere::Finder,
    error::{CallError, CallPhase, Result},
    slots::{Grant, Limits, QueueFull, Slots, Ticket},
};

/// An idle time from which on the kernel is asked whether the app has ended a connection. An app ends
/// connections that were idle for seconds; under load a connection is idle for microseconds, and the
/// system call (0.3 of them) would be paid by every call.
const LOOK_AFTER: Duration = Duration::from_millis(10);

/// A bounded pool of connections to one app. Clones share it.
///
/// Dropping the last clone closes the idle connections.
#[derive(Clone)]
pub struct Pool {
    pub(super) shared: Arc<Shared>,
}

/// How full a pool is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolStats {
    /// Connections, idle and opening ones included.
    pub open: usize,
    /// Connections that no call uses.
    pub idle: usize,
    /// Calls that wait for a connection.
    pub waiting: usize,
}

type Given = Grant<Box<Connection>>;

/// What the clones share.
pub(super) struct Shared {
    address: Address,
    pub(super) host: HeaderValue,
    max_idle: Duration,
    connect_timeout: Duration,
    look_after: Duration,
    tasks: TaskTracker,
    pub(super) cooldown: Cooldown,
    /// Told when the pool is closed or dropped; only the sweeper listens.
    closing: Arc<Notify>,
    state: Mutex<State>,
}

struct State {
    slots: Slots<Box<Connection>, oneshot::Sender<Given>>,
    /// How many asked for a connection so far.
    calls: u64,
    closed: bool,
    /// The task that closes old connections runs. It starts with the first connection and ends with the
    /// last, so a pool that is not used has no task.
    sweeping: bool,
}

enum Address {
    Socket(SocketAddr),
    Name(String),
    /// Another one for each connection, which carries one call.
    Found(Arc<Finder>),
}

/// One call's use of one connection; dropping it gives the place back.
pub(super) struct Lease<'a> {
    shared: &'a Shared,
    class: CallClass,
    /// `None`: the right to open one.
    pub(super) connection: Option<Box<Connection>>,
    /// The exchange ended with a whole answer.
    pub(super) is_whole: bool,
}

/// A place in the queue; dropping it leaves the queue.
struct Waiting<'a> {
    shared: &'a Shared,
    class: CallClass,
    ticket: Ticket,
    receiver: oneshot::Receiver<Given>,
    is_served: bool,
}

// === impl Pool ===

impl Pool {
    /// A pool without connections. Its one task is put on `tasks`.
    pub fn new(settings: PoolSettings, tasks: TaskTracker) -> Self {
        Self::with_look_after(settings, tasks, LOOK_AFTER)
    }

    /// As [`Pool::new`], with another idle time from which on the kernel is asked.
    pub(super) fn with_look_after(settings: PoolSettings, tasks: TaskTracker, look_after: Duration) -> Self {
        let open = settings.max_connections.max(1);
        let limits = Limits { open, waiting: settings.max_waiting, disconnects: (open / 4).max(1) };
        // An authority that no header can carry cannot be connected to either: calls fail there.
        let host = HeaderValue::from_str(&settings.authority).unwrap_or_else(|_| HeaderValue::from_static(""));
        let address = match (settings.finder, settings.authority.parse()) {
            (Some(finder), _) => Address::Found(finder),
            (None, Ok(address)) => Address::Socket(address),
            (None, Err(_)) => Address::Name(settings.authority),
        };
        Self {
            shared: Arc::new(Shared {
                address,
                host,
                max_idle: settings.max_idle,
                connect_timeout: settings.connect_timeout,
                look_after,
                tasks,
                closing: Arc::new(Notify::new()),
                cooldown: Cooldown::new(),
                state: Mutex::new(State { slots: Slots::new(limits), calls: 0, closed: false, sweeping: false }),
            }),
        }
    }

    /// How full the pool is.
    pub fn stats(&self) -> PoolStats {
        let state = self.shared.state.lock();
        PoolStats { open: state.slots.open(), idle: state.slots.idle().len(), waiting: state.slots.waiting() }
    }

    /// How many calls it was asked for so far.
    pub(super) fn calls(&self) -> u64 {
        self.shared.state.lock().calls
    }

    /// Closes the idle connections and keeps none from now on.
    ///
    /// Calls that run or wait are finished, and new ones still work, each on a connection of its own:
    /// whoever took the pool just before it was replaced loses nothing.
    pub fn close(&self) {
        self.shared.state.lock().closed = true;
        self.shared.closing.notify_one();
        self.shared.close_idle(|_| true);
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

// === impl Shared ===

impl Shared {
    /// Takes a connection that may be used, or the right to open one; waits until `deadline`.
    pub(super) async fn acquire(&self, class: CallClass, deadline: Instant) -> Result<Lease<'_>> {
        let grant = match self.take_or_wait(class)? {
            Ok(grant) => grant,
            Err(waiting) => match timeout_at(deadline, waiting).await {
                Ok(grant) => grant?,
                Err(_) => {
                    return Err(CallError::Timeout { phase: CallPhase::Waiting });
                }
            },
        };
        let now = Instant::now();
        if now >= deadline {
            self.settle(class, grant.into_connection());
            return Err(CallError::Timeout { phase: CallPhase::Waiting });
        }
        let mut lease = Lease { shared: self, class, connection: grant.into_connection(), is_whole: false };
        self.drop_dead(&mut lease, now);
        Ok(lease)
    }

    fn take_or_wait(&self, class: CallClass) -> Result<Result<Given, Waiting<'_>>> {
        let mut state = self.state.lock();
        // Here, where the lock is taken anyway, and not in a counter that all threads would write to once more.
        state.calls += 1;
        if let Some(grant) = state.slots.take(class) {
            return Ok(Ok(grant));
        }
        let (sender, receiver) = oneshot::channel();
        let ticket = state.slots.wait(class, sender);
        drop(state);
        let ticket = ticket.map_err(|QueueFull| CallError::WaitQueueFull)?;
        Ok(Err(Waiting { shared: self, class, ticket, receiver, is_served: false }))
    }

    /// Exchanges a connection that may not be used for another idle one, or for the right to open one.
    fn drop_dead(&self, lease: &mut Lease<'_>, now: Instant) {
        while let Some(connection) = &mut lease.connection {
            if connection.is_fit(now, self.look_after) {
                return;
            }
            lease.connection = None;
            // No waiter can be served by this: had the idle connection been of use to one, it had it.
            let mut state = self.state.lock();
            lease.connection = state.slots.replace_dead();
        }
    }

    /// Opens a connection.
    pub(super) async fn open(self: &Arc<Self>, deadline: Instant) -> Result<Box<Connection>> {
        let until = deadline.min(Instant::now() + self.connect_timeout);
        let connected = timeout_at(until, async {
            let stream = match &self.address {
                Address::Socket(address) => TcpStream::connect(address).await?,
                Address::Name(name) => TcpStream::connect(name.as_str()).await?,
                Address::Found(finder) => TcpStream::connect(finder.next().await?).await?,
            };
            Connection::new(stream, self.max_idle).await
        })
        .await;
        match connected {
            Ok(Ok(connection)) => {
                self.cooldown.recovered();
                self.start_sweeper();
                Ok(Box::new(connection))
            }
            Ok(Err(error)) => Err(CallError::ConnectFailed(error)),
            Err(_) => Err(CallError::Timeout { phase: CallPhase::Connecting }),
        }
    }

    /// Whether a call may be repeated here and its connection be used again. Not where each connection goes somewhere
    /// else: there the tries are counted by whoever makes them.
    pub(super) fn repeats(&self) -> bool {
        !matches!(self.address, Address::Found(_))
    }

    /// Ends the use of a connection, and serves those who wait.
    fn settle(&self, class: CallClass, connection: Option<Box<Connection>>) {
        self.serve(Some((class, connection)));
    }

    fn serve(&self, mut returned: Option<(CallClass, Option<Box<Connection>>)>) {
        loop {
            let mut surplus = None;
            let next = {
                let mut state = self.state.lock();
                if let Some((class, mut connection)) = returned.take() {
                    if state.closed {
                        surplus = connection.take();
                    }
                    state.slots.give_back(class, connection);
                }
                state.slots.next()
            };
            drop(surplus);
            let Some((class, waiter, grant)) = next else {
                return;
            };
            if let Err(grant) = waiter.send(grant) {
                // The waiter left after it was taken from the queue: the next one is served.
                returned = Some((class, grant.into_connection()));
            }
        }
    }

    /// Closes the idle connections that `unfit` names.
    fn close_idle(&self, unfit: impl FnMut(&Box<Connection>) -> bool) {
        let old = self.state.lock().slots.take_idle(unfit);
        let count = old.len();
        drop(old);
        self.state.lock().slots.closed(count);
        // A waiter can have come while the old connections still counted.
        self.serve(None);
    }

    fn start_sweeper(self: &Arc<Self>) {
        let mut state = self.state.lock();
        if state.sweeping || state.closed {
            return;
        }
        state.sweeping = true;
        drop(state);
        let closing = Arc::clone(&self.closing);
        self.tasks.spawn(sweep(Arc::downgrade(self), closing));
    }

    /// When the sweeper has something to do next; `None`: never.
    fn next_sweep(&self) -> Option<Instant> {
        let mut state = self.state.lock();
        if state.closed || state.slots.open() == 0 {
            state.sweeping = false;
            return None;
        }
        let first = state.slots.idle().iter().map(|idle| idle.expires_at()).min();
        drop(state);
        // No later than this, as one that is in use now can come back with less time than all others.
        let latest = Instant::now() + self.max_idle.max(LEAST_SWEEP);
        Some(first.map_or(latest, |first| first.min(latest)))
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.closing.notify_one();
    }
}

/// Least pause of the sweeper while nothing is idle, so that it does not spin with `max_idle: 0`.
const LEAST_SWEEP: Duration = Duration::from_millis(500);

/// Closes connections that are too old to be used again, so that neither side holds them for nothing.
///
/// It holds the pool only while it looks: a pool that nobody has any more is dropped, not kept alive
/// by its own task.
async fn sweep(pool: Weak<Shared>, closing: Arc<Notify>) {
    while let Some(at) = pool.upgrade().and_then(|pool| pool.next_sweep()) {
        tokio::select! {
            () = sleep_until(at) => {}
            () = closing.notified() => continue,
        }
        if let Some(pool) = pool.upgrade() {
            let now = Instant::now();
            pool.close_idle(|idle| now >= idle.expires_at());
        }
    }
}

// === impl Lease ===

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let mut connection = self.connection.take();
        let is_fit = self.shared.repeats()
            && connection.as_mut().is_some_and(|connection| self.is_whole && connection.rest(Instant::now()));
        if !is_fit {
            // Closed before its place is given away, so that the bound holds for sockets too.
            connection = None;
        }
        self.shared.settle(self.class, connection);
    }
}

// === impl Waiting ===

impl Future for Waiting<'_> {
    type Output = Result<Given>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let given = ready!(Pin::new(&mut self.receiver).poll(cx));
        self.is_served = true;
        // The sender lives in the queue until it is used, and the queue outlives this borrow of it.
        Poll::Ready(given.map_err(|_| CallError::ConnectFailed(io::ErrorKind::BrokenPipe.into())))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.is_served || self.shared.state.lock().slots.leave(self.class, self.ticket) {
            return;
        }
        // Taken from the queue: either the grant is here, or its sender learns that nobody is.
        self.receiver.close();
        if let Ok(grant) = self.receiver.try_recv() {
            self.shared.settle(self.class, grant.into_connection());
        }
    }
}

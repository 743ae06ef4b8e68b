//! One client connection, from its 101 to its end: reads messages, runs their calls, writes frames, keeps time.
//!
//! One task and one hand-written state machine per connection. The task is small while idle (the exchange of a message
//! is boxed and gone afterwards), and everything that touches the socket happens here, so no lock guards it.
//!
//! Order: at the in-flight limit the socket is still read until one complete message is held, so that Ping, Pong and
//! Close are answered during a long call; only then is it not read, which pushes back on the client.

mod calls;
mod ending;
mod gate;
mod liveness;
mod wire;
mod writer;

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream as _;
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use self::calls::Calls;
use self::ending::{CLOSE_LINGER, close_cause};
use self::liveness::{Due, Liveness};
use self::wire::{READ_BUFFER_BYTES, Wire};
use self::writer::{Progress, Writer};
use crate::closing::{CloseCause, Ended, NO_STATUS};
use crate::connection::{CloseOrder, Connection, PushError};
use crate::exchange::{self, Incoming, Outcome};
use crate::frame::Frame;
use crate::gateway::Shared;
use crate::rate::TokenBucket;

/// How long to wait before reading again while the process-wide budget is spent.
const BUDGET_RETRY: Duration = Duration::from_millis(100);
/// Half the time for which a socket may take nothing, where a route sends no pings: the default ping interval.
const STUCK_INTERVAL: Duration = Duration::from_secs(30);
/// The largest control frame: two bytes of header and 125 of payload.
const MAX_CONTROL_FRAME_BYTES: usize = 127;
/// An empty ping.
const PING: [u8; 2] = [0x89, 0x00];

/// The task of one connection.
pub struct Session {
    shared: Arc<Shared>,
    connection: Arc<Connection>,
    ws: WebSocketStream<Wire>,
    writer: Writer,
    calls: Calls,
    /// A complete message that waits for a free call.
    held: Option<Box<Incoming>>,
    /// Replies that wait for room in the queue, each until its deadline; they keep their place in flight.
    stalled: VecDeque<Stalled>,
    liveness: Liveness,
    bucket: Option<Box<TokenBucket>>,
    phase: Phase,
    timer: Pin<Box<Sleep>>,
    /// Since when the socket has taken nothing of what there is to write.
    stuck_since: Option<Instant>,
    /// When something other than liveness wants the task again.
    retry_at: Option<Instant>,
}

/// A reply that waits for room.
struct Stalled {
    frame: Frame,
    deadline: Instant,
    /// The same answer asked for a close, which comes after it.
    close: Option<CloseOrder>,
}

enum Phase {
    Open,
    /// Ordered to close after calls. `finish_held`: the message held when the order came still runs.
    Leaving {
        order: CloseOrder,
        finish_held: bool,
    },
    Closing {
        ended: Ended,
        stage: Stage,
        until: Instant,
    },
    Done(Ended),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Our Close is on its way.
    Write,
    /// Our Close is out; the peer's is awaited.
    AwaitPeer,
    /// The peer closed first; our answer to it is on its way.
    Answer,
    /// Both directions are over or broken; input is discarded until the peer is gone.
    Discard,
}

impl Session {
    /// A session over an upgraded socket. `ahead` is what was read beyond the handshake.
    pub async fn new(shared: Arc<Shared>, connection: Arc<Connection>, tcp: TcpStream, ahead: Bytes) -> Self {
        let runtime = connection.route.current();
        let limits = &runtime.route.limits;
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(0)
            // Room for one control frame. Without a bound it collects an answer to every ping of a client that reads
            // nothing; with it, it keeps the latest.
            .max_write_buffer_size(MAX_CONTROL_FRAME_BYTES)
            .max_message_size(Some(limits.message_bytes))
            .max_frame_size(Some(limits.frame_bytes));
        let ws = WebSocketStream::from_raw_socket(
            Wire::new(tcp, ahead, Arc::clone(&shared.budget)),
            Role::Server,
            Some(config),
        )
        .await;
        let now = Instant::now();
        let liveness = Liveness::new(now, limits.ping_interval, limits.idle_timeout, runtime.jittered_max_age());
        let timer = Box::pin(sleep_until(liveness.next().unwrap_or_else(far_future)));
        Self {
            shared,
            ws,
            writer: Writer::default(),
            calls: Calls::default(),
            held: None,
            stalled: VecDeque::new(),
            liveness,
            bucket: None,
            phase: Phase::Open,
            timer,
            stuck_since: None,
            retry_at: None,
            connection,
        }
    }

    fn poll_session(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        let now = Instant::now();
        self.retry_at = None;
        self.keep_time(now);
        loop {
            self.obey_orders(now);
            let mut again = self.poll_calls(cx, now);
            again |= self.start_held(now);
            again |= self.poll_read(cx, now);
            again |= self.poll_write(cx, now);
            if !again {
                break;
            }
        }
        // While the budget is spent nobody is read. A connection that holds some of it is not spared the pong deadline
        // then: what it holds is what the others wait for.
        let holds = self.ws.get_mut().partial_bytes() + self.connection.outbox.bytes() > 0;
        let starved = self.retry_at.is_some() && !holds;
        let reading = self.held.is_none() && !starved;
        self.liveness.set_reading(reading, now);
        if let Phase::Done(ended) = &self.phase
            && self.calls.is_empty()
        {
            return Poll::Ready(ended.clone());
        }
        self.arm_timer(cx);
        Poll::Pending
    }

    /// Acts on what is due. Cheap when nothing is.
    fn keep_time(&mut self, now: Instant) {
        match &mut self.phase {
            Phase::Open | Phase::Leaving { .. } => {}
            Phase::Closing { ended, stage, until, .. } => {
                if *until <= now {
                    if matches!(stage, Stage::Write | Stage::Answer) {
                        self.ws.get_mut().reset_on_drop();
                    }
                    self.phase = Phase::Done(ended.clone());
                }
                return;
            }
            Phase::Done(_) => return,
        }
        if self.stalled.front().is_some_and(|stalled| stalled.deadline <= now) {
            self.order(CloseCause::SlowConsumer);
            return;
        }
        if self.stuck_at().is_some_and(|at| at <= now) {
            self.order(CloseCause::SlowConsumer);
            return;
        }
        if !matches!(self.phase, Phase::Open) {
            // Leaving: the calls in flight have deadlines of their own.
            return;
        }
        while let Some(due) = self.liveness.due(now) {
            match due {
                Due::Ping => self.ws.get_mut().push_control(&PING),
                Due::Lost => {
                    self.ws.get_mut().reset_on_drop();
                    self.lose("no answer to pings");
                    return;
                }
                // An answer on its way is data that has not come yet.
                Due::Idle if !self.calls.is_empty() => self.liveness.data(now),
                Due::Idle => {
                    self.order(CloseCause::Idle);
                    return;
                }
                Due::MaxAge => {
                    self.order(CloseCause::MaxAge);
                    return;
                }
            }
        }
    }

    /// When a socket that takes nothing is given up. Its queue need not be full for that: what it holds is missing
    /// elsewhere while the process-wide budget is spent.
    fn stuck_at(&self) -> Option<Instant> {
        Some(self.stuck_since? + 2 * self.liveness.ping_interval().unwrap_or(STUCK_INTERVAL))
    }

    fn arm_timer(&mut self, cx: &mut Context<'_>) {
        let phase = match &self.phase {
            Phase::Closing { until, .. } => Some(*until),
            Phase::Open => self.liveness.next(),
            // Only the deadlines of calls and replies count now.
            Phase::Leaving { .. } | Phase::Done(_) => None,
        };
        let stalled = self.stalled.front().map(|stalled| stalled.deadline);
        let Some(wanted) = [phase, stalled, self.stuck_at(), self.retry_at].into_iter().flatten().min() else { return };
        // A timer that is early costs one wake-up; resetting it on every message would cost a lock each time.
        if wanted < self.timer.deadline() || self.timer.is_elapsed() {
            self.timer.as_mut().reset(wanted);
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            let next = wanted.max(Instant::now() + Duration::from_millis(1));
            self.timer.as_mut().reset(next);
        }
    }

    fn poll_calls(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let mut progress = false;
        while let Poll::Ready(outcome) = self.calls.poll(cx) {
            progress = true;
            self.deliver(outcome, now);
        }
        while let Some(stalled) = self.stalled.front() {
            match self.connection.outbox.try_push_unwoken(stalled.frame.clone()) {
                Ok(()) => {
                    let close = self.stalled.pop_front().and_then(|stalled| stalled.close);
                    if let Some(order) = close {
                        self.connection.outbox.close(order);
                    }
                    progress = true;
                }
                Err(PushError::Full) => break,
                Err(PushError::Gone) => {
                    self.shared.metrics.undeliverable.inc_by(self.stalled.len() as u64);
                    self.stalled.clear();
                }
            }
        }
        progress
    }

    /// Hands the reply of a call to the queue, in the order calls ended; then closes if the answer said so.
    fn deliver(&mut self, outcome: Outcome, now: Instant) {
        let Outcome { reply, close } = outcome;
        if let Some(frame) = reply {
            let pushed = if matches!(self.phase, Phase::Closing { .. } | Phase::Done(_)) {
                Err(PushError::Gone)
            } else if self.stalled.is_empty() {
                self.connection.outbox.try_push_unwoken(frame.clone())
            } else {
                Err(PushError::Full)
            };
            match pushed {
                Ok(()) => {}
                Err(PushError::Full) => {
                    let timeout = self.connection.route.current().route.limits.call_timeout;
                    self.stalled.push_back(Stalled { frame, deadline: now + timeout, close });
                    return;
                }
                Err(PushError::Gone) => {
                    self.shared.metrics.undeliverable.inc();
                }
            }
        }
        if let Some(order) = close {
            self.connection.outbox.close(order);
        }
    }

    fn start_held(&mut self, now: Instant) -> bool {
        let may_start = match &self.phase {
            Phase::Open => true,
            Phase::Leaving { finish_held, .. } => *finish_held,
            Phase::Closing { .. } | Phase::Done(_) => false,
        };
        if !may_start || self.held.is_none() {
            return false;
        }
        let runtime = self.connection.route.current();
        if self.calls.len() + self.stalled.len() >= usize::from(runtime.route.limits.in_flight) {
            return false;
        }
        let limits = &runtime.route.limits;
        let current = self.bucket.as_ref().map(|bucket| bucket.settings());
        let wanted = limits.messages_per_second.map(|rate| (f64::from(rate), limits.message_burst));
        if current != wanted {
            // A reload changed the rate, for live connections too.
            self.bucket = wanted.map(|(rate, burst)| Box::new(TokenBucket::new(rate, burst, now)));
        }
        if let Some(bucket) = &mut self.bucket
            && let Err(next) = bucket.take(now)
        {
            if runtime.route.limits.rate_action == moorline_crds::RateAction::Close {
                self.order(CloseCause::RateLimit);
                return true;
            }
            self.retry_at = Some(self.retry_at.map_or(next, |at| at.min(next)));
            return false;
        }
        let Some(message) = self.held.take() else { return false };
        self.calls.start(Box::pin(exchange::message(
            Arc::clone(&self.shared),
            Arc::clone(&self.connection),
            runtime,
            *message,
        )));
        if let Phase::Leaving { finish_held, .. } = &mut self.phase {
            *finish_held = false;
        }
        true
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        match &self.phase {
            Phase::Open | Phase::Leaving { .. } if self.held.is_none() => {}
            Phase::Closing { stage, .. } => {
                let stage = *stage;
                return self.poll_read_closing(cx, stage, now);
            }
            _ => return false,
        }
        if self.shared.budget.is_spent() {
            self.retry_at = Some(now + BUDGET_RETRY);
            return false;
        }
        let read = loop {
            match Pin::new(&mut self.ws).poll_next(cx) {
                // tungstenite sends the latest pong only when it is asked again after its buffer got room.
                Poll::Pending if self.ws.get_mut().take_unblocked() => {}
                Poll::Pending => break false,
                Poll::Ready(Some(Ok(message @ (Message::Text(_) | Message::Binary(_))))) => {
                    self.liveness.data(now);
                    self.connection.touch();
                    let charge = self.ws.get_mut().take_charge();
                    self.held = Some(Box::new(Incoming { message, charge }));
                    break true;
                }
                // What tungstenite puts in place of a code that nobody may send: ours to answer, in our words.
                Poll::Ready(Some(Ok(Message::Close(Some(frame)))))
                    if frame.code == CloseCode::Protocol && frame.reason.as_str() == "Protocol violation" =>
                {
                    self.order(CloseCause::ProtocolError);
                    break true;
                }
                Poll::Ready(Some(Ok(Message::Close(frame)))) => {
                    let (code, reason) = frame
                        .map_or((NO_STATUS, Box::default()), |frame| (frame.code.into(), frame.reason.as_str().into()));
                    self.peer_closed(Ended { code, reason, cause: None }, now);
                    break true;
                }
                Poll::Ready(Some(Ok(control))) => self.ws.get_mut().forget_control(control.len()),
                Poll::Ready(Some(Err(error))) => {
                    match close_cause(&error) {
                        Some(cause) => self.order(cause),
                        None => self.lose("connection reset"),
                    }
                    break true;
                }
                Poll::Ready(None) => {
                    self.lose("connection closed without a Close frame");
                    break true;
                }
            }
        };
        if self.ws.get_mut().take_heard() {
            self.liveness.heard(now);
        }
        read
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let stage = match &self.phase {
            Phase::Open | Phase::Leaving { .. } => None,
            Phase::Closing { stage: stage @ (Stage::Write | Stage::Answer), .. } => Some(*stage),
            Phase::Closing { .. } | Phase::Done(_) => return false,
        };
        let mut progress = Progress::default();
        let result = self.writer.poll(cx, self.ws.get_mut(), &self.connection.outbox, &mut progress);
        if progress.bytes > 0 || result.is_ready() {
            self.stuck_since = None;
        }
        if progress.frames > 0 {
            self.liveness.data(now);
            self.connection.touch();
            self.shared.metrics.frames_sent.inc_by(progress.frames as u64);
        }
        if let Poll::Ready(Err(_)) = result {
            match &self.phase {
                // The peer is gone while we were closing: what was decided stands.
                Phase::Closing { .. } => self.done(),
                _ => self.lose("connection reset"),
            }
            return true;
        }
        if result.is_pending() {
            // Orders and pushes must still wake the task while the socket is full.
            self.connection.outbox.register(cx.waker());
            self.stuck_since.get_or_insert(now);
        }
        match stage {
            Some(Stage::Write) if self.writer.is_finished() => {
                if let Phase::Closing { stage, until, .. } = &mut self.phase {
                    *stage = Stage::AwaitPeer;
                    *until = now + CLOSE_LINGER;
                }
                true
            }
            Some(Stage::Answer) if self.writer.is_finished() => {
                self.discard(cx, now);
                true
            }
            // Room in the queue may let a stalled reply in.
            _ => progress.frames > 0 && !self.stalled.is_empty(),
        }
    }
}

/// The connection, to its end and how it ended. The socket is closed when the session is dropped; when it is ready, every
/// call has run out. A future by hand rather than an `async fn` around one, because that holds its argument twice.
impl Future for Session {
    type Output = Ended;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended> {
        self.get_mut().poll_session(cx)
    }
}

/// Where a timer rests that nothing wants: a day, after which waking once is harmless.
fn far_future() -> Instant {
    Instant::now() + Duration::from_hours(24)
}

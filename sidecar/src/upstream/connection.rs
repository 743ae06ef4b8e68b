//! One keep-alive connection to the app, and one exchange of request and answer on it.
//!
//! hyper splits a connection into a handle that sends requests and a future that does the work, and the
//! usual advice is to spawn that future. Here the call that uses the connection drives it. That saves two
//! task switches per call, lets the app's answer wake the task of the client's socket directly, and makes
//! ownership plain: a call that is dropped drops its connection, which closes the socket at once (a
//! spawned future would first try to write the rest of the request, for as long as the app does not
//! read). The price is that nobody watches an idle connection; it is looked at before it is used again,
//! and the pool closes it when it gets old.
//!
//! Invariant: between two calls the connection has read one whole answer, has nothing more to write, and
//! has told its handle that it waits for a request. Whatever does not return to that state is closed.

use std::{
    future::{Future, poll_fn},
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, response};
use http_body::Body;
use http_body_util::Full;
use hyper::{
    body::Incoming,
    client::conn::{
        TrySendError,
        http1::{self, SendRequest},
    },
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    time::{Instant, Sleep, sleep_until},
};

use super::{
    answer::{Answer, Collector, admit},
    error::{CallError, CallPhase, Result},
    reuse,
    socket::{Link, Socket},
};

/// Room for an answer's head, and the most hyper reads at once. 64 KiB is eight times what common
/// servers allow for a request's head; the buffer starts at 8 KiB and grows only when it is filled.
const READ_BUFFER_BYTES: usize = 64 * 1024;

/// How often one poll goes round while the connection wakes itself. It does so when a body arrives in
/// pieces; but also when the task has used up its share of the runtime, and then it must yield.
const ROUNDS: usize = 8;

/// One connection to the app.
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// `None` once it ended.
    driver: Option<http1::Connection<TokioIo<Socket>, Full<Bytes>>>,
    link: Arc<Link>,
    /// Wakes `link`.
    waker: Waker,
    /// One timer for all calls: moving a deadline that lies ahead further ahead takes no lock in tokio,
    /// while a new timer per call takes the lock of the timer wheel twice.
    timer: Pin<Box<Sleep>>,
    idle_since: Instant,
    idle_limit: Duration,
    used: bool,
}

/// What hyper makes of a request: the head of an answer, or the error and perhaps the request.
pub(super) type Sent = Result<Response<Incoming>, TrySendError<Request<Full<Bytes>>>>;

/// An exchange without an answer.
pub(super) struct Failure {
    pub(super) error: CallError,
    /// The request, if hyper never started to send it. Boxed as it is large and rare.
    pub(super) unsent: Option<Box<Request<Full<Bytes>>>>,
    /// The connection ended before any byte of an answer.
    pub(super) silent: bool,
}

// === impl Connection ===

impl Connection {
    /// Speaks HTTP/1.1 on a connected stream.
    pub(super) async fn new(stream: TcpStream, idle_limit: Duration) -> io::Result<Self> {
        // A request is written in one piece, but a large one ends in a short segment that Nagle's
        // algorithm would hold back until the app acknowledges the rest.
        stream.set_nodelay(true)?;
        let link = Arc::new(Link::default());
        let (sender, driver) = http1::Builder::new()
            .max_buf_size(READ_BUFFER_BYTES)
            .handshake(TokioIo::new(Socket::new(stream, Arc::clone(&link))))
            .await
            .map_err(io::Error::other)?;
        let now = Instant::now();
        Ok(Self {
            sender,
            driver: Some(driver),
            waker: Waker::from(Arc::clone(&link)),
            link,
            timer: Box::pin(sleep_until(now)),
            idle_since: now,
            idle_limit,
            used: false,
        })
    }

    /// Whether it carried a call before.
    pub(super) fn is_used(&self) -> bool {
        self.used
    }

    /// When it is too old to be used again.
    pub(super) fn expires_at(&self) -> Instant {
        self.idle_since + self.idle_limit
    }

    /// Whether a new request may go out on it.
    ///
    /// `look_after`: an idle time from which on the kernel is asked. A connection that was used a moment
    /// ago is not worth the system call, unless something happened on it meanwhile.
    pub(super) fn is_fit(&mut self, now: Instant, look_after: Duration) -> bool {
        if now >= self.expires_at() {
            return false;
        }
        if now.duration_since(self.idle_since) < look_after && !self.link.is_stirred() {
            return true;
        }
        self.link.look();
        self.drive();
        self.is_ready()
    }

    /// Marks the end of a call; `false`: the connection must be closed.
    pub(super) fn rest(&mut self, now: Instant) -> bool {
        self.link.rest();
        self.idle_since = now;
        if !self.is_ready() {
            // The end of a body may have been taken before hyper had turned to the next request.
            self.drive();
        }
        self.link.calm();
        self.is_ready() && !self.idle_limit.is_zero()
    }

    /// Starts an exchange; [`Connection::answer`] does the rest with what this returns.
    ///
    /// Two functions, as hyper's future holds the request: it lies once in the caller's frame and is
    /// lent from there. An `async fn` for both would keep a second copy of a quarter of a kilobyte.
    pub(super) fn send(
        &mut self,
        request: Request<Full<Bytes>>,
        deadline: Instant,
    ) -> impl Future<Output = Sent> + use<> {
        self.used = true;
        self.link.begin();
        self.timer.as_mut().reset(deadline);
        self.sender.try_send_request(request)
    }

    /// Reads the whole answer.
    pub(super) async fn answer(
        &mut self,
        mut sent: Pin<&mut impl Future<Output = Sent>>,
        limit_bytes: usize,
    ) -> Result<Answer, Failure> {
        let sent = poll_fn(|cx| self.poll_with(cx, |cx| sent.as_mut().poll(cx))).await;
        let (head, mut body) = self.head(sent)?;
        admit(&head, &body, limit_bytes)?;
        if let Some(limit) = reuse::idle_limit(&head.headers) {
            self.idle_limit = limit;
        }
        let body = if body.is_end_stream() { Bytes::new() } else { self.collect(&mut body, limit_bytes).await? };
        Ok(Answer { status: head.status, headers: head.headers, body })
    }

    /// Takes the head by value: a match in the caller would keep the whole result while it waits for
    /// the body.
    fn head(&self, sent: Result<Sent, TimedOut>) -> Result<(response::Parts, Incoming), Failure> {
        match sent {
            Ok(Ok(response)) => Ok(response.into_parts()),
            Ok(Err(mut failed)) => {
                let unsent = failed.take_message().map(Box::new);
                let failure = self.failure(failed.into_error());
                Err(Failure { unsent, ..failure })
            }
            Err(TimedOut) => Err(Failure::from(TimedOut)),
        }
    }

    async fn collect(&mut self, body: &mut Incoming, limit_bytes: usize) -> Result<Bytes, Failure> {
        let mut collector = Collector::new(limit_bytes);
        let ended = poll_fn(|cx| {
            self.poll_with(cx, |cx| {
                loop {
                    match Pin::new(&mut *body).poll_frame(cx) {
                        Poll::Ready(Some(Ok(frame))) => {
                            // What is not data is trailers, which no frame can carry.
                            if let Ok(piece) = frame.into_data() {
                                let to_come = body.size_hint().exact();
                                if let Err(error) = collector.push(piece, to_come) {
                                    return Poll::Ready(Err(Stop::Refused(error)));
                                }
                            }
                            if body.is_end_stream() {
                                return Poll::Ready(Ok(()));
                            }
                        }
                        Poll::Ready(Some(Err(error))) => {
                            return Poll::Ready(Err(Stop::Failed(error)));
                        }
                        Poll::Ready(None) => return Poll::Ready(Ok(())),
                        Poll::Pending => return Poll::Pending,
                    }
                }
            })
        })
        .await;
        match ended {
            Ok(Ok(())) => Ok(collector.finish()),
            Ok(Err(Stop::Refused(error))) => Err(Failure::from(error)),
            Ok(Err(Stop::Failed(error))) => Err(self.failure(error)),
            Err(TimedOut) => Err(Failure::from(TimedOut)),
        }
    }

    /// Drives the connection, then takes a step that waits for it, then looks at the time.
    ///
    /// The step gets a waker that does nothing: it waits for channels that only the driver fills, and
    /// the driver only runs here. With the task's own waker every answer would wake the task that is
    /// just reading it, once for the head and once for the body.
    fn poll_with<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut step: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<Result<T, TimedOut>> {
        for _ in 0..ROUNDS {
            self.link.calm();
            self.drive();
            if let Poll::Ready(done) = step(&mut Context::from_waker(Waker::noop())) {
                return Poll::Ready(Ok(done));
            }
            let mut inner = Context::from_waker(&self.waker);
            if self.timer.as_mut().poll(&mut inner).is_ready() {
                return Poll::Ready(Err(TimedOut));
            }
            self.link.wake_on_event(cx.waker());
            if !self.link.is_stirred() {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn drive(&mut self) {
        let mut cx = Context::from_waker(&self.waker);
        if let Some(driver) = &mut self.driver
            && Pin::new(driver).poll(&mut cx).is_ready()
        {
            // Its result says nothing that the waiting exchange does not learn: hyper hands errors to
            // it, and dropping the driver returns a request that was not begun.
            self.driver = None;
        }
    }

    fn is_ready(&self) -> bool {
        self.driver.is_some() && self.sender.is_ready()
    }

    fn failure(&self, error: hyper::Error) -> Failure {
        let error = if is_invalid(&error) {
            CallError::InvalidAnswer(error)
        } else {
            CallError::ConnectionLost { sent: self.link.sent() }
        };
        let silent = matches!(error, CallError::ConnectionLost { .. }) && !self.link.answered();
        Failure { error, unsent: None, silent }
    }
}

/// Whether what arrived was wrong, rather than nothing or too little of it.
fn is_invalid(error: &hyper::Error) -> bool {
    if error.is_parse() {
        return true;
    }
    // hyper reports a bad chunk as an error of the body whose cause is an I/O error of these kinds.
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref());
    cause.is_some_and(|cause: &io::Error| {
        matches!(cause.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput)
    })
}

/// The deadline passed.
struct TimedOut;

/// Why a body was not read to its end.
enum Stop {
    Refused(CallError),
    Failed(hyper::Error),
}

// === impl Failure ===

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        Self { error, unsent: None, silent: false }
    }
}

impl From<TimedOut> for Failure {
    fn from(TimedOut: TimedOut) -> Self {
        Self::from(CallError::Timeout { phase: CallPhase::Answering })
    }
}

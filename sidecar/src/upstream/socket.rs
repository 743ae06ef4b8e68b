//! The socket as hyper sees it, and what it tells the pool.
//!
//! hyper does not say whether a byte of an answer arrived or a byte of a request left, and both decide
//! whether a call may be repeated. So the socket notes them itself, in a [`Link`] that it shares with the
//! pool's side of the connection. The same link is the waker of everything that belongs to the
//! connection: its parts are used by one call after the other, and a waker of their own keeps an event of
//! one connection from waking the task of an earlier call.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use futures_util::task::AtomicWaker;
use rustix::net::{RecvFlags, recv};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// What the two sides of one connection share.
///
/// The marks are only read and written by the task that holds the connection, and the connection passes
/// from task to task through the pool's lock, so they need no ordering of their own. `woken` is the
/// exception: the I/O driver sets it.
#[derive(Debug, Default)]
pub(super) struct Link {
    /// The call that waits for this connection, if one does.
    waiting: AtomicWaker,
    /// Something happened since [`Link::calm`].
    woken: AtomicBool,
    /// A byte of an answer arrived since [`Link::begin`].
    answered: AtomicBool,
    /// A byte of a request left since [`Link::begin`].
    sent: AtomicBool,
    /// The next read asks the kernel first.
    look: AtomicBool,
}

/// A socket to the app.
#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    link: Arc<Link>,
}

// === impl Link ===

impl Link {
    /// A call starts.
    pub(super) fn begin(&self) {
        self.answered.store(false, Ordering::Relaxed);
        self.sent.store(false, Ordering::Relaxed);
    }

    /// Whether a byte of this call's answer arrived.
    pub(super) fn answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

    /// Whether a byte of this call's request left.
    pub(super) fn sent(&self) -> bool {
        self.sent.load(Ordering::Relaxed)
    }

    /// Makes the next read of the socket ask the kernel whether something is there.
    pub(super) fn look(&self) {
        self.look.store(true, Ordering::Relaxed);
    }

    /// Forgets what happened so far; `true`: something had.
    pub(super) fn calm(&self) -> bool {
        self.woken.swap(false, Ordering::AcqRel)
    }

    /// Whether something happened and was not looked at.
    pub(super) fn is_stirred(&self) -> bool {
        self.woken.load(Ordering::Acquire)
    }

    /// From now on events wake this task. Check [`Link::calm`] afterwards for those just before.
    pub(super) fn wake_on_event(&self, waker: &Waker) {
        self.waiting.register(waker);
    }

    /// No task waits any more; the last one's memory is let go.
    pub(super) fn rest(&self) {
        self.waiting.take();
    }
}

impl Wake for Link {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.waiting.wake();
    }
}

// === impl Socket ===

impl Socket {
    /// Wraps a connected stream.
    pub(super) fn new(stream: TcpStream, link: Arc<Link>) -> Self {
        Self { stream, link }
    }

    /// Whether an idle socket has an end of stream, a reset, or bytes that no request asked for.
    ///
    /// tokio answers reads from the readiness it last heard of, and it hears of an event only when its
    /// driver next asks the kernel, so a read alone can report an ended connection as quiet. One `recv`
    /// that only peeks is exact and costs about 0.3 microseconds. Keeping a duplicate of the descriptor
    /// outside of hyper would do the same at the price of a second descriptor per connection.
    fn has_ended(&self) -> bool {
        let mut byte = [0_u8];
        match recv(&self.stream, &mut byte, RecvFlags::PEEK | RecvFlags::DONTWAIT) {
            Ok(_) => true,
            Err(error) => io::Error::from(error).kind() != io::ErrorKind::WouldBlock,
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.link.look.load(Ordering::Relaxed) {
            self.link.look.store(false, Ordering::Relaxed);
            if self.has_ended() {
                // Nothing filled in is an end of stream: hyper closes the idle connection.
                return Poll::Ready(Ok(()));
            }
        }
        let before = buf.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.link.answered.store(true, Ordering::Relaxed);
        }
        result
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.note_sent(&result);
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.note_sent(&result);
        result
    }

    fn is_write_vectored(&self) -> bool {
        // hyper then writes head and body with one call and does not copy the body.
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Socket {
    fn note_sent(&self, result: &Poll<io::Result<usize>>) {
        if matches!(result, Poll::Ready(Ok(1..))) {
            self.link.sent.store(true, Ordering::Relaxed);
        }
    }
}

//! The socket as tungstenite sees it.
//!
//! tungstenite reads frames well and is given the socket for that. Its write path is not used for messages, because it
//! copies every payload into a buffer per connection that never shrinks; what it does write are answers to control
//! frames. Those land in a small buffer here, whole frames only, and the [`Writer`](super::writer::Writer) sends them
//! between frames of ours. When that buffer is full tungstenite is told to wait and keeps only the latest pong, so a
//! flood of pings from a client that does not read costs a bounded amount.
//!
//! Reads go straight into tungstenite's buffer of [`READ_BUFFER_BYTES`] while messages are small. A read that fills
//! it is followed by one of 16 KiB through a buffer shared by the thread, whose rest is kept here until it is
//! consumed: a large message costs few system calls, an idle connection no buffer.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::gate::Gate;
use crate::budget::{Budget, Charge};

/// tungstenite's read buffer: what an idle connection keeps. 4 KiB measured 8.2 KiB a connection, 512 B 2.2 KiB.
pub(super) const READ_BUFFER_BYTES: usize = 512;
/// A buffer smaller than this is not read into directly.
const SMALL_READ_BYTES: usize = 256;
/// How much is read at once while a large message arrives.
const LARGE_READ_BYTES: usize = 16 * 1024;
/// Answers to control frames kept for a client that does not read: 32 pongs of the largest size.
const CONTROL_BYTES: usize = 32 * 127;

thread_local! {
    static LARGE_READ: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Whether a frame of tungstenite had to wait for room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Backlog {
    None,
    Waiting,
    Relieved,
}

/// A client's socket.
#[derive(Debug)]
pub(super) struct Wire {
    tcp: TcpStream,
    /// Read from the socket, not yet by tungstenite.
    ahead: Bytes,
    /// The last read filled its buffer, so more is likely waiting.
    more: bool,
    gate: Gate,
    /// Frames of tungstenite, waiting for the writer.
    control: Vec<u8>,
    control_waker: Option<Waker>,
    backlog: Backlog,
    /// We have sent a Close: whatever tungstenite still wants to say is not sent (RFC 6455 5.5.1).
    muted: bool,
    heard: bool,
    /// Bytes read that are not yet a whole message.
    charge: Charge,
}

impl Wire {
    /// Wraps a socket. `ahead` is what was read beyond the handshake.
    pub(super) fn new(tcp: TcpStream, ahead: Bytes, budget: Arc<Budget>) -> Self {
        Self {
            tcp,
            ahead,
            more: false,
            gate: Gate::default(),
            control: Vec::new(),
            control_waker: None,
            backlog: Backlog::None,
            muted: false,
            heard: false,
            charge: Charge::new(budget),
        }
    }

    /// The charge of the message that has just been completed, now its holder's.
    pub(super) fn take_charge(&mut self) -> Charge {
        self.charge.take()
    }

    /// A control frame of this payload was dealt with: its bytes are part of no message. A client's frame of up to 125
    /// bytes has a header of two and a mask of four.
    pub(super) fn forget_control(&mut self, payload: usize) {
        self.charge.sub(payload + 6);
    }

    /// Bytes read that are not yet a whole message.
    pub(super) fn partial_bytes(&self) -> usize {
        self.charge.bytes()
    }

    /// Whether anything was read since the last call.
    pub(super) fn take_heard(&mut self) -> bool {
        std::mem::take(&mut self.heard)
    }

    /// Adds a frame of ours to those of tungstenite, for instance a ping.
    pub(super) fn push_control(&mut self, frame: &[u8]) {
        if self.control.len() + frame.len() <= CONTROL_BYTES {
            self.control.extend_from_slice(frame);
        }
    }

    /// Moves the waiting control frames out.
    pub(super) fn take_control(&mut self) -> Vec<u8> {
        if let Some(waker) = self.control_waker.take() {
            waker.wake();
        }
        std::mem::take(&mut self.control)
    }

    /// Whether a frame of tungstenite had to wait and has found room since the last call.
    pub(super) fn take_unblocked(&mut self) -> bool {
        let unblocked = self.backlog == Backlog::Relieved;
        if unblocked {
            self.backlog = Backlog::None;
        }
        unblocked
    }

    /// Whether control frames wait.
    pub(super) fn has_control(&self) -> bool {
        !self.control.is_empty()
    }

    /// From now on tungstenite's frames are dropped.
    pub(super) fn mute(&mut self) {
        self.muted = true;
        self.control = Vec::new();
    }

    /// Writes to the socket itself.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write_vectored(cx, slices)
    }

    /// Ends our direction of the socket.
    pub(super) fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }

    /// Reads and drops input. Ready when the peer has ended its direction or the socket failed.
    pub(super) fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.ahead = Bytes::new();
        let mut scratch = [0_u8; 2048];
        loop {
            let mut buf = ReadBuf::new(&mut scratch);
            match Pin::new(&mut self.tcp).poll_read(cx, &mut buf) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => {}
                Poll::Ready(_) => return Poll::Ready(()),
            }
        }
    }

    /// Makes the coming drop of the socket a reset, so that the kernel frees what a dead or stuck peer never read.
    pub(super) fn reset_on_drop(&self) {
        // Failing to set it only means an ordinary close.
        let _ = self.tcp.set_zero_linger();
    }

    /// Gives tungstenite what was read ahead, as far as the gate lets it.
    fn serve_ahead(&mut self, buf: &mut ReadBuf<'_>) {
        let count = self.ahead.len().min(buf.remaining());
        let admitted = self.gate.admit(&self.ahead[..count]);
        buf.put_slice(&self.ahead[..admitted]);
        self.ahead.advance(admitted);
        if self.ahead.is_empty() {
            self.ahead = Bytes::new();
        }
    }

    /// Reads straight into tungstenite's buffer; what the gate holds back is kept.
    fn poll_read_small(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let room = buf.remaining();
        ready!(Pin::new(&mut self.tcp).poll_read(cx, buf))?;
        let read = buf.filled().len() - before;
        self.more = read > 0 && read == room;
        let admitted = self.gate.admit(&buf.filled()[before..]);
        if admitted < read {
            self.ahead = Bytes::copy_from_slice(&buf.filled()[before + admitted..]);
            buf.set_filled(before + admitted);
        }
        Poll::Ready(Ok(()))
    }

    /// Reads a lot at once and gives tungstenite the first part.
    fn poll_read_large(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        LARGE_READ.with_borrow_mut(|scratch| {
            scratch.resize(LARGE_READ_BYTES, 0);
            let mut large = ReadBuf::new(scratch);
            ready!(Pin::new(&mut self.tcp).poll_read(cx, &mut large))?;
            let read = large.filled();
            self.more = read.len() == LARGE_READ_BYTES;
            let admitted = self.gate.admit(&read[..read.len().min(buf.remaining())]);
            buf.put_slice(&read[..admitted]);
            if admitted < read.len() {
                self.ahead = Bytes::copy_from_slice(&read[admitted..]);
            }
            Poll::Ready(Ok(()))
        })
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        if !self.ahead.is_empty() {
            self.serve_ahead(buf);
        } else if self.more || buf.remaining() < SMALL_READ_BYTES || self.gate.is_inside_large_frame() {
            // After a large message tungstenite's buffer is small for a while; a system call should not be.
            if self.poll_read_large(cx, buf)?.is_pending() {
                self.more = false;
                return Poll::Pending;
            }
        } else if self.poll_read_small(cx, buf)?.is_pending() {
            return Poll::Pending;
        }
        let read = buf.filled().len() - before;
        // Never cleared here: a Pong is followed by a read that finds nothing, in the same turn.
        self.heard |= read > 0;
        self.charge.add(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, frame: &[u8]) -> Poll<io::Result<usize>> {
        if self.muted {
            return Poll::Ready(Ok(frame.len()));
        }
        if !self.control.is_empty() && self.control.len() + frame.len() > CONTROL_BYTES {
            self.control_waker = Some(cx.waker().clone());
            self.backlog = Backlog::Waiting;
            return Poll::Pending;
        }
        if self.backlog == Backlog::Waiting {
            self.backlog = Backlog::Relieved;
        }
        self.control.extend_from_slice(frame);
        Poll::Ready(Ok(frame.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

//! How a session ends: by an order, by the peer's Close, by a broken frame or by the loss of the socket.
//!
//! tungstenite reports an error without writing a Close, so the Close is always ours. It goes out behind the frame being
//! written; then the peer gets a moment to answer while its input is discarded.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream as _;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

use super::{Phase, Session, Stage};
use crate::closing::{ABNORMAL, CloseCause, Ended};
use crate::connection::{CloseOrder, CloseWhen};
use crate::frame::Frame;

/// How long a Close frame may take to get out before the socket is reset: a stuck peer must not hold memory.
pub(super) const CLOSE_WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// The same for a Close behind frames that are still to be delivered: 1 MiB to a client on a slow line.
pub(super) const CLOSE_FLUSH_TIMEOUT: Duration = Duration::from_secs(15);
/// How long the peer may take to end its side after our Close; its input is discarded meanwhile, since a socket closed
/// with unread input is reset and the reset destroys the Close.
pub(super) const CLOSE_LINGER: Duration = Duration::from_secs(2);

impl Session {
    pub(super) fn order(&mut self, cause: CloseCause) {
        self.connection.outbox.close(cause.order());
    }

    pub(super) fn obey_orders(&mut self, now: Instant) {
        if !self.connection.outbox.has_order() {
            return;
        }
        match &self.phase {
            Phase::Closing { .. } | Phase::Done(_) => return,
            Phase::Leaving { finish_held: true, .. } | Phase::Open | Phase::Leaving { .. } => {}
        }
        let Some(order) = self.connection.outbox.order() else { return };
        if order.when != CloseWhen::AfterCalls {
            self.begin_close(&order, now);
            return;
        }
        if matches!(self.phase, Phase::Open) {
            self.phase = Phase::Leaving { order, finish_held: self.held.is_some() };
        }
        if let Phase::Leaving { order, finish_held: false } = &self.phase
            && self.calls.is_empty()
            && self.stalled.is_empty()
        {
            let order = order.clone();
            self.begin_close(&order, now);
        }
    }

    pub(super) fn begin_close(&mut self, order: &CloseOrder, now: Instant) {
        // An order that waited for calls still admitted pushes until here.
        self.connection.outbox.close(CloseOrder { when: CloseWhen::AfterQueue, ..order.clone() });
        if order.when == CloseWhen::Now {
            let (frames, bytes) = self.writer.drop_unbegun();
            self.connection.outbox.release(bytes);
            self.shared.metrics.undeliverable.inc_by(frames as u64);
        }
        if order.cause == CloseCause::SlowConsumer {
            self.shared.metrics.slow_consumers.inc();
        }
        self.shared.metrics.undeliverable.inc_by(self.stalled.len() as u64);
        self.stalled.clear();
        self.held = None;
        self.forget();
        self.ws.get_mut().mute();
        self.writer.finish_with(Frame::close(order.code, &order.reason));
        let ended = Ended { code: order.code, reason: order.reason.clone(), cause: Some(order.cause) };
        let patience = if order.when == CloseWhen::Now { CLOSE_WRITE_TIMEOUT } else { CLOSE_FLUSH_TIMEOUT };
        self.phase = Phase::Closing { ended, stage: Stage::Write, until: now + patience };
    }

    /// Takes the connection off every list, so that pushes find it gone although its last calls may still run.
    fn forget(&self) {
        self.connection.route.service.hub.remove(&self.connection);
    }

    /// Reads while closing: only the peer's Close, or its end, still matters.
    pub(super) fn poll_read_closing(&mut self, cx: &mut Context<'_>, stage: Stage, now: Instant) -> bool {
        let over = match stage {
            // Draining the socket while our Close goes out keeps a peer that only writes from blocking us both.
            Stage::Write | Stage::AwaitPeer => loop {
                match Pin::new(&mut self.ws).poll_next(cx) {
                    Poll::Pending => break false,
                    Poll::Ready(Some(Ok(Message::Close(_)) | Err(_)) | None) => break stage == Stage::AwaitPeer,
                    // Dropped here and now, so charged for no longer.
                    Poll::Ready(Some(Ok(_))) => drop(self.ws.get_mut().take_charge()),
                }
            },
            Stage::Answer => false,
            Stage::Discard => {
                if self.ws.get_mut().poll_discard(cx).is_ready() {
                    self.done();
                    return true;
                }
                false
            }
        };
        if over {
            self.discard(cx, now);
        }
        over
    }

    pub(super) fn peer_closed(&mut self, ended: Ended, now: Instant) {
        let (frames, bytes) = self.writer.drop_unbegun();
        self.connection.outbox.release(bytes);
        let queued = self.connection.outbox.end();
        self.shared.metrics.undeliverable.inc_by((frames + queued + self.stalled.len()) as u64);
        self.stalled.clear();
        self.forget();
        // Ours, not tungstenite's: it drops its answer when pongs have filled its buffer.
        self.ws.get_mut().mute();
        self.writer.finish_with(Frame::close_echo(ended.code, &ended.reason));
        self.phase = Phase::Closing { ended, stage: Stage::Answer, until: now + CLOSE_WRITE_TIMEOUT };
    }

    /// Ends our direction and discards what still comes.
    pub(super) fn discard(&mut self, cx: &mut Context<'_>, now: Instant) {
        let _ = self.ws.get_mut().poll_finish(cx);
        if let Phase::Closing { stage, until, .. } = &mut self.phase {
            *stage = Stage::Discard;
            *until = now + CLOSE_LINGER;
        }
    }

    pub(super) fn done(&mut self) {
        if let Phase::Closing { ended, .. } = &self.phase {
            self.phase = Phase::Done(ended.clone());
        }
    }

    /// The connection ended without a closing handshake.
    pub(super) fn lose(&mut self, reason: &'static str) {
        let queued = self.connection.outbox.end();
        let lost = queued + self.stalled.len();
        self.shared.metrics.undeliverable.inc_by(lost as u64);
        self.stalled.clear();
        self.held = None;
        self.forget();
        self.phase = Phase::Done(Ended { code: ABNORMAL, reason: reason.into(), cause: None });
    }
}

/// The cause to close with for an error of the protocol machine; none when the connection is lost anyway.
pub(super) fn close_cause(error: &WsError) -> Option<CloseCause> {
    match error {
        WsError::Capacity(_) => Some(CloseCause::TooLarge),
        WsError::Utf8(_) => Some(CloseCause::InvalidText),
        WsError::Protocol(ProtocolError::ResetWithoutClosingHandshake) | WsError::Io(_) => None,
        WsError::Protocol(_) => Some(CloseCause::ProtocolError),
        _ => None,
    }
}

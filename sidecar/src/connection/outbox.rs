//! The bounded queue between whoever pushes and the session task that owns the socket.
//!
//! Bounded in bytes, not frames, because that is what memory is spent on. One frame always fits an empty queue, so
//! that a limit smaller than a message cannot make a connection deaf. What happens when the queue is full is the
//! caller's choice, made visible in the API: [`Outbox::try_push`] refuses (a call that can be answered with 429),
//! [`Outbox::push_or_close`] declares the consumer slow (a publish that has nobody to tell).

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;

use parking_lot::{Mutex, MutexGuard};

use crate::budget::Budget;
use crate::closing::CloseCause;
use crate::frame::Frame;

/// Frames for one connection, and the order to close it.
#[derive(Debug)]
pub struct Outbox {
    inner: Mutex<Inner>,
    budget: Arc<Budget>,
}

#[derive(Debug)]
struct Inner {
    frames: VecDeque<Frame>,
    /// Bytes of `frames` and of what the session is writing now.
    bytes: usize,
    limit: usize,
    order: Option<CloseOrder>,
    gone: bool,
    waker: Option<Waker>,
}

/// An order to the session task to close its connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseOrder {
    /// Why, which decides the code.
    pub cause: CloseCause,
    /// The code sent to the client.
    pub code: u16,
    /// The reason sent to the client.
    pub reason: Box<str>,
    /// When the Close frame goes out.
    pub when: CloseWhen,
}

/// When an ordered close takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseWhen {
    /// After the frames already queued.
    AfterQueue,
    /// After calls in flight were answered and their replies sent; no new message is read meanwhile.
    AfterCalls,
    /// At once: frames not begun are dropped.
    Now,
}

/// Why a frame was not queued.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// The connection has ended or is closing.
    #[error("the connection is gone")]
    Gone,
    /// The queue is full; nothing was enqueued.
    #[error("the outgoing queue of the connection is full")]
    Full,
}

/// What the session took from the queue.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken {
    /// Frames were moved.
    Frames,
    /// The queue was empty.
    Nothing,
}

impl Outbox {
    /// An empty queue of at most `limit` bytes. While the process-wide budget is spent, it is full unless it is empty.
    pub fn new(limit: usize, budget: Arc<Budget>) -> Self {
        Self {
            budget,
            inner: Mutex::new(Inner {
                frames: VecDeque::new(),
                bytes: 0,
                limit,
                order: None,
                gone: false,
                waker: None,
            }),
        }
    }

    /// Queues a frame, or says why not.
    pub fn try_push(&self, frame: Frame) -> Result<(), PushError> {
        self.enqueue(frame).map(wake)
    }

    /// As [`Outbox::try_push`], for the session task itself: it writes in the same turn and need not be woken for it.
    pub(crate) fn try_push_unwoken(&self, frame: Frame) -> Result<(), PushError> {
        self.enqueue(frame).map(drop)
    }

    fn enqueue(&self, frame: Frame) -> Result<MutexGuard<'_, Inner>, PushError> {
        let mut inner = self.inner.lock();
        if inner.gone || inner.order.as_ref().is_some_and(|order| order.when != CloseWhen::AfterCalls) {
            return Err(PushError::Gone);
        }
        let len = frame.wire_bytes();
        if inner.bytes > 0 && (inner.bytes + len > inner.limit || self.budget.is_spent()) {
            return Err(PushError::Full);
        }
        inner.bytes += len;
        inner.frames.push_back(frame);
        Ok(inner)
    }

    /// Queues a frame; when it does not fit the consumer is slow, and the connection is ordered to close.
    pub fn push_or_close(&self, frame: Frame) -> Result<(), PushError> {
        let result = self.try_push(frame);
        if result == Err(PushError::Full) {
            self.close(CloseCause::SlowConsumer.order());
        }
        result
    }

    /// Orders the connection to close. The first order stands, save that a slow consumer or an order to close now
    /// overtakes one that waits for calls: it must not wait behind what it is meant to end.
    pub fn close(&self, order: CloseOrder) -> bool {
        let mut inner = self.inner.lock();
        let overtakes = match &inner.order {
            None => true,
            Some(standing) => standing.when == CloseWhen::AfterCalls && order.when != CloseWhen::AfterCalls,
        };
        if inner.gone || !overtakes {
            return false;
        }
        if order.when == CloseWhen::Now {
            let dropped: usize = inner.frames.iter().map(Frame::wire_bytes).sum();
            inner.bytes -= dropped;
            inner.frames.clear();
        }
        inner.order = Some(order);
        wake(inner);
        true
    }

    /// The standing order, if any.
    pub fn order(&self) -> Option<CloseOrder> {
        self.inner.lock().order.clone()
    }

    /// Whether there is an order, without cloning it: asked on every poll of a session.
    pub fn has_order(&self) -> bool {
        self.inner.lock().order.is_some()
    }

    /// Bytes queued or being written.
    pub fn bytes(&self) -> usize {
        self.inner.lock().bytes
    }

    /// Moves up to `max` frames to the session and registers it to be woken by the next push or order.
    pub(crate) fn take(&self, max: usize, into: &mut VecDeque<Frame>, waker: &Waker) -> Taken {
        let mut inner = self.inner.lock();
        if inner.frames.is_empty() {
            if !inner.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
                inner.waker = Some(waker.clone());
            }
            // The capacity of a burst is not kept by an idle connection.
            if inner.frames.capacity() > 16 {
                inner.frames = VecDeque::new();
            }
            return Taken::Nothing;
        }
        let count = inner.frames.len().min(max);
        into.extend(inner.frames.drain(..count));
        Taken::Frames
    }

    /// Registers the session to be woken by the next push or order.
    pub(crate) fn register(&self, waker: &Waker) {
        let mut inner = self.inner.lock();
        if !inner.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            inner.waker = Some(waker.clone());
        }
    }

    /// Gives back the room of frames that were written or dropped by the session.
    pub(crate) fn release(&self, bytes: usize) {
        let mut inner = self.inner.lock();
        inner.bytes = inner.bytes.saturating_sub(bytes);
    }

    /// Ends the queue: later pushes find the connection gone. Returns how many frames were still queued.
    pub(crate) fn end(&self) -> usize {
        let mut inner = self.inner.lock();
        inner.gone = true;
        inner.bytes = 0;
        inner.waker = None;
        std::mem::take(&mut inner.frames).len()
    }
}

/// Wakes outside the lock, so that the session does not run straight into it.
fn wake(mut inner: MutexGuard<'_, Inner>) {
    let waker = inner.waker.take();
    drop(inner);
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outbox(limit: usize) -> Outbox {
        Outbox::new(limit, Budget::new(usize::MAX))
    }

    #[test]
    fn while_the_budget_is_spent_only_an_empty_queue_takes_a_frame() {
        let outbox = Outbox::new(1000, Budget::new(0));
        assert_eq!(outbox.try_push(frame(1)), Ok(()));
        assert_eq!(outbox.try_push(frame(1)), Err(PushError::Full));
    }

    fn frame(len: usize) -> Frame {
        Frame::binary(vec![0; len])
    }

    #[test]
    fn one_frame_always_fits_an_empty_queue() {
        let outbox = outbox(10);
        assert_eq!(outbox.try_push(frame(1000)), Ok(()));
        assert_eq!(outbox.try_push(frame(1)), Err(PushError::Full));
    }

    #[test]
    fn room_comes_back_only_when_the_session_has_written() {
        let outbox = outbox(10);
        assert_eq!(outbox.try_push(frame(8)), Ok(()));
        let mut taken = VecDeque::new();
        assert_eq!(outbox.take(16, &mut taken, Waker::noop()), Taken::Frames);
        assert_eq!(outbox.try_push(frame(8)), Err(PushError::Full));
        outbox.release(10);
        assert_eq!(outbox.try_push(frame(8)), Ok(()));
    }

    #[test]
    fn a_publish_that_does_not_fit_orders_the_close_of_a_slow_consumer() {
        let outbox = outbox(10);
        assert_eq!(outbox.push_or_close(frame(8)), Ok(()));
        assert_eq!(outbox.push_or_close(frame(8)), Err(PushError::Full));
        assert_eq!(outbox.order().map(|order| order.code), Some(1008));
        assert_eq!(outbox.try_push(frame(0)), Err(PushError::Gone));
    }

    #[test]
    fn while_calls_finish_pushes_still_go_out() {
        let outbox = outbox(100);
        assert!(outbox.close(CloseCause::Drain.order()));
        assert_eq!(outbox.try_push(frame(1)), Ok(()));
        assert!(outbox.close(CloseCause::SlowConsumer.order()));
        assert_eq!(outbox.try_push(frame(1)), Err(PushError::Gone));
        assert!(!outbox.close(CloseCause::Drain.order()));
    }
}

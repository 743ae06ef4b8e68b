//! Writes frames to a client's socket, sharing their payloads.
//!
//! Up to [`BATCH`] frames go out in one vectored write, headers from the stack and payloads from wherever they are
//! shared. Control frames go between frames, never inside one.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use super::wire::Wire;
use crate::connection::{Outbox, Taken};
use crate::frame::{Frame, FrameHead};

/// Frames in one write. A small frame costs its payload plus 2 bytes, so 16 of them fit one TCP segment; more would
/// only make frames wait that a slow consumer never gets.
const BATCH: usize = 16;

/// The frames being written now.
#[derive(Debug, Default)]
pub(super) struct Writer {
    frames: VecDeque<Frame>,
    /// Bytes of the first frame that are out already.
    written: usize,
    control: Vec<u8>,
    control_written: usize,
    /// The Close frame, behind everything else.
    last: Option<Frame>,
    last_queued: bool,
}

/// What a pass of the writer found.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Progress {
    /// Whole data frames written.
    pub(super) frames: usize,
    /// Bytes of data frames written, whole or not.
    pub(super) bytes: usize,
}

impl Writer {
    /// Drops the frames not begun and says how many bytes of the queue they held.
    pub(super) fn drop_unbegun(&mut self) -> (usize, usize) {
        let keep = usize::from(self.written > 0);
        let dropped = self.frames.split_off(keep.min(self.frames.len()));
        (dropped.len(), dropped.iter().map(Frame::wire_bytes).sum())
    }

    /// Queues the Close frame behind what is queued; nothing follows it.
    pub(super) fn finish_with(&mut self, close: Frame) {
        if !self.last_queued {
            self.last = Some(close);
            self.last_queued = true;
        }
    }

    /// Whether the Close frame is out.
    pub(super) fn is_finished(&self) -> bool {
        self.last_queued && self.last.is_none() && self.is_idle()
    }

    /// Whether nothing is being written.
    pub(super) fn is_idle(&self) -> bool {
        self.frames.is_empty() && self.control.is_empty()
    }

    /// Writes until the socket would block or nothing is left. `Pending` means the socket would block.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        wire: &mut Wire,
        outbox: &Outbox,
        progress: &mut Progress,
    ) -> Poll<io::Result<()>> {
        loop {
            if self.written == 0 && self.control.is_empty() && wire.has_control() {
                self.control = wire.take_control();
                self.control_written = 0;
            }
            if !self.control.is_empty() {
                ready!(self.poll_control(cx, wire))?;
                continue;
            }
            if self.frames.is_empty() && outbox.take(BATCH, &mut self.frames, cx.waker()) == Taken::Nothing {
                let Some(close) = self.last.take() else {
                    if self.frames.capacity() > BATCH {
                        self.frames = VecDeque::new();
                    }
                    return Poll::Ready(Ok(()));
                };
                self.frames.push_back(close);
            }
            let count = ready!(self.poll_frames(cx, wire))?;
            self.advance(count, outbox, progress);
        }
    }

    fn poll_control(&mut self, cx: &mut Context<'_>, wire: &mut Wire) -> Poll<io::Result<()>> {
        while self.control_written < self.control.len() {
            let slice = IoSlice::new(&self.control[self.control_written..]);
            let count = ready!(wire.poll_send(cx, &[slice]))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.control_written += count;
        }
        self.control = Vec::new();
        Poll::Ready(Ok(()))
    }

    fn poll_frames(&mut self, cx: &mut Context<'_>, wire: &mut Wire) -> Poll<io::Result<usize>> {
        let mut heads: [Option<FrameHead>; BATCH] = [None; BATCH];
        for (head, frame) in heads.iter_mut().zip(&self.frames) {
            *head = Some(frame.head());
        }
        let mut slices = [IoSlice::new(&[]); 2 * BATCH];
        let mut count = 0;
        let mut skip = self.written;
        for (head, frame) in heads.iter().flatten().zip(&self.frames) {
            for part in [head.as_slice(), frame.payload()] {
                if skip >= part.len() {
                    skip -= part.len();
                    continue;
                }
                slices[count] = IoSlice::new(&part[skip..]);
                skip = 0;
                count += 1;
            }
        }
        match ready!(wire.poll_send(cx, &slices[..count])) {
            Ok(0) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            other => Poll::Ready(other),
        }
    }

    fn advance(&mut self, count: usize, outbox: &Outbox, progress: &mut Progress) {
        self.written += count;
        progress.bytes += count;
        let mut released = 0;
        while let Some(len) = self.frames.front().map(Frame::wire_bytes)
            && self.written >= len
        {
            self.written -= len;
            self.frames.pop_front();
            released += len;
            progress.frames += 1;
        }
        if released > 0 {
            outbox.release(released);
        }
    }
}

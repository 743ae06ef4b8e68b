//! Lines for standard output, written by one thread behind a bounded queue.
//!
//! A terminal that is scrolled back, or a log collector that stalls, blocks every write to it; the data plane must not
//! wait for either. So lines are queued, a full queue drops them, and the number dropped is told as soon as there is
//! room. A thread and not a task: the writes do block, and would hold a worker of the runtime.
//!
//! Invariant: queueing never blocks and never fails; nothing queued before [`LineWriter::finish`] is lost by it unless
//! the output itself hangs.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

/// How many lines may wait: at 400 bytes each, about 3 MB, or what a busy process logs in a tenth of a second.
const QUEUE_LINES: usize = 8 * 1024;
/// How long the last lines may take at exit. Whoever stopped reading does not get to stop the process from ending.
const FINISH_WITHIN: Duration = Duration::from_secs(1);

enum Order {
    Line(String),
    Finish,
}

/// Queues lines. Clones share the queue.
#[derive(Clone, Debug)]
pub struct Lines {
    queue: SyncSender<Order>,
    dropped: Arc<AtomicU64>,
}

/// Owns the thread.
#[derive(Debug)]
pub struct LineWriter {
    lines: Lines,
    finished: Receiver<()>,
}

impl Lines {
    /// Queues a line, without its line break. Dropped, and counted, when the queue is full.
    pub fn push(&self, line: String) {
        match self.queue.try_send(Order::Line(line)) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// How many lines were dropped in all.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl LineWriter {
    /// Starts the thread that writes to `output`. `what` names it in the warning about dropped lines.
    pub fn start(what: &'static str, output: impl Write + Send + 'static) -> io::Result<Self> {
        Self::with_capacity(what, output, QUEUE_LINES)
    }

    fn with_capacity(what: &'static str, output: impl Write + Send + 'static, lines: usize) -> io::Result<Self> {
        let (queue, orders) = sync_channel(lines);
        let (finish, finished) = sync_channel(1);
        let dropped = Arc::new(AtomicU64::new(0));
        let told = Arc::clone(&dropped);
        std::thread::Builder::new().name(what.to_owned()).spawn(move || {
            write_all(what, output, &orders, &told);
            // A full or forgotten channel means that nobody waits.
            let _ = finish.try_send(());
        })?;
        Ok(Self { lines: Lines { queue, dropped }, finished })
    }

    /// A handle to queue lines with.
    pub fn lines(&self) -> Lines {
        self.lines.clone()
    }

    /// Writes what is queued and ends the thread. Blocks, at most a second.
    pub fn finish(self) {
        // Blocking here is right: the queue may be full, and the order must come after what is in it. If the output
        // hangs, so would this; hence the check that there is room, which only the thread's progress makes.
        if let Err(TrySendError::Full(order)) = self.lines.queue.try_send(Order::Finish) {
            let deadline = std::time::Instant::now() + FINISH_WITHIN;
            let mut order = order;
            while let Err(TrySendError::Full(back)) = self.lines.queue.try_send(order) {
                if std::time::Instant::now() >= deadline {
                    return;
                }
                order = back;
                std::thread::yield_now();
            }
        }
        if let Err(RecvTimeoutError::Timeout) = self.finished.recv_timeout(FINISH_WITHIN) {
            tracing::warn!("standard output does not take the last lines");
        }
    }
}

/// Writes line after line, flushing when there is no other one to write.
fn write_all(what: &'static str, mut output: impl Write, orders: &Receiver<Order>, dropped: &AtomicU64) {
    let mut told = 0;
    let mut next = orders.recv().ok();
    while let Some(Order::Line(line)) = next {
        // A closed output (`moorline dev | head`) is no reason to stop serving: the lines go nowhere then.
        let _ = output.write_all(line.as_bytes()).and_then(|()| output.write_all(b"\n"));
        let lost = dropped.load(Ordering::Relaxed);
        if lost != told {
            tracing::warn!(what, lines = lost - told, "lines were dropped: standard output is slower than the events");
            told = lost;
        }
        next = if let Ok(order) = orders.try_recv() {
            Some(order)
        } else {
            let _ = output.flush();
            orders.recv().ok()
        };
    }
    let _ = output.flush();
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // tests fail by panicking
mod tests {
    use super::*;

    /// An output that hands on what is written, once `gate` lets it.
    struct Gated {
        gate: Receiver<()>,
        written: SyncSender<Vec<u8>>,
    }

    impl Write for Gated {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // A closed gate is an open one: the test has let go of it.
            let _ = self.gate.recv();
            self.written.send(bytes.to_vec()).unwrap();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_come_out_in_order_and_all_of_them_before_the_end() {
        let (gate, gated) = sync_channel(1024);
        let (written, output) = sync_channel(1024);
        let writer = LineWriter::start("test", Gated { gate: gated, written }).unwrap();
        drop(gate);
        for n in 0..100 {
            writer.lines().push(n.to_string());
        }
        writer.finish();
        let text: Vec<u8> = output.iter().flatten().collect();
        let expected: Vec<String> = (0..100).map(|n| n.to_string()).collect();
        assert_eq!(String::from_utf8(text).unwrap().lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_full_queue_drops_and_counts_instead_of_blocking() {
        let (gate, gated) = sync_channel(1024);
        let (written, output) = sync_channel(1024);
        let writer = LineWriter::with_capacity("test", Gated { gate: gated, written }, 2).unwrap();
        let lines = writer.lines();
        // At most one is with the blocked output and two wait; the rest has to go.
        for n in 0..10 {
            lines.push(n.to_string());
        }
        assert!(lines.dropped() >= 7, "{}", lines.dropped());
        drop(gate);
        writer.finish();
        assert_eq!(output.iter().flatten().filter(|byte| *byte == b'\n').count() as u64, 10 - lines.dropped());
    }
}

//! The bound on all bytes the process holds for its clients.
//!
//! Each connection has its own queue limit, but ten thousand of those add up to more than a pod may use. Every
//! buffered payload is therefore charged here too. A payload that many queues share is charged once, for as long as
//! the last of them holds it: charging per queue would count a broadcast ten thousand times and close healthy
//! consumers for memory nobody uses.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

/// Counts buffered bytes against a process-wide limit.
#[derive(Debug)]
pub struct Budget {
    used: AtomicUsize,
    limit: usize,
}

/// Bytes whose charge ends when the last clone is dropped.
struct Charged {
    bytes: Bytes,
    budget: Arc<Budget>,
}

impl Budget {
    /// A budget of `limit` bytes.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { used: AtomicUsize::new(0), limit })
    }

    /// Whether no more may be buffered now.
    pub fn is_spent(&self) -> bool {
        self.used.load(Ordering::Relaxed) >= self.limit
    }

    /// Bytes charged now.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Charges the bytes until the last clone of the returned handle is dropped. Never refuses: callers ask
    /// [`Budget::is_spent`] first, so that one payload may overshoot but none is torn.
    pub fn charge(self: &Arc<Self>, bytes: Bytes) -> Bytes {
        if bytes.is_empty() {
            return bytes;
        }
        self.used.fetch_add(bytes.len(), Ordering::Relaxed);
        Bytes::from_owner(Charged { bytes, budget: Arc::clone(self) })
    }
}

/// A charge that grows while something is collected and ends when it is dropped.
#[derive(Debug)]
pub struct Charge {
    bytes: usize,
    budget: Arc<Budget>,
}

impl Charge {
    /// A charge of nothing.
    pub fn new(budget: Arc<Budget>) -> Self {
        Self { bytes: 0, budget }
    }

    /// Charges some more.
    pub fn add(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.budget.used.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Charges less, at most all.
    pub fn sub(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.budget.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Bytes charged.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Moves the charge out, leaving one of nothing.
    #[must_use]
    pub fn take(&mut self) -> Self {
        Self { bytes: std::mem::take(&mut self.bytes), budget: Arc::clone(&self.budget) }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl AsRef<[u8]> for Charged {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Charged {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_payload_is_charged_once_until_its_last_holder_drops_it() {
        let budget = Budget::new(10);
        let first = budget.charge(Bytes::from_static(b"0123456789"));
        let second = first.clone();
        assert_eq!(budget.used(), 10);
        assert!(budget.is_spent());
        drop(first);
        assert_eq!(budget.used(), 10);
        drop(second);
        assert_eq!(budget.used(), 0);
    }
}

//! Waits that grow, with jitter.
//!
//! Half of each wait is random: replicas and objects that failed together must not come back together.

use std::time::Duration;

/// Waits between attempts.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
}

impl Backoff {
    pub(crate) fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, failures: 0 }
    }

    /// The wait after one more failure.
    pub(crate) fn next(&mut self) -> Duration {
        let full = self.full();
        self.failures = self.failures.saturating_add(1);
        full.mul_f64(rand::random_range(0.5..=1.0))
    }

    /// It worked.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    fn full(&self) -> Duration {
        // 2^20 is past any longest wait in use.
        self.first.saturating_mul(1 << self.failures.min(20)).min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_are_never_less_than_half() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        for full_ms in [100, 200, 400, 800, 1000, 1000] {
            let wait = backoff.next();
            let full = Duration::from_millis(full_ms);
            assert!(wait <= full && wait >= full / 2, "{wait:?} of {full:?}");
        }
        backoff.reset();
        assert!(backoff.next() <= Duration::from_millis(100));
    }

    #[test]
    fn a_thing_that_always_fails_does_not_overflow() {
        let mut backoff =
            Backoff { first: Duration::from_secs(1), longest: Duration::from_mins(5), failures: u32::MAX };
        assert!(backoff.next() <= Duration::from_mins(5));
    }
}

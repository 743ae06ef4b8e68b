//! How many tries may follow a first one that found nobody. Pure.
//!
//! Tries multiply the load on what is already failing, so there may be one for every five calls, counted over the last
//! ten seconds, and a few whatever the load. Rejected: a number of tries per call alone, which triples the load when
//! everything is down; and a bucket that fills for as long as all is well, which then lets a storm through.
//!
//! Calls are counted elsewhere, where a lock is taken anyway; here only their number is looked at, when a try is asked
//! for. How they were spread over the time since the last look is not known and taken to be even.

use std::time::Duration;

use tokio::time::Instant;

/// Tries for each call.
const SHARE: f64 = 0.2;
/// The calls that count.
const WINDOW: Duration = Duration::from_secs(10);
/// Tries within the window that are always there, so that a Service with a call now and then gets its tries too.
const LEAST: f64 = 10.0;

/// What is left of the budget.
#[derive(Debug)]
pub(super) struct Budget {
    tokens: f64,
    calls: u64,
    at: Instant,
}

impl Budget {
    /// A budget before any call.
    pub(super) fn new(now: Instant) -> Self {
        Self { tokens: LEAST, calls: 0, at: now }
    }

    /// Takes one try, if one is left. `calls` is the number of all calls so far.
    pub(super) fn take(&mut self, now: Instant, calls: u64) -> bool {
        let passed = now.saturating_duration_since(self.at).as_secs_f64() / WINDOW.as_secs_f64();
        #[allow(clippy::cast_precision_loss)] // a share of a number, not the number
        let made = calls.saturating_sub(self.calls) as f64;
        // What was there has left the window by as much as has passed of it, and of what came since only the calls
        // within the window count.
        let earned = SHARE * made / passed.max(1.0) + LEAST * passed.min(1.0);
        self.tokens = self.tokens * (1.0 - passed).max(0.0) + earned;
        self.calls = calls;
        self.at = now;
        if self.tokens < 1.0 {
            return false;
        }
        self.tokens -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(budget: &mut Budget, now: Instant, calls: u64) -> usize {
        (0..100_000).take_while(|_| budget.take(now, calls)).count()
    }

    #[test]
    fn a_few_tries_are_there_without_any_call_and_come_back_with_time() {
        let start = Instant::now();
        let mut budget = Budget::new(start);
        assert_eq!(taken(&mut budget, start, 0), 10);
        assert_eq!(taken(&mut budget, start + Duration::from_secs(3), 0), 3);
        assert_eq!(taken(&mut budget, start + Duration::from_hours(1), 0), 10);
    }

    #[test]
    fn one_call_in_five_earns_a_try() {
        let start = Instant::now();
        let mut budget = Budget::new(start);
        assert_eq!(taken(&mut budget, start, 1000), 210);
        assert_eq!(taken(&mut budget, start, 1005), 1);
    }

    #[test]
    fn only_the_calls_of_the_last_ten_seconds_count() {
        let start = Instant::now();
        let mut budget = Budget::new(start);
        taken(&mut budget, start, 0);
        // An hour of ten calls a second.
        let tries = taken(&mut budget, start + Duration::from_hours(1), 36_000);
        assert!((29..=30).contains(&tries), "{tries}");
        // Not used for a window, they are gone.
        let mut saved = Budget::new(start);
        saved.take(start, 10_000);
        assert_eq!(taken(&mut saved, start + Duration::from_secs(10), 10_000), 10);
    }
}

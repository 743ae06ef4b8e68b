//! A token bucket: so many per second, and a few at once.

use std::time::Duration;
use tokio::time::Instant;

/// A bound on how often something happens.
#[derive(Debug)]
pub(crate) struct Bucket {
    per_second: f64,
    burst: f64,
    tokens: f64,
    at: Instant,
}

impl Bucket {
    /// A full one.
    pub(crate) fn new(per_second: f64, burst: f64, now: Instant) -> Self {
        Self { per_second, burst, tokens: burst, at: now }
    }

    /// Takes a token, or says how long to wait for one.
    pub(crate) fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now.max(self.at);
        self.tokens = (self.tokens + passed * self.per_second).min(self.burst);
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        // A microsecond more than computed, so that rounding never costs a second wait.
        Err(Duration::from_secs_f64((1.0 - self.tokens) / self.per_second) + Duration::from_micros(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_at_once_and_then_the_rate_holds() {
        let start = Instant::now();
        let mut bucket = Bucket::new(100.0, 10.0, start);
        let passed = (0..50).filter(|_| bucket.take(start).is_ok()).count();
        assert_eq!(passed, 10);
        let later = start + Duration::from_millis(500);
        // Never more than the burst, however long nothing was taken.
        assert_eq!((0..50).filter(|_| bucket.take(later).is_ok()).count(), 10);
    }

    #[test]
    fn whoever_waits_as_long_as_told_gets_a_token() {
        let start = Instant::now();
        let mut bucket = Bucket::new(3.0, 1.0, start);
        assert!(bucket.take(start).is_ok());
        let wait = bucket.take(start).map_or_else(|wait| wait, |()| Duration::ZERO);
        assert!(wait <= Duration::from_millis(334), "{wait:?}");
        assert!(bucket.take(start + wait).is_ok());
    }

    #[test]
    fn a_clock_that_stands_still_gives_nothing() {
        let start = Instant::now();
        let mut bucket = Bucket::new(1.0, 1.0, start + Duration::from_secs(5));
        assert!(bucket.take(start).is_ok());
        assert!(bucket.take(start).is_err());
    }
}

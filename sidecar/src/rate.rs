//! A token bucket. Pure: the caller brings the time.

use std::time::Duration;

use tokio::time::Instant;

/// Allows `per_second` events a second on average and `burst` at once.
#[derive(Debug)]
pub struct TokenBucket {
    per_second: f64,
    burst: u32,
    tokens: f64,
    at: Instant,
}

impl TokenBucket {
    /// A full bucket.
    pub fn new(per_second: f64, burst: u32, now: Instant) -> Self {
        Self { per_second, burst, tokens: f64::from(burst.max(1)), at: now }
    }

    /// The rate and the burst it was made with.
    pub fn settings(&self) -> (f64, u32) {
        (self.per_second, self.burst)
    }

    /// Takes a token, or says when there will be one.
    pub fn take(&mut self, now: Instant) -> Result<(), Instant> {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + passed * self.per_second).min(f64::from(self.burst.max(1)));
        self.at = now;
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        // A day at most: a rate of almost nothing must not overflow the clock.
        let wait = ((1.0 - self.tokens) / self.per_second.max(f64::MIN_POSITIVE)).min(86_400.0);
        Err(now + Duration::from_secs_f64(wait).max(Duration::from_millis(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_at_once_and_then_the_rate_holds() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(2.0, 3, start);
        assert_eq!((0..3).filter(|_| bucket.take(start).is_ok()).count(), 3);
        let next = bucket.take(start).unwrap_err();
        assert_eq!(next, start + Duration::from_millis(500));
        assert!(bucket.take(next).is_ok());
        assert!(bucket.take(next).is_err());
    }
}

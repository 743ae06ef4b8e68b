//! What is due, and when to look again for what is not yet.
//!
//! One small clock instead of a timer for each pod and route: whatever has to wait is left out of the plan, the earliest
//! of those times is remembered, and the plan made then finds it due.

use std::time::Duration;

use jiff::Timestamp;

/// Shorter waits would only make a loop of plans.
const SHORTEST: Duration = Duration::from_millis(50);

/// The time of the view, and the earliest time something waits for.
#[derive(Debug)]
pub(super) struct Clock {
    now: Timestamp,
    next: Option<Timestamp>,
}

impl Clock {
    pub(super) fn new(now: Timestamp) -> Self {
        Self { now, next: None }
    }

    /// Whether this time has come; when it has not, it is waited for.
    pub(super) fn due(&mut self, at: Timestamp) -> bool {
        if at <= self.now {
            return true;
        }
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
        false
    }

    pub(super) fn now(&self) -> Timestamp {
        self.now
    }

    /// When to look again.
    pub(super) fn recheck_after(&self) -> Option<Duration> {
        let wait = self.next?.duration_since(self.now);
        Some(Duration::try_from(wait).unwrap_or_default().max(SHORTEST))
    }
}

/// A time after another.
pub(super) fn after(at: Timestamp, wait: Duration) -> Timestamp {
    at.checked_add(wait).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(second: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_secs(second)
    }

    #[test]
    fn the_earliest_of_what_waits_says_when_to_look_again() {
        let mut clock = Clock::new(second(10));
        assert!(clock.due(second(10)));
        assert_eq!(clock.recheck_after(), None);
        assert!(!clock.due(second(40)));
        assert!(!clock.due(second(12)));
        assert!(!clock.due(second(30)));
        assert_eq!(clock.recheck_after(), Some(Duration::from_secs(2)));
    }

    #[test]
    fn a_time_beyond_all_times_is_the_last_one() {
        assert_eq!(after(Timestamp::MAX, Duration::from_secs(1)), Timestamp::MAX);
    }
}

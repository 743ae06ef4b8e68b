//! Whether the app is worth a try, after one that found nobody.
//!
//! An app that is down would cost every call a refused connection and whoever waits for it some time; asking it once in
//! a while is enough. The pause doubles, so that an app that restarts is back in use within a fraction of a second and
//! one that is gone is left alone. Only calls that could go elsewhere ask here: for the others the app is all there is.
//!
//! Invariants: while all is well, asking is one read of memory that nobody writes; during a pause nobody tries, after
//! it one does until that try has its result or another pause is over.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// The first pause, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// The state of one app.
#[derive(Debug)]
pub(super) struct Cooldown {
    is_down: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    pause: Duration,
    until: Instant,
    /// When the last failure that counted was told. What was tried before that is no news.
    since: Instant,
}

impl Cooldown {
    /// An app that is well.
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self { is_down: AtomicBool::new(false), state: Mutex::new(State { pause: PAUSE.0, until: now, since: now }) }
    }

    /// Whether to try the app. After a pause, `true` goes to one.
    pub(super) fn may_try(&self) -> bool {
        !self.is_down.load(Ordering::Relaxed) || self.claim(Instant::now())
    }

    fn claim(&self, now: Instant) -> bool {
        let mut state = self.state.lock();
        if now < state.until {
            return false;
        }
        state.until = now + state.pause;
        true
    }

    /// A try that began at `tried` found nobody.
    pub(super) fn failed(&self, tried: Instant) {
        self.fail(tried, Instant::now());
    }

    fn fail(&self, tried: Instant, now: Instant) {
        let mut state = self.state.lock();
        if !self.is_down.load(Ordering::Relaxed) {
            state.pause = PAUSE.0;
        } else if tried > state.since {
            state.pause = (state.pause * 2).min(PAUSE.1);
        } else {
            // One of many that failed together.
            return;
        }
        state.since = now;
        state.until = now + state.pause;
        self.is_down.store(true, Ordering::Relaxed);
    }

    /// A try found somebody.
    pub(super) fn recovered(&self) {
        if self.is_down.load(Ordering::Relaxed) {
            // Under the lock, so that it does not cross a failure that is just being told.
            let _state = self.state.lock();
            self.is_down.store(false, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn after_a_failure_one_try_is_let_through_for_each_pause() {
        let cooldown = Cooldown::new();
        assert!(cooldown.may_try());
        let start = Instant::now() + MS;
        cooldown.fail(start, start);
        assert!(!cooldown.claim(start + 99 * MS));
        assert!(cooldown.claim(start + 100 * MS));
        assert!(!cooldown.claim(start + 100 * MS));
        assert!(cooldown.claim(start + 200 * MS), "a try without a result does not stop the next");
    }

    #[test]
    fn pauses_double_up_to_a_bound_and_start_anew_after_a_success() {
        let cooldown = Cooldown::new();
        let mut now = Instant::now() + MS;
        for pause in [100, 200, 400, 800, 1600, 2000, 2000] {
            cooldown.fail(now, now);
            assert!(!cooldown.claim(now + (pause - 1) * MS), "{pause}");
            now += pause * MS;
            assert!(cooldown.claim(now), "{pause}");
        }
        cooldown.recovered();
        assert!(cooldown.may_try());
        cooldown.fail(now, now);
        assert!(cooldown.claim(now + 100 * MS));
    }

    #[test]
    fn calls_that_fail_together_count_as_one_failure() {
        let cooldown = Cooldown::new();
        let start = Instant::now() + MS;
        for late in 1..100 {
            cooldown.fail(start, start + late * MS);
        }
        assert!(cooldown.claim(start + 101 * MS));
    }
}

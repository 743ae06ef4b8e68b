//! When a connection is pinged, lost, idle or too old. Pure: the caller brings the time.
//!
//! While the socket is not read (a call is running and the next message is already held), a peer cannot prove that it
//! lives, so the pong deadline and the idle timer stand still.

use std::time::Duration;

use tokio::time::Instant;

/// The timers of one connection.
#[derive(Debug)]
pub(super) struct Liveness {
    ping_interval: Option<Duration>,
    idle_timeout: Option<Duration>,
    expires_at: Option<Instant>,
    next_ping: Option<Instant>,
    last_heard: Instant,
    last_data: Instant,
    paused_at: Option<Instant>,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Send a ping.
    Ping,
    /// The peer has been silent for two ping intervals.
    Lost,
    /// No data either way for the idle timeout.
    Idle,
    /// The maximum age is reached.
    MaxAge,
}

impl Liveness {
    /// Timers that start now. `max_age` already has its jitter.
    pub(super) fn new(
        now: Instant,
        ping_interval: Option<Duration>,
        idle_timeout: Option<Duration>,
        max_age: Option<Duration>,
    ) -> Self {
        Self {
            ping_interval,
            idle_timeout,
            expires_at: max_age.map(|age| now + age),
            next_ping: ping_interval.map(|interval| now + interval),
            last_heard: now,
            last_data: now,
            paused_at: None,
        }
    }

    /// How often pings are sent.
    pub(super) fn ping_interval(&self) -> Option<Duration> {
        self.ping_interval
    }

    /// Anything came from the peer.
    pub(super) fn heard(&mut self, now: Instant) {
        self.last_heard = now;
    }

    /// Data went either way.
    pub(super) fn data(&mut self, now: Instant) {
        self.last_data = now;
    }

    /// Whether the socket is read from now on.
    pub(super) fn set_reading(&mut self, reading: bool, now: Instant) {
        match (reading, self.paused_at) {
            (false, None) => self.paused_at = Some(now),
            (true, Some(since)) => {
                let stood_still = now - since;
                self.last_heard += stood_still;
                self.last_data += stood_still;
                self.paused_at = None;
            }
            _ => {}
        }
    }

    fn lost_at(&self) -> Option<Instant> {
        if self.paused_at.is_some() { None } else { Some(self.last_heard + 2 * self.ping_interval?) }
    }

    fn idle_at(&self) -> Option<Instant> {
        if self.paused_at.is_some() { None } else { Some(self.last_data + self.idle_timeout?) }
    }

    /// What is due now, one thing a call; a ping that was reported is scheduled anew.
    pub(super) fn due(&mut self, now: Instant) -> Option<Due> {
        let passed = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if passed(self.lost_at()) {
            return Some(Due::Lost);
        }
        if passed(self.expires_at) {
            return Some(Due::MaxAge);
        }
        if passed(self.idle_at()) {
            return Some(Due::Idle);
        }
        if passed(self.next_ping) {
            self.next_ping = self.ping_interval.map(|interval| now + interval);
            return Some(Due::Ping);
        }
        None
    }

    /// When to ask again.
    pub(super) fn next(&self) -> Option<Instant> {
        [self.lost_at(), self.expires_at, self.idle_at(), self.next_ping].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_silent_peer_is_pinged_and_lost_after_two_intervals() {
        let start = Instant::now();
        let mut liveness = Liveness::new(start, Some(30 * SECOND), None, None);
        assert_eq!(liveness.next(), Some(start + 30 * SECOND));
        assert_eq!(liveness.due(start + 29 * SECOND), None);
        assert_eq!(liveness.due(start + 30 * SECOND), Some(Due::Ping));
        assert_eq!(liveness.due(start + 30 * SECOND), None);
        assert_eq!(liveness.due(start + 60 * SECOND), Some(Due::Lost));
    }

    #[test]
    fn a_peer_that_answers_lives() {
        let start = Instant::now();
        let mut liveness = Liveness::new(start, Some(30 * SECOND), None, None);
        assert_eq!(liveness.due(start + 30 * SECOND), Some(Due::Ping));
        liveness.heard(start + 31 * SECOND);
        assert_eq!(liveness.due(start + 60 * SECOND), Some(Due::Ping));
        assert_eq!(liveness.due(start + 91 * SECOND), Some(Due::Lost));
    }

    #[test]
    fn pings_do_not_keep_a_connection_from_being_idle() {
        let start = Instant::now();
        let mut liveness = Liveness::new(start, Some(SECOND), Some(3 * SECOND), None);
        liveness.heard(start + 2 * SECOND);
        assert_eq!(liveness.due(start + 3 * SECOND), Some(Due::Idle));
    }

    #[test]
    fn while_the_socket_is_not_read_pong_and_idle_deadlines_stand_still() {
        let start = Instant::now();
        let mut liveness = Liveness::new(start, Some(10 * SECOND), Some(15 * SECOND), None);
        liveness.set_reading(false, start + SECOND);
        assert_eq!(liveness.due(start + 100 * SECOND), Some(Due::Ping));
        assert_eq!(liveness.due(start + 100 * SECOND), None);
        liveness.set_reading(true, start + 101 * SECOND);
        assert_eq!(liveness.due(start + 101 * SECOND), None);
        assert_eq!(liveness.due(start + 115 * SECOND), Some(Due::Idle));
    }

    #[test]
    fn age_counts_even_while_nothing_is_read() {
        let start = Instant::now();
        let mut liveness = Liveness::new(start, None, None, Some(5 * SECOND));
        liveness.set_reading(false, start);
        assert_eq!(liveness.due(start + 5 * SECOND), Some(Due::MaxAge));
    }
}

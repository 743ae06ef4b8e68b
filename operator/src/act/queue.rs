//! Which Service is looked at next, and when.
//!
//! Pure, with the time as an argument. Changes of one Service within a moment become one look; a Service is never
//! looked at twice at the same time; one that failed waits, whatever happens to it meanwhile, so that no error turns
//! into a hot loop.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use moorline_crds::document::ServiceId;
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::store::index::Reason;

/// Waits after failures of one Service. No longer than a minute, because a child that the server refuses must not keep
/// the status from telling what happens to the pods.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_mins(1));

/// Services that wait, and those that are looked at.
#[derive(Debug, Default)]
pub(super) struct Queue {
    entries: BTreeMap<ServiceId, Entry>,
    /// Those that wait and are not looked at, by when.
    due: BTreeSet<(Instant, ServiceId)>,
}

#[derive(Debug, Default)]
struct Entry {
    waits: Option<(Instant, Reason)>,
    is_running: bool,
    failures: Option<Backoff>,
    not_before: Option<Instant>,
}

impl Queue {
    /// The Service is to be looked at by then.
    pub(super) fn mark(&mut self, id: ServiceId, reason: Reason, at: Instant) {
        let entry = self.entries.entry(id.clone()).or_default();
        let at = entry.not_before.map_or(at, |not_before| not_before.max(at));
        let (at, reason) = match entry.waits {
            Some((earlier, first)) => (at.min(earlier), reason.min(first)),
            None => (at, reason),
        };
        if let Some((before, _)) = entry.waits.replace((at, reason))
            && !entry.is_running
        {
            self.due.remove(&(before, id.clone()));
        }
        if !entry.is_running {
            self.due.insert((at, id));
        }
    }

    /// The next that is due. It counts as looked at until [`Queue::done`] or [`Queue::failed`].
    pub(super) fn pop(&mut self, now: Instant) -> Option<(ServiceId, Reason)> {
        if self.due.first()?.0 > now {
            return None;
        }
        let (_, id) = self.due.pop_first()?;
        let entry = self.entries.get_mut(&id)?;
        let (_, reason) = entry.waits.take()?;
        entry.is_running = true;
        Some((id, reason))
    }

    /// When [`Queue::pop`] will have something, if nothing else happens.
    pub(super) fn wake(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.due.len()
    }

    /// A look went well. `again` is when the plan wants the next.
    pub(super) fn done(&mut self, id: ServiceId, again: Option<Instant>) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.is_running = false;
        entry.failures = None;
        entry.not_before = None;
        self.requeue(&id);
        if let Some(at) = again {
            self.mark(id, Reason::Due, at);
        }
    }

    /// A look failed. Says how long the Service waits.
    pub(super) fn failed(&mut self, id: ServiceId, now: Instant) -> Duration {
        let Some(entry) = self.entries.get_mut(&id) else { return Duration::ZERO };
        entry.is_running = false;
        let backoff = entry.failures.get_or_insert_with(|| Backoff::new(PAUSES.0, PAUSES.1));
        let pause = backoff.next();
        let at = now + pause;
        entry.not_before = Some(at);
        entry.waits = entry.waits.map(|(_, reason)| (at, reason));
        self.requeue(&id);
        self.mark(id, Reason::Retry, at);
        pause
    }

    fn requeue(&mut self, id: &ServiceId) {
        match self.entries.get(id).and_then(|entry| entry.waits) {
            Some((at, _)) => drop(self.due.insert((at, id.clone()))),
            // A Service that waits for nothing costs nothing.
            None => {
                self.entries.retain(|known, entry| known != id || entry.failures.is_some());
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // tests fail by panicking
mod tests {
    use super::*;

    fn id(name: &str) -> ServiceId {
        ServiceId { namespace: "shop".to_owned(), name: name.to_owned() }
    }

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn changes_within_a_moment_are_one_look_at_the_time_of_the_first() {
        let (mut queue, start) = (Queue::default(), Instant::now());
        queue.mark(id("a"), Reason::Report, start + 100 * MS);
        queue.mark(id("a"), Reason::Route, start + 150 * MS);
        assert_eq!(queue.pop(start + 99 * MS), None);
        assert_eq!(queue.wake(), Some(start + 100 * MS));
        assert_eq!(queue.pop(start + 100 * MS), Some((id("a"), Reason::Route)));
        assert_eq!(queue.pop(start + 1000 * MS), None);
    }

    #[test]
    fn a_service_that_is_looked_at_waits_for_the_end_of_it() {
        let (mut queue, start) = (Queue::default(), Instant::now());
        queue.mark(id("a"), Reason::Route, start);
        queue.pop(start).unwrap();
        queue.mark(id("a"), Reason::Pods, start);
        assert_eq!(queue.pop(start + MS), None);
        queue.done(id("a"), None);
        assert_eq!(queue.pop(start + MS), Some((id("a"), Reason::Pods)));
    }

    #[test]
    fn a_service_that_failed_waits_also_when_it_changes() {
        let (mut queue, start) = (Queue::default(), Instant::now());
        queue.mark(id("a"), Reason::Route, start);
        queue.pop(start).unwrap();
        let pause = queue.failed(id("a"), start);
        for _ in 0..100 {
            queue.mark(id("a"), Reason::Pods, start);
        }
        assert_eq!(queue.pop(start + pause - MS), None);
        assert_eq!(queue.pop(start + pause), Some((id("a"), Reason::Pods)));
    }

    #[test]
    fn each_failure_waits_longer_until_one_look_goes_well() {
        let (mut queue, mut now) = (Queue::default(), Instant::now());
        queue.mark(id("a"), Reason::Route, now);
        let mut total = Duration::ZERO;
        for _ in 0..5 {
            queue.pop(now).unwrap();
            let pause = queue.failed(id("a"), now);
            total += pause;
            now += pause;
        }
        // Half of 0.5 + 1 + 2 + 4 + 8 at the least.
        assert!(total >= Duration::from_millis(7750), "{total:?}");
        queue.pop(now).unwrap();
        queue.done(id("a"), None);
        queue.mark(id("a"), Reason::Route, now);
        queue.pop(now).unwrap();
        assert!(queue.failed(id("a"), now) <= Duration::from_millis(500));
    }

    #[test]
    fn a_plan_that_wants_to_look_again_is_asked_then_or_earlier() {
        let (mut queue, start) = (Queue::default(), Instant::now());
        queue.mark(id("a"), Reason::Route, start);
        queue.pop(start).unwrap();
        queue.done(id("a"), Some(start + 1000 * MS));
        queue.mark(id("a"), Reason::Pods, start + 100 * MS);
        assert_eq!(queue.pop(start + 100 * MS), Some((id("a"), Reason::Pods)));
        queue.done(id("a"), None);
        assert_eq!((queue.wake(), queue.len()), (None, 0));
        assert!(queue.entries.is_empty());
    }

    #[test]
    fn others_do_not_wait_for_one_that_failed() {
        let (mut queue, start) = (Queue::default(), Instant::now());
        queue.mark(id("a"), Reason::Route, start);
        queue.pop(start).unwrap();
        queue.failed(id("a"), start);
        queue.mark(id("b"), Reason::Route, start);
        assert_eq!(queue.pop(start), Some((id("b"), Reason::Route)));
    }
}

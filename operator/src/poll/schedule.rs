//! When each sidecar is asked next.
//!
//! Pure, with the time as an argument. A pod that is behind is asked soon and then ever more rarely; one that is not is
//! asked once in a while, which finds out about one that lost what it served. Both with jitter, so that five thousand
//! pods that came at once are not asked at once for ever after.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

use crate::store::index::{PodKey, Standing};

/// Waits of a pod that is behind. The kubelet takes from a third of a second to one and a half to bring a document, so
/// that time is looked at closely: what passes until the next question is added to what people wait for.
const BEHIND: [Duration; 16] = [
    Duration::from_millis(300),
    Duration::from_millis(100),
    Duration::from_millis(100),
    Duration::from_millis(100),
    Duration::from_millis(100),
    Duration::from_millis(100),
    Duration::from_millis(100),
    Duration::from_millis(100),
    Duration::from_millis(150),
    Duration::from_millis(150),
    Duration::from_millis(200),
    Duration::from_millis(300),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
];
/// And after those.
const LONG_BEHIND: Duration = Duration::from_secs(10);
/// Waits of a pod that does not answer, before it is asked as rarely as one that is well: a policy of the network may be
/// in the way for ever.
const SILENT: [Duration; 6] = [
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(30),
];
/// How often a pod is asked that is not.
const SWEEP: Duration = Duration::from_mins(1);
/// How soon a pod is asked that was not seen before.
const FIRST: Duration = Duration::from_millis(20);

/// The pods that are asked, and when.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    pods: BTreeMap<PodKey, Entry>,
    due: BTreeSet<(Instant, PodKey)>,
}

#[derive(Debug)]
struct Entry {
    uid: String,
    /// None while it is being asked.
    at: Option<Instant>,
    /// How often it was asked since it is not well.
    attempts: usize,
    /// It changed while it was being asked.
    is_changed: bool,
}

impl Schedule {
    /// The pod is there, and is behind or not. `spread` is from 0 to 1.
    pub(super) fn put(&mut self, key: PodKey, uid: &str, is_behind: bool, now: Instant, spread: f64) {
        match self.pods.get_mut(&key) {
            Some(entry) if entry.uid == uid && entry.at.is_none() => entry.is_changed = true,
            Some(entry) if entry.uid == uid => {
                if is_behind {
                    entry.attempts = 0;
                    self.set(key, now + BEHIND[0].mul_f64(jitter(spread)));
                }
            }
            _ => {
                self.remove(&key);
                let entry = Entry { uid: uid.to_owned(), at: None, attempts: 0, is_changed: false };
                self.pods.insert(key.clone(), entry);
                self.set(key, now + FIRST);
            }
        }
    }

    /// The pod is not to be asked any more.
    pub(super) fn remove(&mut self, key: &PodKey) {
        if let Some(Entry { at: Some(at), .. }) = self.pods.remove(key) {
            self.due.remove(&(at, key.clone()));
        }
    }

    /// The next pod that is due; it is not given again before [`Schedule::answered`].
    pub(super) fn pop(&mut self, now: Instant) -> Option<PodKey> {
        if self.due.first()?.0 > now {
            return None;
        }
        let (_, key) = self.due.pop_first()?;
        if let Some(entry) = self.pods.get_mut(&key) {
            entry.at = None;
            entry.is_changed = false;
        }
        Some(key)
    }

    /// When [`Schedule::pop`] will have something.
    pub(super) fn wake(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// A pod was asked; none when there is no such pod any more.
    pub(super) fn answered(&mut self, key: &PodKey, standing: Option<Standing>, now: Instant, spread: f64) {
        let Some(standing) = standing else { return self.remove(key) };
        let Some(entry) = self.pods.get_mut(key).filter(|entry| entry.at.is_none()) else { return };
        if entry.is_changed || standing == Standing::Well {
            entry.attempts = 0;
        }
        let wait = match standing {
            Standing::Well => SWEEP,
            Standing::Behind => BEHIND.get(entry.attempts).copied().unwrap_or(LONG_BEHIND),
            Standing::Silent => SILENT.get(entry.attempts).copied().unwrap_or(SWEEP),
        };
        if standing != Standing::Well {
            entry.attempts += 1;
        }
        self.set(key.clone(), now + wait.mul_f64(jitter(spread)));
    }

    fn set(&mut self, key: PodKey, at: Instant) {
        let Some(entry) = self.pods.get_mut(&key) else { return };
        if let Some(before) = entry.at.replace(at) {
            self.due.remove(&(before, key.clone()));
        }
        self.due.insert((at, key));
    }
}

/// From nine tenths to eleven tenths.
fn jitter(spread: f64) -> f64 {
    0.9 + 0.2 * spread
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // tests fail by panicking
mod tests {
    use super::*;

    fn key(name: &str) -> PodKey {
        PodKey { namespace: "shop".to_owned(), name: name.to_owned() }
    }

    const MIDDLE: f64 = 0.5;

    #[test]
    fn a_new_pod_is_asked_at_once_and_one_that_is_well_once_a_minute() {
        let (mut schedule, start) = (Schedule::default(), Instant::now());
        schedule.put(key("a"), "u", false, start, MIDDLE);
        assert_eq!(schedule.pop(start + FIRST), Some(key("a")));
        assert_eq!(schedule.wake(), None, "it is being asked");
        schedule.answered(&key("a"), Some(Standing::Well), start, MIDDLE);
        assert_eq!(schedule.wake(), Some(start + SWEEP));
    }

    #[test]
    fn a_pod_that_stays_behind_is_asked_ever_more_rarely() {
        let (mut schedule, mut now) = (Schedule::default(), Instant::now());
        schedule.put(key("a"), "u", true, now, MIDDLE);
        let (mut count, start) = (0, now);
        while now < start + Duration::from_mins(1) {
            now = schedule.wake().unwrap();
            schedule.pop(now).unwrap();
            schedule.answered(&key("a"), Some(Standing::Behind), now, MIDDLE);
            count += 1;
        }
        assert!((18..=24).contains(&count), "{count}");
    }

    #[test]
    fn a_pod_that_never_answers_is_asked_like_one_that_is_well_in_the_end() {
        let (mut schedule, mut now) = (Schedule::default(), Instant::now());
        schedule.put(key("a"), "u", true, now, MIDDLE);
        let mut waits = Vec::new();
        for _ in 0..8 {
            let at = schedule.wake().unwrap();
            waits.push(at - now);
            now = at;
            schedule.pop(now).unwrap();
            schedule.answered(&key("a"), Some(Standing::Silent), now, MIDDLE);
        }
        assert_eq!(waits[1], SILENT[0]);
        assert_eq!(schedule.wake(), Some(now + SWEEP));
    }

    #[test]
    fn a_change_begins_anew() {
        let (mut schedule, start) = (Schedule::default(), Instant::now());
        schedule.put(key("a"), "u", false, start, MIDDLE);
        schedule.pop(start + FIRST).unwrap();
        schedule.answered(&key("a"), Some(Standing::Well), start, MIDDLE);
        schedule.put(key("a"), "u", true, start, MIDDLE);
        assert_eq!(schedule.wake(), Some(start + BEHIND[0]));
    }

    #[test]
    fn a_change_while_it_is_being_asked_is_not_lost() {
        let (mut schedule, start) = (Schedule::default(), Instant::now());
        schedule.put(key("a"), "u", true, start, MIDDLE);
        for _ in 0..8 {
            let now = schedule.wake().unwrap();
            schedule.pop(now).unwrap();
            schedule.answered(&key("a"), Some(Standing::Behind), start, MIDDLE);
        }
        let now = schedule.wake().unwrap();
        schedule.pop(now).unwrap();
        schedule.put(key("a"), "u", true, now, MIDDLE);
        schedule.answered(&key("a"), Some(Standing::Behind), now, MIDDLE);
        assert_eq!(schedule.wake(), Some(now + BEHIND[0]));
    }

    #[test]
    fn a_pod_that_is_gone_or_another_is_forgotten() {
        let (mut schedule, start) = (Schedule::default(), Instant::now());
        schedule.put(key("a"), "u", true, start, MIDDLE);
        schedule.put(key("a"), "v", true, start, MIDDLE);
        assert_eq!(schedule.due.len(), 1);
        schedule.pop(start + FIRST).unwrap();
        schedule.answered(&key("a"), None, start, MIDDLE);
        assert!(schedule.pods.is_empty() && schedule.due.is_empty());
        schedule.put(key("a"), "v", true, start, MIDDLE);
        schedule.remove(&key("a"));
        assert!(schedule.pods.is_empty() && schedule.due.is_empty());
    }
}

//! The uids of pods that were deleted lately.

use std::collections::{HashSet, VecDeque};

/// How many are remembered per namespace. A pod's endpoints go within seconds of it.
const CAPACITY: usize = 4096;

/// A bounded set that forgets the oldest.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    order: VecDeque<String>,
    known: HashSet<String>,
}

impl Remembered {
    pub(super) fn insert(&mut self, uid: String) {
        if !self.known.insert(uid.clone()) {
            return;
        }
        self.order.push_back(uid);
        if self.order.len() > CAPACITY
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    pub(super) fn contains(&self, uid: &str) -> bool {
        self.known.contains(uid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten_when_the_room_is_used_up() {
        let mut remembered = Remembered::default();
        for uid in 0..=CAPACITY {
            remembered.insert(uid.to_string());
        }
        assert!(!remembered.contains("0"));
        assert!(remembered.contains("1") && remembered.contains(&CAPACITY.to_string()));
        assert_eq!(remembered.order.len(), CAPACITY);
    }
}

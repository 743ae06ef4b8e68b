//! Counters under a label that takes few, fixed values.
//!
//! A label that could take any value is how a metrics endpoint eats a process: each value is a time series kept for
//! ever. Here the room is part of the type; what no longer fits is counted under `other`. Looking a label up compares
//! a handful of static strings and takes no lock, so a message may do it. Rejected: the library's `Family`, which
//! hashes the label set under a read-write lock for every update.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// A value of a label, or of several together.
pub trait Label: Copy + PartialEq {
    /// Counts what has no room.
    const OTHER: Self;
}

impl Label for &'static str {
    const OTHER: Self = "other";
}

impl Label for (&'static str, &'static str) {
    const OTHER: Self = ("other", "other");
}

/// Up to `N` counters, made as their labels are first seen.
#[derive(Debug)]
pub struct Labelled<L, const N: usize> {
    slots: [OnceLock<(L, AtomicU64)>; N],
    other: AtomicU64,
}

impl<L, const N: usize> Default for Labelled<L, N> {
    fn default() -> Self {
        Self { slots: [const { OnceLock::new() }; N], other: AtomicU64::new(0) }
    }
}

impl<L: Label, const N: usize> Labelled<L, N> {
    /// Counts one.
    pub fn inc(&self, label: L) {
        self.counter(label).fetch_add(1, Ordering::Relaxed);
    }

    /// The count under one label.
    pub fn get(&self, label: L) -> u64 {
        self.iter().find(|(known, _)| *known == label).map_or(0, |(_, count)| count)
    }

    /// All labels seen, with their counts.
    pub(super) fn iter(&self) -> impl Iterator<Item = (L, u64)> {
        let known = self.slots.iter().map_while(OnceLock::get);
        let other = self.other.load(Ordering::Relaxed);
        known
            .map(|(label, count)| (*label, count.load(Ordering::Relaxed)))
            .chain((other > 0).then_some((L::OTHER, other)))
    }

    fn counter(&self, label: L) -> &AtomicU64 {
        // Slots fill from the front and never empty. When two threads race for one slot the loser reads the winner's
        // label and, if that is another one, goes on to the next.
        for slot in &self.slots {
            let (known, counter) = slot.get_or_init(|| (label, AtomicU64::new(0)));
            if *known == label {
                return counter;
            }
        }
        &self.other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_label_has_a_counter_until_the_room_is_used_up() {
        let counters = Labelled::<&'static str, 2>::default();
        for label in ["a", "b", "a", "c", "d", "b", "a"] {
            counters.inc(label);
        }
        assert_eq!(counters.iter().collect::<Vec<_>>(), [("a", 3), ("b", 2), ("other", 2)]);
        assert_eq!(counters.get("a"), 3);
        assert_eq!(counters.get("never"), 0);
    }
}

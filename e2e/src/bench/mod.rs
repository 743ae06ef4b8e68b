//! Measures Moorline against calling the app directly, in one run on one machine.
//!
//! Ratios and not absolute figures, because those say more about the machine than about Moorline. The
//! client is the same closed loop of prebuilt bytes on both sides, so its cost cancels out; the app is the
//! least that can answer. Each part is a process of its own, pinned to a core, since a client that shares
//! a core with what it measures measures itself.

pub mod app;
pub mod hold;
pub mod load;
pub mod report;

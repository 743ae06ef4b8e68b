//! Plans for whole worlds, by what they are about.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests fail by panicking

mod children;
mod conditions;
mod document;
mod events;
mod expose;
mod fallback;
mod nudges;
mod properties;
mod repairs;
mod size;
mod statuses;

//! Pods and manifests from the outside: what becomes of them, and what holds whatever they are.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests fail by panicking

mod again;
mod golden;
mod manifests;
mod property;
mod support;

//! Tests and benchmarks of the built binary: what they share.
//!
//! The data plane's own tests link it as a library; here it is a program like any other, started with a
//! command line and spoken to by clients that share no code with it. So this crate does not depend on
//! `moorline-sidecar`, and what is here is about processes.

pub mod bench;
pub mod cluster;
pub mod process;

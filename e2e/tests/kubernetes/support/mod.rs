//! What the scenarios are written with.

pub(crate) mod client;
pub(crate) mod command;
pub(crate) mod diagnose;
pub(crate) mod figures;
pub(crate) mod ground;
pub(crate) mod install;
pub(crate) mod load;
pub(crate) mod namespace;
pub(crate) mod orders;
pub(crate) mod sidecars;
pub(crate) mod wait;

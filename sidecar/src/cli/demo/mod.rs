//! The demo.

mod client;
mod journal;
mod orders;
mod script;
mod transcript;

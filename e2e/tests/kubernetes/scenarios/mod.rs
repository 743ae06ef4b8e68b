//! Each file is a topic, each function a sentence that holds.

mod configuration;
mod failure;
mod injection;
mod installation;
mod operator;
mod permissions;
mod policies;
mod repairs;
mod rollout;
mod scale;
mod unmodified;

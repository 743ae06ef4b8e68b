//! Where documents come from: a directory that the operator fills, or manifests that a developer edits.
//!
//! Both end as the same documents, so the gateway cannot tell a laptop from a pod. Reading ([`directory`],
//! [`manifests`]) is apart from deciding what is served ([`documents`]) and from noticing changes ([`watch`]), because
//! the latter is the same for both and goes by content alone.

pub mod directory;
pub mod documents;
pub mod manifests;
pub mod ports;
pub mod upstreams;
pub mod watch;

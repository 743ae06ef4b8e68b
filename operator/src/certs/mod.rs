//! The certificate of the webhook: made, renewed, published and presented.
//!
//! The API server speaks to the webhook over TLS only, and trusts it by the `caBundle` of the webhook's configuration.
//! A certificate made by a chart would change with every rendering, one made per process would have two replicas fight
//! over the bundle; so there is one Secret that the leader writes and every replica reads.
//!
//! What is pure is apart from what asks the API: [`stored`] reads what a Secret holds, [`step`] says what is next,
//! [`issue`] makes it. [`keeper`] does the asking, [`files`] is the other source (cert-manager, or your own), and
//! [`served`] hands the result to TLS.
//!
//! Invariant: no certificate is presented before the bundle that verifies it is published, unless there is none that
//! would still be trusted.

mod cluster;
mod error;
mod facts;
#[cfg(test)]
mod fake_api;
mod files;
mod issue;
mod keeper;
mod metrics;
mod served;
mod step;
mod stored;
#[cfg(test)]
pub(crate) mod testing;

pub use error::CertificateError;
pub use files::Files;
pub use keeper::SelfManaged;
pub use metrics::Metrics;
pub use served::Served;

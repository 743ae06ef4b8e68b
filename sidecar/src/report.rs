//! What a sidecar says of itself: `GET /config` of the admin listener, which the operator polls and `moorline status`
//! shows.
//!
//! One type for both ends of the command line, so that they cannot drift apart. Fields are only ever added; whoever
//! reads it must pass over those it does not know, because operator and sidecars are upgraded one after the other.

use moorline_crds::document::FORMAT_VERSION;
use serde::{Deserialize, Serialize};

/// The report of one process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The version of the sidecar.
    pub version: String,
    /// The formats of documents it reads.
    pub formats: Vec<u32>,
    /// Whether a drain has begun.
    pub draining: bool,
    /// Sockets of clients now, those in their handshake included.
    pub connections: usize,
    /// The Services it has documents of, by name.
    pub services: Vec<ServiceReport>,
}

/// One Service of a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceReport {
    /// Its namespace; empty when its only document is one that does not say.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The hash of the document that is served; none when none is.
    pub hash: Option<String>,
    /// Its connections now.
    pub connections: usize,
    /// Its routes.
    pub routes: Vec<RouteReport>,
    /// Why the newest document is not served; absent when it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<ReportedProblem>,
    /// The document that is served is no longer there.
    #[serde(default, skip_serializing_if = "is_false")]
    pub gone: bool,
}

/// One route of a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteReport {
    /// Its name.
    pub name: String,
    /// The generation of the resource it was compiled from.
    pub generation: i64,
    /// Why it does not work here although it is served; absent when nothing is known against it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<ReportedProblem>,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReportedProblem {
    /// A fixed word.
    pub reason: String,
    /// Words for a person.
    pub message: String,
}

impl Report {
    /// A report of this version, without Services.
    pub fn new(draining: bool, connections: usize) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            formats: vec![FORMAT_VERSION],
            draining,
            connections,
            services: Vec::new(),
        }
    }
}

impl ServiceReport {
    /// A Service of which nothing is served.
    pub fn unserved(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            hash: None,
            connections: 0,
            routes: Vec::new(),
            refused: None,
            gone: false,
        }
    }
}

#[allow(clippy::trivially_copy_pass_by_ref)] // the form serde asks for
fn is_false(value: &bool) -> bool {
    !value
}

//! What a sidecar answers to `GET /config` on its admin port.
//!
//! Types of its own instead of those of the sidecar: the two are of different versions in every upgrade, so what is read
//! here is what every version says, and all else is ignored.

use serde::Deserialize;

/// What a sidecar answers to `GET /config` on its admin port. Unknown fields are ignored: sidecars may be newer.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The sidecar's version.
    pub version: String,
    /// The formats of documents that it reads.
    #[serde(default)]
    pub formats: Vec<u32>,
    /// Whether it drains.
    #[serde(default)]
    pub draining: bool,
    /// Open connections.
    #[serde(default)]
    pub connections: u64,
    /// The Services it knows documents of.
    #[serde(default)]
    pub services: Vec<ReportedService>,
}

/// One Service in a [`Report`].
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReportedService {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// The hash of the document it serves; none before the first.
    #[serde(default)]
    pub hash: Option<String>,
    /// The routes it serves.
    #[serde(default)]
    pub routes: Vec<ReportedRoute>,
    /// Why it does not serve the newest document.
    #[serde(default)]
    pub refused: Option<Refused>,
}

/// One route in a [`Report`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ReportedRoute {
    /// The name.
    pub name: String,
    /// The generation it serves.
    pub generation: i64,
}

/// Why a sidecar refuses a document.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Refused {
    /// The kind of error.
    pub reason: String,
    /// The error.
    #[serde(default)]
    pub message: String,
}

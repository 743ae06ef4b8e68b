//! Documents as bytes: the one module that serialises them.
//!
//! JSON, because people read it in a cluster; canonical (declared order of fields, sorted maps,
//! no spaces), because the hash of these bytes is how the control plane knows what a sidecar serves.
//!
//! Invariants: `decode(encode(d)) == d`, and equal documents give equal bytes.

use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::document::{Document, FORMAT_VERSION, Route};

/// Why bytes are not a document this version can serve.
#[derive(Debug, Error)]
pub enum DecodeError {
    /// Not JSON, or not of the document's shape.
    #[error("the document cannot be read: {0}")]
    Parse(#[from] serde_json::Error),
    /// Written for another version of Moorline.
    #[error("the document has format {found}, this version reads format {FORMAT_VERSION}")]
    Version {
        /// The format it says it has.
        found: u64,
    },
    /// An action in the wrong place.
    #[error("route {route}: the action {key:?} cannot stand where it is")]
    Key {
        /// The route, as `namespace/name`.
        route: String,
        /// The key of the action.
        key: String,
    },
    /// The address of the app is not one.
    #[error("route {route}: {upstream:?} is not host:port")]
    Upstream {
        /// The route, as `namespace/name`.
        route: String,
        /// What was given.
        upstream: String,
    },
}

impl DecodeError {
    /// A fixed name for the kind of error.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Parse(_) => "unreadable",
            Self::Version { .. } => "format_version",
            Self::Key { .. } => "action_key",
            Self::Upstream { .. } => "upstream",
        }
    }
}

/// The canonical JSON of a document.
pub fn encode(document: &Document) -> String {
    // Documents hold nothing that JSON cannot: map keys are strings and numbers finite. So an error cannot
    // happen, and a signature that says it can would be handled in every caller for nothing.
    serde_json::to_string(document).unwrap_or_default()
}

/// Reads, checks and links a document.
pub fn decode(bytes: &[u8]) -> Result<Document, DecodeError> {
    // The version first and on its own: a newer format should be named as such, not as an unknown field.
    let version: Version = serde_json::from_slice(bytes)?;
    if version.format_version != u64::from(FORMAT_VERSION) {
        return Err(DecodeError::Version { found: version.format_version });
    }
    let mut document: Document = serde_json::from_slice(bytes)?;
    document.routes.iter().try_for_each(check)?;
    document.routes = document.routes.into_iter().map(Route::link).collect();
    Ok(document)
}

impl Document {
    /// `sha256:` and the hash of the canonical JSON.
    pub fn hash(&self) -> String {
        let digest = Sha256::digest(encode(self).as_bytes());
        digest.iter().fold(String::from("sha256:"), |mut text, byte| {
            use std::fmt::Write;
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    format_version: u64,
}

fn check(route: &Route) -> Result<(), DecodeError> {
    let wrong = |key: &str| DecodeError::Key { route: route.id.to_string(), key: key.to_owned() };
    for (action, expected) in
        [(&route.connect, "$connect"), (&route.disconnect, "$disconnect"), (&route.default, "$default")]
    {
        if let Some(action) = action
            && action.key != expected
        {
            return Err(wrong(&action.key));
        }
    }
    for (key, action) in &route.keyed {
        if key.starts_with('$') || key.is_empty() || *key != action.key {
            return Err(wrong(key));
        }
    }
    if is_upstream(&route.upstream) {
        Ok(())
    } else {
        Err(DecodeError::Upstream { route: route.id.to_string(), upstream: route.upstream.clone() })
    }
}

/// Whether `text` is `host:port` with nothing else; the port is a number, or the name of a port of the pod.
pub(crate) fn is_upstream(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| {
        (port.parse::<u16>().is_ok_and(|port| port > 0) || is_port_name(port))
            && crate::pattern::HostPattern::parse(host).is_ok_and(|pattern| !pattern.is_wildcard())
    })
}

/// Whether `text` is the name of a port, as Kubernetes has them.
fn is_port_name(text: &str) -> bool {
    (1..=15).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && text.bytes().any(|byte| byte.is_ascii_lowercase())
}

#[cfg(test)]
mod tests;

//! A header of a call.
//!
//! Names are checked when the template is made, so that a document cannot carry one that breaks a request;
//! values are checked when rendered, because they are the client's.
//!
//! Invariant: a rendered value holds no control character, so it cannot end its line.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::RenderError;
use crate::expression::Expression;
use crate::scope::Scope;

/// A header with values in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Parts", into = "Parts")]
pub struct HeaderTemplate {
    /// The name, in lower case.
    pub name: String,
    /// The value.
    pub value: Expression,
    /// Whether the header is left out when any value is missing (`spec.headers`), and not only when its
    /// lone value is (`request.headers`).
    pub required: bool,
}

/// Why a header cannot be set by a template.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HeaderNameError {
    /// Not a token of RFC 9110.
    #[error("is not a header name")]
    Token,
    /// A header that belongs to the connection, to the body's framing, or to Moorline.
    #[error("cannot be set: Moorline or the connection to the app sets it")]
    Reserved,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Parts {
    name: String,
    value: Expression,
    #[serde(default)]
    required: bool,
}

impl HeaderTemplate {
    /// A template for the header `name`, which may be in any case.
    pub fn new(name: &str, value: Expression, required: bool) -> Result<Self, HeaderNameError> {
        let normalized = normalized_header_name(name).ok_or(HeaderNameError::Token)?;
        if is_reserved(&normalized) {
            return Err(HeaderNameError::Reserved);
        }
        Ok(Self { name: name.to_ascii_lowercase(), value, required })
    }

    /// The value, `None` when the header is left out, or why there is no call.
    pub fn render<S: Scope + ?Sized>(&self, scope: &S) -> Result<Option<String>, RenderError> {
        let text = if self.required {
            self.value.render_all(scope)
        } else if self.value.lone().is_some() {
            self.value.render_present(scope)
        } else {
            Some(self.value.render_lossy(scope))
        };
        match text {
            None => Ok(None),
            Some(text) if text.contains(char::is_control) => Err(RenderError::Header { name: self.name.clone() }),
            Some(text) => Ok(Some(text.into_owned())),
        }
    }
}

/// The name in lower case with `_` read as `-`, as servers that pass headers in environment variables
/// do. `None` when it is not a header name.
pub fn normalized_header_name(name: &str) -> Option<String> {
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    (!name.is_empty() && name.chars().all(token)).then(|| name.to_ascii_lowercase().replace('_', "-"))
}

/// Whether Moorline or the connection to the app sets the header of this normalized name.
pub(crate) fn is_reserved(normalized: &str) -> bool {
    const NAMES: &[&str] = &[
        "host",
        "connection",
        "keep-alive",
        "content-length",
        "transfer-encoding",
        "te",
        "trailer",
        "upgrade",
        "expect",
        "accept-encoding",
        "x-real-ip",
        "forwarded",
        "x-request-id",
        "traceparent",
        "tracestate",
    ];
    const PREFIXES: &[&str] = &["proxy-", "sec-websocket-", "moorline-", "x-forwarded-"];
    NAMES.contains(&normalized) || PREFIXES.iter().any(|prefix| normalized.starts_with(prefix))
}

impl TryFrom<Parts> for HeaderTemplate {
    type Error = HeaderNameError;

    fn try_from(parts: Parts) -> Result<Self, HeaderNameError> {
        Self::new(&parts.name, parts.value, parts.required)
    }
}

impl From<HeaderTemplate> for Parts {
    fn from(header: HeaderTemplate) -> Self {
        Self { name: header.name, value: header.value, required: header.required }
    }
}

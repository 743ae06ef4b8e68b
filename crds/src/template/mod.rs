//! Templates: what a call is made of, and the rules that keep client values inside their place.
//!
//! Each place has its own rule for what a value may do, so each has its own type: a path that could be
//! rendered like a header would be one forgotten check away from letting a client choose the resource.
//!
//! Invariant: no value can add a path segment, a query parameter, a header line or another host; a value
//! that would is refused and no call is made.

mod body;
mod encode;
mod header;
mod method;
mod path;
mod query;

pub use body::{BodyPlan, BodyTemplate, JsonTemplate, JsonTemplateError};
pub use header::{HeaderNameError, HeaderTemplate, normalized_header_name};

pub(crate) use header::is_reserved as is_reserved_header;
pub use method::Method;
pub use path::{PathTemplate, PathTemplateError, ValueRule};
pub use query::QueryTemplate;

pub(crate) use encode::{is_dot_segment, percent_decode, percent_encode_into};
pub(crate) use path::check_characters as check_path_characters;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::expression::Source;
use crate::scope::Scope;

/// Why a message cannot be turned into a call. The text names the place and the source, never the value.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RenderError {
    /// A value that may not stand in a path.
    #[error("request.path: ${{{source_name}}} {rule}")]
    PathValue {
        /// The source, as in the template.
        source_name: String,
        /// The rule it breaks.
        rule: ValueRule,
    },
    /// A path segment that means something else than a name.
    #[error("request.path: segment {number} {rule}")]
    PathSegment {
        /// The segment, counted from 1.
        number: usize,
        /// The rule it breaks.
        rule: ValueRule,
    },
    /// A header value with a control character.
    #[error("request.headers.{name}: holds a control character")]
    Header {
        /// The header, in lower case.
        name: String,
    },
    /// Path and query together are longer than servers take.
    #[error("request: the path and query are over {MAX_TARGET_BYTES} bytes")]
    TargetTooLong,
}

/// The longest path and query of a call, in bytes; the limit of most servers.
pub const MAX_TARGET_BYTES: usize = 8192;

impl RenderError {
    /// A fixed name for the kind of error.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::PathValue { rule, .. } | Self::PathSegment { rule, .. } => rule.reason(),
            Self::Header { .. } => "header_value_refused",
            Self::TargetTooLong => "target_too_long",
        }
    }

    fn value(source: &Source, rule: ValueRule) -> Self {
        Self::PathValue { source_name: source.to_string(), rule }
    }
}

/// How to make the call of an action.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestPlan {
    /// The method.
    pub method: Method,
    /// The path.
    pub path: PathTemplate,
    /// The query parameters.
    pub query: QueryTemplate,
    /// The headers of this call, beside those of the route.
    pub headers: Vec<HeaderTemplate>,
    /// The body.
    pub body: BodyPlan,
    /// How long the call may take, waiting for a connection to the app included.
    #[serde(rename = "timeoutMs", with = "crate::document::millis")]
    pub timeout: Duration,
}

impl RequestPlan {
    /// The target of the request line, as `/orders/7?verbose=1`.
    pub fn target<S: Scope + ?Sized>(&self, scope: &S) -> Result<String, RenderError> {
        let mut target = self.path.render(scope)?;
        self.query.render(scope, &mut target);
        if target.len() > MAX_TARGET_BYTES { Err(RenderError::TargetTooLong) } else { Ok(target) }
    }
}

#[cfg(test)]
mod tests;

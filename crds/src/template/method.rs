//! The method of a call.
//!
//! An enum of our own and not `http::Method`: this crate does no HTTP, and the list is also the schema.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The HTTP method of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs)] // the names say it
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
}

impl Method {
    /// The method as on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
        }
    }

    /// Whether the client's message is the body when none is configured.
    pub fn carries_message(self) -> bool {
        matches!(self, Self::Post | Self::Put | Self::Patch | Self::Options)
    }
}

//! The sources a value may come from, and their names.
//!
//! The names are AWS's where AWS has one, so that existing selection expressions carry over. Where a
//! source may be used is not decided here but by `compile`, which knows the field.

use std::fmt;

use super::body_path::{BodyPath, write_quoted};

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Source {
    /// `request.body` and paths into it: the client's message.
    Body(BodyPath),
    /// `request.header.NAME` of the handshake; the name is in lower case.
    Header(String),
    /// `request.querystring.NAME` of the handshake.
    Query(String),
    /// `request.path.NAME`: a capture of the route's path.
    Path(String),
    /// `context.*`.
    Context(ContextVar),
    /// `response.status`: the status the app answered with.
    ResponseStatus,
    /// `response.header.NAME` of the app's answer; the name is in lower case.
    ResponseHeader(String),
    /// `response.body` and paths into it: the app's answer.
    ResponseBody(BodyPath),
}

impl Source {
    /// Whether the source is part of the app's answer.
    pub fn is_response(&self) -> bool {
        matches!(self, Self::ResponseStatus | Self::ResponseHeader(_) | Self::ResponseBody(_))
    }
}

macro_rules! context_vars {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// A variable of `context.*`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ContextVar {
            $($(#[$doc])* $variant,)*
        }

        impl ContextVar {
            /// Every variable, in the order of the reference.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name after `context.`.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

context_vars! {
    /// The id of the client's connection.
    ConnectionId = "connectionId",
    /// The id of this event.
    RequestId = "requestId",
    /// The same as `requestId`; AWS has both names.
    ExtendedRequestId = "extendedRequestId",
    /// The id of the client's message.
    MessageId = "messageId",
    /// The key of the chosen route.
    RouteKey = "routeKey",
    /// `CONNECT`, `MESSAGE` or `DISCONNECT`.
    EventType = "eventType",
    /// When the connection was made, in milliseconds since 1970.
    ConnectedAt = "connectedAt",
    /// When the event arrived, as `dd/MMM/yyyy:HH:mm:ss +0000`.
    RequestTime = "requestTime",
    /// When the event arrived, in milliseconds since 1970.
    RequestTimeEpoch = "requestTimeEpoch",
    /// The host name the client connected to.
    DomainName = "domainName",
    /// The client's address.
    SourceIp = "identity.sourceIp",
    /// The client's `User-Agent`.
    UserAgent = "identity.userAgent",
    /// The name of the connection's user.
    User = "user",
    /// The close code of a connection that ended.
    DisconnectStatusCode = "disconnectStatusCode",
    /// The close reason of a connection that ended.
    DisconnectReason = "disconnectReason",
    /// The status of a failed call.
    Status = "status",
    /// What went wrong, in words.
    ErrorMessage = "error.message",
    /// What went wrong, as one of a fixed set of names.
    ErrorReason = "error.responseType",
}

impl ContextVar {
    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|variable| variable.name() == name)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Body(path) => write!(f, "request.body{path}"),
            Self::Header(name) => write!(f, "request.header.{name}"),
            Self::Query(name) => {
                f.write_str("request.querystring")?;
                if !name.is_empty() && name.chars().all(is_parameter_char) {
                    write!(f, ".{name}")
                } else {
                    write_quoted(f, name)
                }
            }
            Self::Path(name) => write!(f, "request.path.{name}"),
            Self::Context(variable) => write!(f, "context.{}", variable.name()),
            Self::ResponseStatus => f.write_str("response.status"),
            Self::ResponseHeader(name) => write!(f, "response.header.{name}"),
            Self::ResponseBody(path) => write!(f, "response.body{path}"),
        }
    }
}

/// Whether a query parameter's name may contain `c` without quotes.
pub(super) fn is_parameter_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '~')
}

/// Whether a header's name may contain `c` (a token of RFC 9110, without the dollar that starts a value).
pub(super) fn is_header_char(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || matches!(c, '!' | '#' | '%' | '&' | '\'' | '*' | '+' | '-' | '.' | '^' | '_' | '`' | '|' | '~')
}

//! Which web pages may open a connection.
//!
//! Browsers let any page open a WebSocket to any host and send the host's cookies along, and only the
//! `Origin` header tells the server. So the default is the strict one, same origin, and a route says what
//! else it wants; programs that are not browsers send no `Origin` and are not concerned.
//!
//! Invariant: `null` (a sandboxed page, a file) and a malformed origin match nothing but `*`.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::pattern::is_host_name;

/// The origins a route accepts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OriginPolicy {
    /// Only pages of the host that is connected to.
    SameOrigin,
    /// Only these.
    List(Vec<OriginPattern>),
}

/// One entry of `allowedOrigins`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum OriginPattern {
    /// `*`.
    Any,
    /// `https://shop.example.com`.
    Exact(Origin),
    /// `https://*.example.com`: hosts below the name, not the name itself.
    Below(Origin),
}

/// A scheme, a host and a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    scheme: String,
    host: String,
    /// `None` for a scheme without a default port when none is given.
    port: Option<u16>,
}

/// A handshake whose origin was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowed {
    /// Whether only `*` matched, in which case `Cookie` is withheld from the app.
    pub wildcard_only: bool,
}

/// A handshake whose origin is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum OriginRefused {
    /// The page is of another host, and there is no list.
    #[error("the Origin is not this host; spec.allowedOrigins names other origins")]
    NotSame,
    /// The page is not in the list.
    #[error("the Origin is not in spec.allowedOrigins")]
    NotListed,
}

/// Why a text is not an origin pattern.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OriginPatternError {
    /// Neither `*` nor an origin.
    #[error("is `*`, `https://host`, `https://host:port` or `https://*.host`, without a path")]
    Form,
}

impl OriginRefused {
    /// A fixed name for the kind of refusal.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotSame => "origin_not_same",
            Self::NotListed => "origin_not_listed",
        }
    }
}

impl OriginPolicy {
    /// Whether a handshake with this `Origin` may go on. `host` is its `Host` header, or the
    /// `X-Forwarded-Host` of a trusted proxy, with the port if one was sent.
    pub fn allows(&self, origin: Option<&str>, host: &str) -> Result<Allowed, OriginRefused> {
        let Some(text) = origin else {
            return Ok(Allowed { wildcard_only: false });
        };
        let origin = Origin::parse(text);
        match self {
            Self::SameOrigin => match origin {
                Some(origin) if origin.is_of(host) => Ok(Allowed { wildcard_only: false }),
                _ => Err(OriginRefused::NotSame),
            },
            Self::List(patterns) => {
                if origin.is_some_and(|origin| patterns.iter().any(|pattern| pattern.names(&origin))) {
                    Ok(Allowed { wildcard_only: false })
                } else if patterns.contains(&OriginPattern::Any) {
                    Ok(Allowed { wildcard_only: true })
                } else {
                    Err(OriginRefused::NotListed)
                }
            }
        }
    }
}

impl OriginPattern {
    /// Parses an entry of `allowedOrigins`.
    pub fn parse(text: &str) -> Result<Self, OriginPatternError> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let parsed = match text.split_once("://*.") {
            Some((scheme, rest)) => Origin::parse(&format!("{scheme}://{rest}")).map(Self::Below),
            None => Origin::parse(text).map(Self::Exact),
        };
        parsed.ok_or(OriginPatternError::Form)
    }

    /// Whether the pattern names the origin, other than by being `*`.
    fn names(&self, origin: &Origin) -> bool {
        match self {
            Self::Any => false,
            Self::Exact(exact) => exact == origin,
            Self::Below(parent) => {
                parent.scheme == origin.scheme
                    && parent.port == origin.port
                    && origin
                        .host
                        .strip_suffix(parent.host.as_str())
                        .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
            }
        }
    }
}

impl Origin {
    fn parse(text: &str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let scheme = scheme.to_ascii_lowercase();
        let valid = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.');
        if !scheme.starts_with(|c: char| c.is_ascii_lowercase()) || !scheme.bytes().all(valid) {
            return None;
        }
        let (host, port) = split_authority(authority)?;
        let port = port.or_else(|| default_port(&scheme));
        Some(Self { scheme, host, port })
    }

    /// Whether the page came from `host`; a missing port there is the default one of the page's scheme,
    /// because a proxy in front may have taken the encryption off.
    fn is_of(&self, host: &str) -> bool {
        split_authority(host)
            .is_some_and(|(name, port)| name == self.host && port.or_else(|| default_port(&self.scheme)) == self.port)
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    }
}

/// Host (in lower case) and port of `host[:port]`.
fn split_authority(authority: &str) -> Option<(String, Option<u16>)> {
    let lower = authority.to_ascii_lowercase();
    let (host, rest) = if let Some(rest) = lower.strip_prefix('[') {
        let (address, rest) = rest.split_once(']')?;
        let address: std::net::Ipv6Addr = address.parse().ok()?;
        (format!("[{address}]"), rest)
    } else {
        let (host, rest) = lower.split_at(lower.find(':').unwrap_or(lower.len()));
        is_host_name(host).then(|| (host.to_owned(), rest))?
    };
    if rest.is_empty() {
        return Some((host, None));
    }
    let digits = rest.strip_prefix(':').filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?;
    Some((host, Some(digits.parse().ok()?)))
}

impl fmt::Display for OriginPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (star, origin) = match self {
            Self::Any => return f.write_str("*"),
            Self::Exact(origin) => ("", origin),
            Self::Below(origin) => ("*.", origin),
        };
        write!(f, "{}://{star}{}", origin.scheme, origin.host)?;
        match origin.port {
            Some(port) if default_port(&origin.scheme) != Some(port) => write!(f, ":{port}"),
            _ => Ok(()),
        }
    }
}

impl TryFrom<String> for OriginPattern {
    type Error = OriginPatternError;

    fn try_from(text: String) -> Result<Self, OriginPatternError> {
        Self::parse(&text)
    }
}

impl From<OriginPattern> for String {
    fn from(pattern: OriginPattern) -> Self {
        pattern.to_string()
    }
}

#[cfg(test)]
mod tests;

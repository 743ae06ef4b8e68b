//! The patterns a route serves: host names and paths with captures.
//!
//! Both are parsed when a route is compiled and stay text in the document. Matching is in `routing`; what
//! is here is what makes a pattern valid and when two of them are the same.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::template::{is_dot_segment, percent_decode};

/// A host name, or `*.` before one for everything below it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostPattern {
    name: String,
    wildcard: bool,
}

/// Why a text is not a host pattern.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HostPatternError {
    /// Not a name.
    #[error("is a host name as `shop.example.com` or `*.example.com`, without scheme, port or path")]
    Name,
}

impl HostPattern {
    /// Parses a pattern; the case of letters does not matter.
    pub fn parse(text: &str) -> Result<Self, HostPatternError> {
        let lower = text.to_ascii_lowercase();
        let (name, wildcard) = match lower.strip_prefix("*.") {
            Some(name) => (name, true),
            None => (lower.as_str(), false),
        };
        let ipv6 = !wildcard
            && name
                .strip_prefix('[')
                .and_then(|rest| rest.strip_suffix(']'))
                .is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok());
        if ipv6 || is_host_name(name) {
            Ok(Self { name: name.to_owned(), wildcard })
        } else {
            Err(HostPatternError::Name)
        }
    }

    /// The name, without the `*.`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the pattern is for everything below the name (the name itself excluded).
    pub fn is_wildcard(&self) -> bool {
        self.wildcard
    }
}

/// Whether `name` is a DNS name or an IPv4 address in lower case.
pub(crate) fn is_host_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(label)
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.wildcard { "*." } else { "" }, self.name)
    }
}

impl TryFrom<String> for HostPattern {
    type Error = HostPatternError;

    fn try_from(text: String) -> Result<Self, HostPatternError> {
        Self::parse(&text)
    }
}

impl From<HostPattern> for String {
    fn from(pattern: HostPattern) -> Self {
        pattern.to_string()
    }
}

/// The path clients connect to, as `/ws/{tenant}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PathPattern {
    segments: Vec<PatternSegment>,
}

/// One segment of a [`PathPattern`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PatternSegment {
    /// Text to match, percent-decoded.
    Literal(String),
    /// A name for whatever the segment holds.
    Capture(String),
}

/// Why a text is not a path pattern.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PathPatternError {
    /// It does not start with one slash.
    #[error("starts with exactly one `/`")]
    Start,
    /// It holds a query or fragment.
    #[error("holds no `?` or `#`")]
    Query,
    /// Two slashes in a row.
    #[error("has no empty segment")]
    EmptySegment,
    /// `.` or `..`.
    #[error("has no `.` or `..` segment")]
    Dots,
    /// A character that cannot stand in a path, or a bad percent sign.
    #[error("holds only characters of a path")]
    Character,
    /// A brace that is not around a whole segment, or around something that is not a name.
    #[error("a capture is a whole segment, as `/{{tenant}}/`, with a name of letters, digits and `_`")]
    Capture,
    /// The same name twice.
    #[error("captures `{0}` twice")]
    Twice(String),
    /// An expression.
    #[error("holds no expressions; write `{{name}}` to capture a segment")]
    Expression,
}

impl PathPattern {
    /// Parses a pattern.
    pub fn parse(text: &str) -> Result<Self, PathPatternError> {
        let rest = text.strip_prefix('/').filter(|rest| !rest.starts_with('/')).ok_or(PathPatternError::Start)?;
        if rest.contains("${") {
            return Err(PathPatternError::Expression);
        }
        let count = rest.split('/').count();
        let mut segments = Vec::with_capacity(count);
        for (at, segment) in rest.split('/').enumerate() {
            if segment.is_empty() && at + 1 != count {
                return Err(PathPatternError::EmptySegment);
            }
            let segment = PatternSegment::parse(segment)?;
            if let PatternSegment::Capture(name) = &segment
                && segments.contains(&segment)
            {
                return Err(PathPatternError::Twice(name.clone()));
            }
            segments.push(segment);
        }
        Ok(Self { segments })
    }

    /// The segments after the first slash; a trailing slash is an empty literal.
    pub fn segments(&self) -> &[PatternSegment] {
        &self.segments
    }

    /// The names of the captures.
    pub fn captures(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            PatternSegment::Capture(name) => Some(name.as_str()),
            PatternSegment::Literal(_) => None,
        })
    }

    /// Whether both match the same paths: equal once the capture names are erased.
    pub fn same_as(&self, other: &Self) -> bool {
        let same = |(a, b): (&PatternSegment, &PatternSegment)| match (a, b) {
            (PatternSegment::Capture(_), PatternSegment::Capture(_)) => true,
            (a, b) => a == b,
        };
        self.segments.len() == other.segments.len() && self.segments.iter().zip(&other.segments).all(same)
    }
}

impl PatternSegment {
    fn parse(segment: &str) -> Result<Self, PathPatternError> {
        if segment.contains(['{', '}']) {
            let name = segment
                .strip_prefix('{')
                .and_then(|rest| rest.strip_suffix('}'))
                .filter(|name| is_capture_name(name))
                .ok_or(PathPatternError::Capture)?;
            return Ok(Self::Capture(name.to_owned()));
        }
        if segment.contains(['?', '#']) {
            return Err(PathPatternError::Query);
        }
        crate::template::check_path_characters(segment).map_err(|_| PathPatternError::Character)?;
        let plain = percent_decode(segment).ok_or(PathPatternError::Character)?;
        if is_dot_segment(&plain) {
            return Err(PathPatternError::Dots);
        }
        if plain.contains(|c: char| c == '/' || c == '\\' || c.is_control()) {
            return Err(PathPatternError::Character);
        }
        Ok(Self::Literal(plain.into_owned()))
    }
}

fn is_capture_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in &self.segments {
            match segment {
                PatternSegment::Capture(name) => write!(f, "/{{{name}}}")?,
                PatternSegment::Literal(plain) => {
                    let mut wire = String::with_capacity(plain.len());
                    crate::template::percent_encode_into(plain, &mut wire);
                    write!(f, "/{wire}")?;
                }
            }
        }
        Ok(())
    }
}

impl TryFrom<String> for PathPattern {
    type Error = PathPatternError;

    fn try_from(text: String) -> Result<Self, PathPatternError> {
        Self::parse(&text)
    }
}

impl From<PathPattern> for String {
    fn from(pattern: PathPattern) -> Self {
        pattern.to_string()
    }
}

#[cfg(test)]
mod tests;

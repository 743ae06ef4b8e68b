//! The path of a call.
//!
//! A template is split at the slashes of its own text, before any value is known, so a value is part of one
//! segment by construction. What is left to refuse are values that another program further on would split
//! again: slashes, backslashes, dot segments, and all of these behind one more level of percent coding.
//!
//! Invariants: the rendered path starts with exactly one `/`, has as many segments as the template, holds no
//! `?` or `#`, and stays so when decoded once more.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::RenderError;
use super::encode::{is_dot_segment, percent_decode, percent_encode_into};
use crate::expression::{Expression, ParseError, Part, Source};
use crate::scope::{Scope, Value};

/// A path with values in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PathTemplate {
    segments: Vec<Segment>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Segment {
    parts: Vec<SegmentPart>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum SegmentPart {
    /// Text of the template: as it goes out, and decoded for the checks.
    Literal {
        wire: String,
        plain: String,
    },
    Value(Source),
}

/// Why a text is not a path template.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PathTemplateError {
    /// The expression cannot be parsed.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// It does not start with one slash.
    #[error("starts with exactly one `/`")]
    Start,
    /// It holds a query or fragment.
    #[error("holds no `?` or `#`; write parameters under query")]
    Query,
    /// Two slashes in a row.
    #[error("has no empty segment")]
    EmptySegment,
    /// `.` or `..`.
    #[error("has no `.` or `..` segment")]
    Dots,
    /// A character that cannot stand in a path.
    #[error("cannot hold `{}` in a path; percent-encode it", .0.escape_default())]
    Character(char),
    /// A percent sign without two hexadecimal digits, or one that hides a separator.
    #[error("has a `%` that is not followed by the two digits of a harmless character")]
    Percent,
}

/// What a value in a path may not be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueRule {
    /// There is none.
    Missing,
    /// It is `null`.
    Null,
    /// It is the empty string.
    Empty,
    /// It is an object or an array.
    Compound,
    /// It holds a slash, a backslash or a control character.
    Separator,
    /// It makes `.` or `..`.
    Dots,
    /// It would be one of the above after being percent-decoded once more.
    Encoded,
}

impl ValueRule {
    /// A fixed name for the rule.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Missing | Self::Null | Self::Empty => "path_value_missing",
            Self::Compound | Self::Separator | Self::Dots | Self::Encoded => "path_value_refused",
        }
    }
}

impl fmt::Display for ValueRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "is missing",
            Self::Null => "is null",
            Self::Empty => "is empty",
            Self::Compound => "is an object or an array",
            Self::Separator => "holds a slash, a backslash or a control character",
            Self::Dots => "is `.` or `..`",
            Self::Encoded => "holds percent-encoded text that would change the path",
        })
    }
}

impl PathTemplate {
    /// Parses the text of a path template.
    pub fn parse(text: &str) -> Result<Self, PathTemplateError> {
        let expression = Expression::parse(text)?;
        let mut segments = Vec::new();
        let mut started = false;
        for part in expression.parts() {
            match part {
                Part::Value(source) => {
                    let segment: &mut Segment = segments.last_mut().ok_or(PathTemplateError::Start)?;
                    segment.parts.push(SegmentPart::Value(source.clone()));
                }
                Part::Literal(literal) => {
                    let literal = if started {
                        literal.as_str()
                    } else {
                        segments.push(Segment::default());
                        literal
                            .strip_prefix('/')
                            .filter(|rest| !rest.starts_with('/'))
                            .ok_or(PathTemplateError::Start)?
                    };
                    add_literal(&mut segments, literal)?;
                }
            }
            started = true;
        }
        if segments.is_empty() {
            return Err(PathTemplateError::Start);
        }
        let last = segments.len() - 1;
        for (number, segment) in segments.iter().enumerate() {
            if segment.parts.is_empty() && number != last {
                return Err(PathTemplateError::EmptySegment);
            }
            segment.check_literal()?;
        }
        Ok(Self { segments })
    }

    /// Every source the path reads.
    pub fn sources(&self) -> impl Iterator<Item = &Source> {
        self.segments.iter().flat_map(|segment| &segment.parts).filter_map(|part| match part {
            SegmentPart::Value(source) => Some(source),
            SegmentPart::Literal { .. } => None,
        })
    }

    pub(crate) fn sources_mut(&mut self) -> impl Iterator<Item = &mut Source> {
        self.segments.iter_mut().flat_map(|segment| &mut segment.parts).filter_map(|part| match part {
            SegmentPart::Value(source) => Some(source),
            SegmentPart::Literal { .. } => None,
        })
    }

    /// The path with its values, or why there is none.
    pub fn render<S: Scope + ?Sized>(&self, scope: &S) -> Result<String, RenderError> {
        let mut path = String::with_capacity(64);
        let mut plain = String::new();
        for (at, segment) in self.segments.iter().enumerate() {
            path.push('/');
            segment.render(at + 1, scope, &mut path, &mut plain)?;
        }
        Ok(path)
    }
}

impl Segment {
    fn render<S: Scope + ?Sized>(
        &self,
        number: usize,
        scope: &S,
        path: &mut String,
        plain: &mut String,
    ) -> Result<(), RenderError> {
        plain.clear();
        let mut has_value = false;
        for part in &self.parts {
            match part {
                SegmentPart::Literal { wire, plain: decoded } => {
                    path.push_str(wire);
                    plain.push_str(decoded);
                }
                SegmentPart::Value(source) => {
                    has_value = true;
                    let value = scope.lookup(source).ok_or_else(|| RenderError::value(source, ValueRule::Missing))?;
                    let text = checked(value).map_err(|rule| RenderError::value(source, rule))?;
                    percent_encode_into(&text, path);
                    plain.push_str(&text);
                }
            }
        }
        // Text of the template and values can also form a bad segment together, as `.` + `.` or `%2` + `f`.
        match if has_value { check(plain) } else { Ok(()) } {
            Ok(()) => Ok(()),
            Err(rule) => Err(RenderError::PathSegment { number, rule }),
        }
    }

    fn check_literal(&self) -> Result<(), PathTemplateError> {
        match self.parts.as_slice() {
            [SegmentPart::Literal { plain, .. }] => match check(plain) {
                Ok(()) => Ok(()),
                Err(ValueRule::Dots) => Err(PathTemplateError::Dots),
                Err(_) => Err(PathTemplateError::Percent),
            },
            _ => Ok(()),
        }
    }
}

fn checked(value: Value<'_>) -> Result<std::borrow::Cow<'_, str>, ValueRule> {
    if value.is_compound() {
        return Err(ValueRule::Compound);
    }
    if value.is_null() {
        return Err(ValueRule::Null);
    }
    let text = value.into_text().ok_or(ValueRule::Missing)?;
    if text.is_empty() {
        return Err(ValueRule::Empty);
    }
    check(&text)?;
    Ok(text)
}

/// Whether a segment of this (decoded) text stays one segment, also after one more decoding.
fn check(plain: &str) -> Result<(), ValueRule> {
    if has_separator(plain) {
        return Err(ValueRule::Separator);
    }
    if is_dot_segment(plain) {
        return Err(ValueRule::Dots);
    }
    // Text that does not decode to UTF-8 is refused too: `%c0%af` is a slash to lenient decoders.
    match percent_decode(plain) {
        Some(decoded) if !has_separator(&decoded) && !is_dot_segment(&decoded) => Ok(()),
        _ => Err(ValueRule::Encoded),
    }
}

fn has_separator(text: &str) -> bool {
    text.contains(|c: char| c == '/' || c == '\\' || c.is_control())
}

fn add_literal(segments: &mut Vec<Segment>, literal: &str) -> Result<(), PathTemplateError> {
    for (at, wire) in literal.split('/').enumerate() {
        if at > 0 {
            segments.push(Segment::default());
        }
        if wire.is_empty() {
            continue;
        }
        check_characters(wire)?;
        let plain = percent_decode(wire).ok_or(PathTemplateError::Percent)?.into_owned();
        if has_separator(&plain) {
            return Err(PathTemplateError::Percent);
        }
        if let Some(segment) = segments.last_mut() {
            segment.parts.push(SegmentPart::Literal { wire: wire.to_owned(), plain });
        }
    }
    Ok(())
}

/// Checks that `text` holds only characters of a path segment (RFC 3986 `pchar`).
pub(crate) fn check_characters(text: &str) -> Result<(), PathTemplateError> {
    let bytes = text.as_bytes();
    for (at, c) in text.char_indices() {
        match c {
            '?' | '#' => return Err(PathTemplateError::Query),
            '%' => {
                let digits = bytes.get(at + 1..at + 3).is_some_and(|pair| pair.iter().all(u8::is_ascii_hexdigit));
                if !digits {
                    return Err(PathTemplateError::Percent);
                }
            }
            _ if c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:@".contains(c) => {}
            _ => return Err(PathTemplateError::Character(c)),
        }
    }
    Ok(())
}

impl fmt::Display for PathTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in &self.segments {
            f.write_str("/")?;
            for part in &segment.parts {
                match part {
                    SegmentPart::Literal { wire, .. } => f.write_str(&wire.replace('$', "\\$"))?,
                    SegmentPart::Value(source) => write!(f, "${{{source}}}")?,
                }
            }
        }
        Ok(())
    }
}

impl TryFrom<String> for PathTemplate {
    type Error = PathTemplateError;

    fn try_from(text: String) -> Result<Self, PathTemplateError> {
        Self::parse(&text)
    }
}

impl From<PathTemplate> for String {
    fn from(path: PathTemplate) -> Self {
        path.to_string()
    }
}

//! A document that is changed in places and printed again, with everything else as its author wrote it.
//!
//! A value of a YAML library forgets how a text was written, and printing it may change what it means: `yes` in quotes
//! comes out without them, which is a string to one library and a truth value to kubectl's. So this tree is made of the
//! parser's events and keeps the order of fields and the quotes of every scalar; what it does not keep is comments and
//! the layout. Rejected: to insert lines into the text, which would have to know every style of it.
//!
//! Invariants: printed and read again, a tree is the same; a scalar that was quoted stays quoted, one that was not stays
//! as it is; size and depth are bounded, whatever aliases do.

mod build;
mod print;

use serde_json::{Map, Value};
use thiserror::Error;

/// A document.
#[derive(Debug, Clone, PartialEq)]
pub struct Tree {
    root: Node,
}

/// Why a text is no document that can be changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct TreeError {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

/// A document of a file, as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part<'a> {
    /// The line of the file it starts on, counted from 1.
    pub line: usize,
    /// Its text, without the marker before it.
    pub text: &'a str,
}

#[derive(Debug, Clone, PartialEq)]
enum Node {
    Scalar(Scalar),
    Sequence(Vec<Node>),
    Mapping(Vec<(Scalar, Node)>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Scalar {
    text: String,
    style: Style,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    /// Means what it looks like: a number, a truth value, nothing, or text.
    Plain,
    /// Text, whatever it looks like.
    Quoted,
    /// Text of several lines.
    Block,
}

/// The documents of a file. A line that starts with `---` is always a marker, in block scalars too (YAML 1.2, 9.1.2).
pub fn parts(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let (mut start, mut line, mut first) = (0, 1, 1);
    let mut offset = 0;
    for row in text.split_inclusive('\n') {
        let rest = row.strip_prefix("---");
        if rest.is_some_and(|rest| rest.trim_end_matches(['\r', '\n']).is_empty() || rest.starts_with([' ', '\t'])) {
            parts.push(Part { line: first, text: &text[start..offset] });
            // What stands behind the marker on its line belongs to the document.
            (start, first) = (offset + 3, line);
        }
        offset += row.len();
        line += 1;
    }
    parts.push(Part { line: first, text: &text[start..] });
    parts
}

impl Tree {
    /// Reads a document; none when there is only white space and comments.
    pub fn parse(text: &str) -> Result<Option<Self>, TreeError> {
        Ok(build::build(text)?.map(|root| Self { root }))
    }

    /// The document as JSON, each plain scalar as kubectl would take it.
    pub fn json(&self) -> Value {
        self.root.json()
    }

    /// Sets what a JSON pointer leads to. With `insert` an element goes into a sequence before that place, or with `-` at
    /// its end. `false` when the pointer leads nowhere.
    pub fn set(&mut self, pointer: &str, value: &Value, insert: bool) -> bool {
        let mut tokens: Vec<String> =
            pointer.split('/').skip(1).map(|token| token.replace("~1", "/").replace("~0", "~")).collect();
        let Some(last) = tokens.pop() else {
            self.root = Node::of(value);
            return true;
        };
        let mut at = &mut self.root;
        for token in &tokens {
            let Some(next) = at.child(token) else { return false };
            at = next;
        }
        at.put(&last, Node::of(value), insert)
    }
}

impl std::fmt::Display for Tree {
    /// Prints it as a document of its own, without a marker.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&print::print(&self.root))
    }
}

impl Node {
    fn of(value: &Value) -> Self {
        let plain = |text: String| Self::Scalar(Scalar { text, style: Style::Plain });
        match value {
            Value::Null => plain("null".to_owned()),
            Value::Bool(value) => plain(value.to_string()),
            Value::Number(number) => plain(number.to_string()),
            Value::String(text) => Self::Scalar(Scalar::of(text)),
            Value::Array(items) => Self::Sequence(items.iter().map(Self::of).collect()),
            Value::Object(fields) => {
                Self::Mapping(fields.iter().map(|(key, value)| (Scalar::of(key), Self::of(value))).collect())
            }
        }
    }

    fn json(&self) -> Value {
        match self {
            Self::Scalar(scalar) => scalar.json(),
            Self::Sequence(items) => items.iter().map(Self::json).collect(),
            Self::Mapping(fields) => {
                Value::Object(fields.iter().map(|(key, value)| (key.text.clone(), value.json())).collect::<Map<_, _>>())
            }
        }
    }

    fn child(&mut self, token: &str) -> Option<&mut Self> {
        match self {
            Self::Scalar(_) => None,
            Self::Sequence(items) => items.get_mut(token.parse::<usize>().ok()?),
            Self::Mapping(fields) => fields.iter_mut().find(|(key, _)| key.text == token).map(|(_, value)| value),
        }
    }

    fn put(&mut self, token: &str, node: Self, insert: bool) -> bool {
        match self {
            Self::Scalar(_) => return false,
            Self::Mapping(fields) => match fields.iter_mut().find(|(key, _)| key.text == token) {
                Some((_, value)) => *value = node,
                None => fields.push((Scalar::of(token), node)),
            },
            Self::Sequence(items) => {
                let at = if token == "-" { Some(items.len()) } else { token.parse().ok() };
                match at {
                    Some(at) if insert && at <= items.len() => items.insert(at, node),
                    Some(at) if at < items.len() => items[at] = node,
                    _ => return false,
                }
            }
        }
        true
    }
}

impl Scalar {
    /// New text, plain where every reader takes it for text.
    fn of(text: &str) -> Self {
        let style = if text.contains('\n') {
            Style::Block
        } else if is_surely_text(text) {
            Style::Plain
        } else {
            Style::Quoted
        };
        Self { text: text.to_owned(), style }
    }

    /// What it means: YAML 1.2's core schema, and the truth values of 1.1, which kubectl still reads.
    fn json(&self) -> Value {
        let text = self.text.as_str();
        if self.style != Style::Plain {
            return text.into();
        }
        match text {
            "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
            "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "y" | "Y" => return true.into(),
            "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "n" | "N" => {
                return false.into();
            }
            _ => {}
        }
        let radix = |prefix: &str, radix| i64::from_str_radix(text.strip_prefix(prefix)?, radix).ok();
        if let Some(number) = text.parse::<i64>().ok().or_else(|| radix("0x", 16)).or_else(|| radix("0o", 8)) {
            return number.into();
        }
        let looks_like_float = text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c));
        match text.parse::<f64>() {
            Ok(number) if looks_like_float && number.is_finite() => number.into(),
            _ => text.into(),
        }
    }
}

fn is_surely_text(text: &str) -> bool {
    const WORDS: [&str; 11] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf"];
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_./-@:".contains(c))
        && !text.ends_with(':')
        && !WORDS.contains(&text.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests;

//! The parser: text to parts.
//!
//! `${...}` is a value anywhere; `$a.b` is a value only when it is the whole string, because text such as
//! `$5` or `a$b` in a header must not become an error or, worse, a silent empty string. `\$` is a dollar.
//! The parser works on a remaining slice by hand: the grammar is ten rules, and a parser library would
//! give poorer messages for them.
//!
//! Invariant: never panics, whatever the text; errors name what was found and what would have been right.

use thiserror::Error;

use super::body_path::is_name_char;
use super::nearest::nearest;
use super::source::{is_header_char, is_parameter_char};
use super::{BodyPath, ContextVar, Part, Source, Step};

/// Why a text is not an expression.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ParseError {
    /// `${` without its `}`.
    #[error("`${{` has no closing `}}`")]
    Close,
    /// `${}`.
    #[error("`${{}}` names no value; write for instance ${{request.body.id}}")]
    Empty,
    /// A source that does not exist.
    #[error("there is no `{found}`{}", did_you_mean(nearest.as_ref()))]
    Source {
        /// What was written.
        found: String,
        /// The source it was probably meant to be.
        nearest: Option<&'static str>,
    },
    /// The whole text starts with a dollar but names no source.
    #[error("there is no `{found}`; for the text itself write `\\${found}`{}", did_you_mean(nearest.as_ref()))]
    Bare {
        /// What was written after the dollar.
        found: String,
        /// The source it was probably meant to be.
        nearest: Option<&'static str>,
    },
    /// A variable that `context` does not have.
    #[error("there is no `context.{found}`{}", did_you_mean(nearest.map(|name| format!("context.{name}")).as_ref()))]
    Context {
        /// What was written after `context.`.
        found: String,
        /// The variable it was probably meant to be.
        nearest: Option<&'static str>,
    },
    /// `context.authorizer.*`, which needs authorisation by the gateway.
    #[error("`context.authorizer` comes with auth, which this version does not have")]
    Authorizer,
    /// A source that needs a name and has none.
    #[error("`{source_name}` needs a name, as {source_name}.NAME")]
    Name {
        /// The source as written.
        source_name: &'static str,
    },
    /// A JSON path that could find more than one value.
    #[error("`{found}` in a JSON path may find many values; only names, [number] and ['name'] are possible")]
    Many {
        /// The wildcard, filter or slice.
        found: &'static str,
    },
    /// A step of a JSON path that cannot be read.
    #[error("`[` in a JSON path is followed by a number or a quoted name and `]`, as [0] or ['first name']")]
    Bracket,
    /// A dot of a JSON path with no name after it.
    #[error("`.` in a JSON path is followed by a name; quote others, as ['first name']")]
    Step,
    /// Something after a complete reference.
    #[error("`{found}` cannot follow `{after}`")]
    Trailing {
        /// The first character that does not belong.
        found: char,
        /// The reference before it.
        after: String,
    },
}

impl ParseError {
    /// A fixed name for the kind of error.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Close => "unclosed",
            Self::Empty => "empty",
            Self::Source { .. } | Self::Bare { .. } => "unknown_source",
            Self::Context { .. } => "unknown_context",
            Self::Authorizer => "no_authorizer",
            Self::Name { .. } => "no_name",
            Self::Many { .. } => "many_values",
            Self::Bracket | Self::Step => "bad_json_path",
            Self::Trailing { .. } => "trailing",
        }
    }
}

fn did_you_mean(nearest: Option<&impl std::fmt::Display>) -> String {
    nearest.map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}

pub(super) fn parse(text: &str) -> Result<Vec<Part>, ParseError> {
    if let Some(reference) = bare_reference(text) {
        let mut cursor = Cursor { rest: reference };
        let source = cursor.source().map_err(|error| match error {
            ParseError::Source { nearest, .. } => ParseError::Bare { found: reference.to_owned(), nearest },
            other => other,
        })?;
        return match cursor.peek() {
            None => Ok(vec![Part::Value(source)]),
            Some(found) => Err(ParseError::Trailing { found, after: source.to_string() }),
        };
    }
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut cursor = Cursor { rest: text };
    while let Some(c) = cursor.peek() {
        if cursor.take("\\$") {
            literal.push('$');
        } else if cursor.take("${") {
            if !literal.is_empty() {
                parts.push(Part::Literal(std::mem::take(&mut literal)));
            }
            parts.push(Part::Value(cursor.braced()?));
        } else {
            literal.push(c);
            cursor.skip(c);
        }
    }
    if !literal.is_empty() {
        parts.push(Part::Literal(literal));
    }
    Ok(parts)
}

/// The text after the dollar, when the whole string has the form `$a.b`.
fn bare_reference(text: &str) -> Option<&str> {
    let reference = text.strip_prefix('$')?;
    if !reference.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        return None;
    }
    let mut quote = None;
    let mut escaped = false;
    let mut bracket = false;
    for c in reference.chars() {
        match (quote, c) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), _) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') if bracket => quote = Some(c),
            (None, '[') => bracket = true,
            (None, ']') => bracket = false,
            (None, _) if bracket || is_name_char(c) || matches!(c, '.' | '*' | '~') => {}
            (None, _) => return None,
        }
    }
    Some(reference)
}

/// What is left to read.
struct Cursor<'a> {
    rest: &'a str,
}

const SOURCES: &[&str] = &[
    "request.body",
    "request.header",
    "request.querystring",
    "request.path",
    "context",
    "response.status",
    "response.header",
    "response.body",
];

impl<'a> Cursor<'a> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn skip(&mut self, c: char) {
        self.rest = self.rest.get(c.len_utf8()..).unwrap_or("");
    }

    fn take(&mut self, prefix: &str) -> bool {
        match self.rest.strip_prefix(prefix) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn take_while(&mut self, accept: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !accept(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    /// The reference after `${`, with its closing brace.
    fn braced(&mut self) -> Result<Source, ParseError> {
        if self.take("}") {
            return Err(ParseError::Empty);
        }
        let source = self.source()?;
        match self.peek() {
            Some('}') => {
                self.skip('}');
                Ok(source)
            }
            Some(found) => Err(ParseError::Trailing { found, after: source.to_string() }),
            None => Err(ParseError::Close),
        }
    }

    fn source(&mut self) -> Result<Source, ParseError> {
        let start = self.rest;
        let root = self.take_while(is_name_char);
        if root == "context" {
            return self.context();
        }
        let kind = if self.take(".") { self.take_while(is_name_char) } else { "" };
        match (root, kind) {
            ("request", "body") => self.body_path().map(Source::Body),
            ("request", "header") => self.header("request.header").map(Source::Header),
            ("request", "querystring") => self.parameter().map(Source::Query),
            ("request", "path") => {
                self.dotted("request.path", |c| c.is_ascii_alphanumeric() || c == '_').map(Source::Path)
            }
            ("response", "status") => Ok(Source::ResponseStatus),
            ("response", "header") => self.header("response.header").map(Source::ResponseHeader),
            ("response", "body") => self.body_path().map(Source::ResponseBody),
            _ => {
                let end = start.len() - self.rest.len();
                let found = start.get(..end).unwrap_or("");
                let found = if found.is_empty() { start.chars().take(1).collect() } else { found.to_owned() };
                let guess = nearest(&found, SOURCES.iter().copied());
                Err(ParseError::Source { found, nearest: guess })
            }
        }
    }

    fn context(&mut self) -> Result<Source, ParseError> {
        if !self.take(".") {
            return Err(ParseError::Name { source_name: "context" });
        }
        let name = self.take_while(|c| is_name_char(c) || c == '.');
        if name == "authorizer" || name.starts_with("authorizer.") {
            return Err(ParseError::Authorizer);
        }
        ContextVar::from_name(name).map(Source::Context).ok_or_else(|| ParseError::Context {
            found: name.to_owned(),
            nearest: nearest(name, ContextVar::ALL.iter().map(|variable| variable.name())),
        })
    }

    fn dotted(&mut self, source_name: &'static str, accept: impl Fn(char) -> bool) -> Result<String, ParseError> {
        let name = if self.take(".") { self.take_while(accept) } else { "" };
        if name.is_empty() { Err(ParseError::Name { source_name }) } else { Ok(name.to_owned()) }
    }

    fn header(&mut self, source_name: &'static str) -> Result<String, ParseError> {
        self.dotted(source_name, is_header_char).map(|name| name.to_ascii_lowercase())
    }

    /// A query parameter: its name may be quoted, since `filter[name]` is a common one.
    fn parameter(&mut self) -> Result<String, ParseError> {
        if self.take("[") {
            return match self.bracket()? {
                Step::Name(name) => Ok(name),
                Step::Index(_) => Err(ParseError::Name { source_name: "request.querystring" }),
            };
        }
        self.dotted("request.querystring", is_parameter_char)
    }

    fn body_path(&mut self) -> Result<BodyPath, ParseError> {
        let mut steps = Vec::new();
        loop {
            if self.take("[") {
                steps.push(self.bracket()?);
            } else if self.take(".") {
                let name = self.take_while(is_name_char);
                if name.is_empty() {
                    return Err(match self.peek() {
                        Some('.') => ParseError::Many { found: ".." },
                        Some('*') => ParseError::Many { found: "*" },
                        _ => ParseError::Step,
                    });
                }
                steps.push(Step::Name(name.to_owned()));
            } else {
                return Ok(BodyPath::new(steps));
            }
        }
    }

    /// A step after its `[`.
    fn bracket(&mut self) -> Result<Step, ParseError> {
        let step = match self.peek() {
            Some('*') => return Err(ParseError::Many { found: "[*]" }),
            Some('?') => return Err(ParseError::Many { found: "[?]" }),
            Some(quote @ ('\'' | '"')) => {
                self.skip(quote);
                Step::Name(self.quoted(quote)?)
            }
            _ => {
                let digits = self.take_while(|c| c.is_ascii_digit());
                match self.peek() {
                    Some(':') => return Err(ParseError::Many { found: "[:]" }),
                    Some(',') => return Err(ParseError::Many { found: "[,]" }),
                    _ => Step::Index(digits.parse().map_err(|_| ParseError::Bracket)?),
                }
            }
        };
        if self.take("]") { Ok(step) } else { Err(ParseError::Bracket) }
    }

    fn quoted(&mut self, quote: char) -> Result<String, ParseError> {
        let mut name = String::new();
        while let Some(c) = self.peek() {
            self.skip(c);
            if c == quote {
                return Ok(name);
            }
            if c == '\\' {
                let Some(escaped) = self.peek() else { break };
                self.skip(escaped);
                name.push(escaped);
            } else {
                name.push(c);
            }
        }
        Err(ParseError::Bracket)
    }
}

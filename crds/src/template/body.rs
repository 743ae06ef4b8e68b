//! The body of a call, a reply or an error frame.
//!
//! A structure keeps JSON well-formed whatever the values hold, which text with values in it cannot; that
//! is why mixed text is refused as JSON and a lone `${...}` stands for the JSON value and not for its text.
//!
//! Invariant: what a [`JsonTemplate`] renders is one JSON value.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value as Json;
use thiserror::Error;

use crate::expression::{Expression, ParseError, Source};
use crate::scope::{Scope, Value};

/// What a call carries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BodyPlan {
    /// The client's message, byte for byte.
    Message,
    /// Nothing.
    None,
    /// Text with values in it, by default as `text/plain; charset=utf-8`.
    Text(Expression),
    /// JSON, by default as `application/json`.
    Json(JsonTemplate),
}

impl BodyPlan {
    /// The content type to send when no header template sets one; `None` when the message decides it or
    /// there is no body.
    pub fn default_content_type(&self) -> Option<&'static str> {
        match self {
            Self::Message | Self::None => None,
            Self::Text(_) => Some("text/plain; charset=utf-8"),
            Self::Json(_) => Some("application/json"),
        }
    }
}

/// The body of a reply or an error frame.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BodyTemplate {
    /// Text with values in it.
    Text(Expression),
    /// JSON.
    Json(JsonTemplate),
}

/// JSON with values in it.
#[derive(Debug, Clone, PartialEq)]
pub enum JsonTemplate {
    /// A value without expressions: a number, `true`, `false` or `null`.
    Literal(Json),
    /// A string: a lone value stands for itself as JSON, anything else is text.
    Text(Expression),
    /// An array; elements whose lone value is missing are left out.
    Array(Vec<JsonTemplate>),
    /// An object, in the order of the names; members whose lone value is missing are left out.
    Object(Vec<(String, JsonTemplate)>),
}

/// Why a structure is not a template.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum JsonTemplateError {
    /// An expression in it cannot be parsed.
    #[error("{text:?}: {error}")]
    Parse {
        /// Where in the structure, as `.items[0]`.
        at: String,
        /// The text of the expression.
        text: String,
        /// What is wrong with it.
        error: ParseError,
    },
    /// A member's name holds a value.
    #[error("{name:?}: the name of a member cannot hold a value")]
    Name {
        /// Where in the structure, as `.items[0]`.
        at: String,
        /// The name.
        name: String,
    },
}

impl JsonTemplateError {
    /// Where in the structure the error is, as `.items[0]`; empty at its top.
    pub fn at(&self) -> &str {
        match self {
            Self::Parse { at, .. } | Self::Name { at, .. } => at,
        }
    }
}

impl JsonTemplate {
    /// Reads a structure, reporting every error in it.
    pub fn parse(structure: &Json) -> Result<Self, Vec<JsonTemplateError>> {
        let mut errors = Vec::new();
        let template = build(structure, &mut String::new(), &mut errors);
        if errors.is_empty() { Ok(template) } else { Err(errors) }
    }

    /// Appends the JSON. `false`, and nothing appended, when the template is a lone value that is missing.
    pub fn render<S: Scope + ?Sized>(&self, scope: &S, out: &mut Vec<u8>) -> bool {
        match self {
            Self::Literal(value) => out.extend_from_slice(value.to_string().as_bytes()),
            Self::Text(expression) => match expression.lone() {
                Some(source) => match scope.lookup(source) {
                    None => return false,
                    Some(Value::Json(raw)) => out.extend_from_slice(raw.get().as_bytes()),
                    Some(Value::Text(text)) => write_string(&text, out),
                },
                None => write_string(&expression.render_lossy(scope), out),
            },
            Self::Array(elements) => {
                write_list(out, b'[', b']', elements, |element, out| element.render(scope, out));
            }
            Self::Object(members) => write_list(out, b'{', b'}', members, |(name, member), out| {
                write_string(name, out);
                out.push(b':');
                member.render(scope, out)
            }),
        }
        true
    }

    /// Shows every string with its place in the structure, as `.items[0]`.
    pub(crate) fn visit<'a>(&'a self, visit: &mut dyn FnMut(&str, &'a Expression), at: &str) {
        match self {
            Self::Literal(_) => {}
            Self::Text(expression) => visit(at, expression),
            Self::Array(elements) => {
                for (index, element) in elements.iter().enumerate() {
                    element.visit(visit, &format!("{at}[{index}]"));
                }
            }
            Self::Object(members) => {
                for (name, member) in members {
                    member.visit(visit, &format!("{at}.{name}"));
                }
            }
        }
    }

    pub(crate) fn visit_mut(&mut self, visit: &mut dyn FnMut(&mut Source)) {
        match self {
            Self::Literal(_) => {}
            Self::Text(expression) => expression.sources_mut().for_each(visit),
            Self::Array(elements) => elements.iter_mut().for_each(|element| element.visit_mut(visit)),
            Self::Object(members) => members.iter_mut().for_each(|(_, member)| member.visit_mut(visit)),
        }
    }

    fn to_json(&self) -> Json {
        match self {
            Self::Literal(value) => value.clone(),
            Self::Text(expression) => Json::String(expression.to_string()),
            Self::Array(elements) => elements.iter().map(Self::to_json).collect(),
            Self::Object(members) => {
                Json::Object(members.iter().map(|(name, member)| (name.clone(), member.to_json())).collect())
            }
        }
    }
}

fn build(structure: &Json, at: &mut String, errors: &mut Vec<JsonTemplateError>) -> JsonTemplate {
    match structure {
        Json::Null | Json::Bool(_) | Json::Number(_) => JsonTemplate::Literal(structure.clone()),
        Json::String(text) => match Expression::parse(text) {
            Ok(expression) => JsonTemplate::Text(expression),
            Err(error) => {
                errors.push(JsonTemplateError::Parse { at: at.clone(), text: text.clone(), error });
                JsonTemplate::Literal(Json::Null)
            }
        },
        Json::Array(elements) => JsonTemplate::Array(
            elements
                .iter()
                .enumerate()
                .map(|(index, element)| below(at, &format!("[{index}]"), |at| build(element, at, errors)))
                .collect(),
        ),
        Json::Object(members) => {
            let mut names: Vec<&String> = members.keys().collect();
            // serde_json keeps insertion order when any crate of the build asks it to; a document must not.
            names.sort();
            let mut built = Vec::with_capacity(names.len());
            for name in names {
                if name.contains("${") {
                    errors.push(JsonTemplateError::Name { at: at.clone(), name: name.clone() });
                }
                let member = members.get(name).unwrap_or(&Json::Null);
                built.push((name.clone(), below(at, &format!(".{name}"), |at| build(member, at, errors))));
            }
            JsonTemplate::Object(built)
        }
    }
}

fn below<T>(at: &mut String, step: &str, build: impl FnOnce(&mut String) -> T) -> T {
    let length = at.len();
    at.push_str(step);
    let built = build(at);
    at.truncate(length);
    built
}

fn write_list<T>(out: &mut Vec<u8>, open: u8, close: u8, items: &[T], mut write: impl FnMut(&T, &mut Vec<u8>) -> bool) {
    out.push(open);
    let mut first = true;
    for item in items {
        let start = out.len();
        if !first {
            out.push(b',');
        }
        if write(item, out) {
            first = false;
        } else {
            out.truncate(start);
        }
    }
    out.push(close);
}

fn write_string(text: &str, out: &mut Vec<u8>) {
    // Quoting a string cannot fail, and a `String` in between would be one allocation per member.
    let _ = serde_json::to_writer(out, text);
}

impl Serialize for JsonTemplate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for JsonTemplate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let structure = Json::deserialize(deserializer)?;
        Self::parse(&structure)
            .map_err(|errors| serde::de::Error::custom(errors.first().map_or_else(String::new, ToString::to_string)))
    }
}

//! Collects the problems of one route, and parses what needs only a text and a place.
//!
//! A collector passed down, rather than `Result`s passed up: checking must go on after the first problem.
//! The parsing helpers return `None` when they reported one.

use std::fmt::Display;
use std::time::Duration;

use super::Problem;
use super::place::Place;
use crate::document::RouteId;
use crate::expression::{Expression, Source};
use crate::template::JsonTemplate;
use crate::v1alpha1::DurationText;

/// The longest name of a group or user, as the data plane holds it.
const NAME_BYTES: usize = 128;

/// The problems of one route.
#[derive(Debug, Default)]
pub(super) struct Report {
    found: Vec<(String, String)>,
    doubtful: Vec<(String, String)>,
}

impl Report {
    pub(super) fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.found.push((field.into(), message.into()));
    }

    /// Reports a field that has no problem yet.
    pub(super) fn add_first(&mut self, field: &str, message: impl Into<String>) {
        if self.found.iter().all(|(other, _)| other != field) {
            self.add(field, message);
        }
    }

    /// Reports the text of a field and the rule it breaks.
    pub(super) fn broken(&mut self, field: &str, text: &str, rule: impl Display) {
        self.add(field, format!("{text:?}: {rule}"));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// The problems and the warnings.
    pub(super) fn into_problems(self, route: &RouteId) -> (Vec<Problem>, Vec<Problem>) {
        let problems = |list: Vec<(String, String)>| {
            list.into_iter().map(|(field, message)| Problem { route: route.clone(), field, message }).collect()
        };
        (problems(self.found), problems(self.doubtful))
    }

    /// Warns of a reference without braces in the middle of text. The grammar says it is text; who wrote it
    /// surely wanted the value, and would otherwise find out from a call to a strange path.
    pub(super) fn doubt(&mut self, field: &str, text: &str) {
        for root in ["$request.", "$context.", "$response."] {
            let unescaped = |(at, _): &(usize, &str)| *at > 0 && !text[..*at].ends_with('\\');
            if text.match_indices(root).any(|found| unescaped(&found)) {
                let rule = format!("`{root}` is plain text here; write `${{{}NAME}}` for a value", &root[1..]);
                self.doubtful.push((field.to_owned(), format!("{text:?}: {rule}")));
            }
        }
    }

    /// An expression all of whose sources exist in `place`.
    pub(super) fn expression(&mut self, field: &str, text: &str, place: Place<'_>) -> Option<Expression> {
        self.doubt(field, text);
        match Expression::parse(text) {
            Ok(expression) => self.sources(field, text, expression.sources(), place).then_some(expression),
            Err(error) => {
                self.broken(field, text, error);
                None
            }
        }
    }

    /// The name of a group or user.
    pub(super) fn name(&mut self, field: &str, text: &str, place: Place<'_>) -> Option<Expression> {
        let name = self.expression(field, text, place)?;
        let rule = match name.literal() {
            Some("") => "is not empty",
            Some(literal) if literal.len() > NAME_BYTES => "is at most 128 bytes long",
            _ if text.contains(char::is_control) => "holds no control characters",
            _ => return Some(name),
        };
        self.broken(field, text, rule);
        None
    }

    /// A structure all of whose sources exist in `place`.
    pub(super) fn structure(
        &mut self,
        field: &str,
        body: &serde_json::Value,
        place: Place<'_>,
    ) -> Option<JsonTemplate> {
        self.doubt_all(field, body);
        let template = match JsonTemplate::parse(body) {
            Ok(template) => template,
            Err(errors) => {
                for error in errors {
                    self.add(format!("{field}{}", error.at()), error.to_string());
                }
                return None;
            }
        };
        let mut good = true;
        template.visit(
            &mut |at, expression| {
                good &= self.sources(&format!("{field}{at}"), &expression.to_string(), expression.sources(), place);
            },
            "",
        );
        good.then_some(template)
    }

    /// [`Self::doubt`] for every text of a structure, as written: a template has lost its escapes.
    fn doubt_all(&mut self, field: &str, body: &serde_json::Value) {
        match body {
            serde_json::Value::String(text) => self.doubt(field, text),
            serde_json::Value::Array(elements) => {
                for (index, element) in elements.iter().enumerate() {
                    self.doubt_all(&format!("{field}[{index}]"), element);
                }
            }
            serde_json::Value::Object(members) => {
                for (name, member) in members {
                    self.doubt_all(&format!("{field}.{name}"), member);
                }
            }
            _ => {}
        }
    }

    /// Whether all sources exist in `place`.
    pub(super) fn sources<'s>(
        &mut self,
        field: &str,
        text: &str,
        sources: impl Iterator<Item = &'s Source>,
        place: Place<'_>,
    ) -> bool {
        let mut good = true;
        for source in sources {
            if let Some(rule) = place.refusal(source) {
                good = false;
                self.broken(field, text, rule);
            }
        }
        good
    }

    /// A duration.
    pub(super) fn duration(&mut self, field: &str, text: &DurationText) -> Option<Duration> {
        match text.parse() {
            Ok(duration) => Some(duration),
            Err(error) => {
                self.broken(field, &text.0, error);
                None
            }
        }
    }

    /// A duration that is not zero.
    pub(super) fn timeout(&mut self, field: &str, text: Option<&DurationText>, default: Duration) -> Duration {
        let Some(text) = text else { return default };
        match self.duration(field, text) {
            Some(Duration::ZERO) => {
                self.broken(field, &text.0, "is more than 0s");
                default
            }
            found => found.unwrap_or(default),
        }
    }
}

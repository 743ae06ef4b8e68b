//! What an expression reads from: a scope that finds values, and the value it hands back.
//!
//! The evaluator asks for one source at a time and borrows the answer, so that a message is never turned
//! into a tree: a body value is the client's own JSON text, and everything else is text already. A map of
//! all variables built ahead of each message would allocate for values no template uses.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::expression::Source;

/// One value found in a scope.
#[derive(Debug, Clone)]
pub enum Value<'a> {
    /// A value of a JSON body, as the client (or the app) wrote it.
    Json(&'a RawValue),
    /// A value that is text by nature: a header, a capture, a context variable.
    Text(Cow<'a, str>),
}

impl<'a> Value<'a> {
    /// The value as text: a JSON string decoded, a number with the client's digits, `true` or `false`, an
    /// object or array as its JSON text. `None` for `null`, which counts as missing wherever text is made.
    pub fn into_text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(text) => Some(text),
            Self::Json(raw) => json_text(raw.get()),
        }
    }

    /// Whether this is the JSON value `null`.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Json(raw) if raw.get() == "null")
    }

    /// Whether this is a JSON object or array.
    pub fn is_compound(&self) -> bool {
        matches!(self, Self::Json(raw) if raw.get().starts_with(['{', '[']))
    }
}

/// Finds the value of a source, or `None` when there is none.
pub trait Scope {
    /// The value of `source`, borrowed from the scope where it can be.
    fn lookup(&self, source: &Source) -> Option<Value<'_>>;
}

fn json_text(json: &str) -> Option<Cow<'_, str>> {
    match json.as_bytes().first()? {
        b'n' => None,
        b'"' => {
            let inner = json.strip_prefix('"')?.strip_suffix('"')?;
            if inner.contains('\\') {
                // A string whose escapes name half a surrogate pair has no text; it counts as missing.
                serde_json::from_str::<String>(json).ok().map(Cow::Owned)
            } else {
                Some(Cow::Borrowed(inner))
            }
        }
        _ => Some(Cow::Borrowed(json)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // tests fail by panicking
mod tests {
    use super::*;

    fn text(json: &str) -> Option<String> {
        let raw: &RawValue = serde_json::from_str(json).unwrap();
        Value::Json(raw).into_text().map(Cow::into_owned)
    }

    #[test]
    fn text_keeps_the_clients_digits_and_decodes_strings() {
        for (json, expected) in [
            ("7", Some("7")),
            ("1.50", Some("1.50")),
            ("12345678901234567890123", Some("12345678901234567890123")),
            ("1e999", Some("1e999")),
            ("true", Some("true")),
            ("null", None),
            (r#""a""#, Some("a")),
            (r#""a\n\u00e9""#, Some("a\né")),
            (r#""\ud800""#, None),
            (r#"{"a": 1}"#, Some(r#"{"a": 1}"#)),
            ("[1, 2]", Some("[1, 2]")),
            (r#""""#, Some("")),
        ] {
            assert_eq!(text(json).as_deref(), expected, "{json}");
        }
    }
}

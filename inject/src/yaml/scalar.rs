//! What a scalar without quotes means, by the rules of YAML 1.1 as `kubectl` has them, and which need quotes.

use serde_json::{Number, Value};

const TRUE: [&str; 11] = ["y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"];
const FALSE: [&str; 11] = ["n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"];
const NULL: [&str; 5] = ["", "~", "null", "Null", "NULL"];

/// The meaning of a scalar without quotes.
pub(super) fn plain(text: &str) -> Value {
    if NULL.contains(&text) {
        return Value::Null;
    }
    if TRUE.contains(&text) || FALSE.contains(&text) {
        return Value::Bool(TRUE.contains(&text));
    }
    if text.starts_with(|c: char| c.is_ascii_digit() || ['+', '-', '.'].contains(&c)) {
        let digits = text.replace('_', "");
        if let Some(number) = integer(&digits).or_else(|| float(&digits)) {
            return Value::Number(number);
        }
    }
    Value::String(text.to_owned())
}

/// A whole number: decimal, or with the prefix of another base. A leading `0` alone means octal.
fn integer(text: &str) -> Option<Number> {
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    // `from_str_radix` takes a sign of its own.
    if !digits.starts_with(|c: char| c.is_ascii_hexdigit()) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    if is_negative {
        i64::try_from(-i128::from(magnitude)).ok().map(Number::from)
    } else {
        Some(Number::from(magnitude))
    }
}

fn float(text: &str) -> Option<Number> {
    let is_float = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    if is_float { Number::from_f64(text.parse().ok()?) } else { None }
}

/// Whether a text can be without quotes and still mean itself to readers of YAML 1.1 and 1.2 alike. Says no when in
/// doubt: a quote too many harms nobody.
pub(super) fn needs_no_quotes(text: &str) -> bool {
    let Some(first) = text.chars().next() else { return false };
    let is_word = |c: char| c.is_ascii_alphanumeric() || "/_.-@+=, :".contains(c);
    let is_separated = text.contains(": ") || text.ends_with([':', ' ']);
    if text.len() > 200 || !text.chars().all(is_word) || is_separated {
        return false;
    }
    if first.is_ascii_digit() { is_measured(text) } else { is_text(first, text) }
}

fn is_text(first: char, text: &str) -> bool {
    (first.is_ascii_alphabetic() || first == '/') && plain(text) == Value::String(text.to_owned())
}

/// Amounts and durations, as `64Mi`, `250m`, `1h30m`, which everybody writes without quotes.
fn is_measured(text: &str) -> bool {
    let units = ["Ki", "Mi", "Gi", "Ti", "ms", "m", "s", "h"];
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let unit = units.iter().find(|unit| rest[digits..].starts_with(**unit));
        match unit {
            Some(unit) if digits > 0 => rest = &rest[digits + unit.len()..],
            _ => return false,
        }
    }
    true
}

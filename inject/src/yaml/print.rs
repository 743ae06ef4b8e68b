//! Prints a document, in the shape `kubectl` gives it.

use std::fmt::Write as _;

use serde_json::Value;

use super::Node;
use super::scalar::needs_no_quotes;

/// Prints a document, without a line `---` before it.
pub(crate) fn print(node: &Node) -> String {
    let mut text = String::new();
    match inline(node, 2) {
        Some(scalar) => {
            text.push_str(&scalar);
            text.push('\n');
        }
        None => block(node, 0, &mut text),
    }
    text
}

/// The lines of a list or map that is not empty, at an indentation.
fn block(node: &Node, indent: usize, text: &mut String) {
    match node {
        Node::Scalar(_) => {}
        Node::List(items) => {
            for item in items {
                let _ = write!(text, "{:indent$}-", "");
                if let Some(value) = inline(item, indent + 2) {
                    let _ = writeln!(text, " {value}");
                } else {
                    // Its first line goes behind the dash.
                    let mut lines = String::new();
                    block(item, indent + 2, &mut lines);
                    text.push(' ');
                    text.push_str(lines.trim_start_matches(' '));
                }
            }
        }
        Node::Map(members) => {
            for (key, value) in members {
                let _ = write!(text, "{:indent$}{}:", "", scalar_text(key));
                if let Some(value) = inline(value, indent + 2) {
                    let _ = writeln!(text, " {value}");
                } else {
                    text.push('\n');
                    let deeper = if matches!(value, Node::List(_)) { indent } else { indent + 2 };
                    block(value, deeper, text);
                }
            }
        }
    }
}

/// What follows a key or a dash on its line; `None` for a list or map with something in it.
fn inline(node: &Node, indent: usize) -> Option<String> {
    match node {
        Node::List(items) => items.is_empty().then(|| "[]".to_owned()),
        Node::Map(members) => members.is_empty().then(|| "{}".to_owned()),
        Node::Scalar(Value::String(text)) if is_literal(text) => Some(literal(text, indent)),
        Node::Scalar(Value::String(text)) => Some(scalar_text(text)),
        Node::Scalar(other) => Some(other.to_string()),
    }
}

fn scalar_text(text: &str) -> String {
    if needs_no_quotes(text) { text.to_owned() } else { quoted(text) }
}

/// Like a text of JSON, but with all that is not printable escaped: some of it ends lines in YAML 1.1.
fn quoted(text: &str) -> String {
    let mut output = String::from('"');
    for c in text.chars() {
        let _ = match c {
            '"' | '\\' => write!(output, "\\{c}"),
            '\n' => write!(output, "\\n"),
            '\t' => write!(output, "\\t"),
            '\r' => write!(output, "\\r"),
            c if is_printable(c) => write!(output, "{c}"),
            c if u32::from(c) <= 0xffff => write!(output, "\\u{:04x}", u32::from(c)),
            c => write!(output, "\\U{:08x}", u32::from(c)),
        };
    }
    output.push('"');
    output
}

/// Whether a text of several lines stays readable, and the same, as lines. Scripts and certificates do.
fn is_literal(text: &str) -> bool {
    let body = text.strip_suffix('\n').unwrap_or(text);
    let is_clean = |line: &str| !line.ends_with([' ', '\t']) && line.chars().all(|c| c == '\t' || is_printable(c));
    body.contains('\n')
        && !body.starts_with([' ', '\t', '\n'])
        && !body.ends_with('\n')
        && body.split('\n').all(is_clean)
}

fn is_printable(c: char) -> bool {
    matches!(c, ' '..='~' | '\u{a0}'..='\u{2027}' | '\u{202a}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}' | '\u{10000}'..='\u{1fffd}')
}

fn literal(text: &str, indent: usize) -> String {
    let (mark, body) = text.strip_suffix('\n').map_or(("|-", text), |body| ("|", body));
    body.split('\n').fold(mark.to_owned(), |mut lines, line| {
        let indent = if line.is_empty() { 0 } else { indent };
        let _ = write!(lines, "\n{:indent$}{line}", "");
        lines
    })
}

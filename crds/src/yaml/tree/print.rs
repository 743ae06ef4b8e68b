//! A tree as text, in the block style of kubectl: two spaces, and the dashes of a sequence under its key.

use std::fmt::Write as _;

use super::{Node, Scalar, Style};

/// The text of a document.
pub(super) fn print(root: &Node) -> String {
    let mut text = String::new();
    match root {
        Node::Scalar(scalar) => {
            scalar.print(&mut text, 0);
            text.push('\n');
        }
        collection => collection.print_block(&mut text, 0),
    }
    text
}

impl Node {
    /// The lines of a collection that is not empty; the first is not indented, for it may stand behind a dash.
    fn print_lines(&self, out: &mut String, indent: usize) {
        let mut first = true;
        let mut start = |out: &mut String| {
            if !std::mem::take(&mut first) {
                out.extend(std::iter::repeat_n(' ', indent));
            }
        };
        match self {
            Self::Scalar(_) => {}
            Self::Mapping(fields) => {
                for (key, value) in fields {
                    start(out);
                    key.print(out, indent);
                    out.push(':');
                    value.print_value(out, indent);
                }
            }
            Self::Sequence(items) => {
                for item in items {
                    start(out);
                    out.push('-');
                    item.print_item(out, indent);
                }
            }
        }
    }

    fn print_block(&self, out: &mut String, indent: usize) {
        if self.is_empty() {
            out.push_str(self.empty());
            out.push('\n');
            return;
        }
        out.extend(std::iter::repeat_n(' ', indent));
        self.print_lines(out, indent);
    }

    /// What follows a key.
    fn print_value(&self, out: &mut String, indent: usize) {
        match self {
            Self::Mapping(_) | Self::Sequence(_) if !self.is_empty() => {
                out.push('\n');
                let deeper = if matches!(self, Self::Mapping(_)) { indent + 2 } else { indent };
                self.print_block(out, deeper);
            }
            other => other.print_inline(out, indent),
        }
    }

    /// What follows a dash.
    fn print_item(&self, out: &mut String, indent: usize) {
        match self {
            Self::Mapping(_) | Self::Sequence(_) if !self.is_empty() => {
                out.push(' ');
                self.print_lines(out, indent + 2);
            }
            other => other.print_inline(out, indent),
        }
    }

    fn print_inline(&self, out: &mut String, indent: usize) {
        match self {
            Self::Scalar(scalar) if scalar.is_nothing() => {}
            Self::Scalar(scalar) => {
                out.push(' ');
                scalar.print(out, indent);
            }
            collection => {
                out.push(' ');
                out.push_str(collection.empty());
            }
        }
        out.push('\n');
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Scalar(_) => false,
            Self::Sequence(items) => items.is_empty(),
            Self::Mapping(fields) => fields.is_empty(),
        }
    }

    fn empty(&self) -> &'static str {
        if matches!(self, Self::Sequence(_)) { "[]" } else { "{}" }
    }
}

impl Scalar {
    fn is_nothing(&self) -> bool {
        self.text.is_empty() && self.style == Style::Plain
    }

    /// Prints it behind something that is indented by `indent`; without the end of its line.
    fn print(&self, out: &mut String, indent: usize) {
        let text = self.text.as_str();
        match self.style {
            Style::Plain if !text.contains('\n') => out.push_str(text),
            Style::Block if is_fit_for_block(text) => print_block_scalar(text, out, indent + 2),
            // The escapes of JSON are those of YAML.
            _ => out.push_str(&serde_json::to_string(text).unwrap_or_default()),
        }
    }
}

/// Lines of a block may begin with a space only if something says how far they are indented, and hold no control
/// characters.
fn is_fit_for_block(text: &str) -> bool {
    !text.trim().is_empty()
        && !text.starts_with([' ', '\n', '\t'])
        && text.chars().all(|c| c == '\n' || c == '\t' || !c.is_control())
}

fn print_block_scalar(text: &str, out: &mut String, indent: usize) {
    let body = text.trim_end_matches('\n');
    out.push_str(match text.len() - body.len() {
        0 => "|-",
        1 => "|",
        _ => "|+",
    });
    for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
        out.push('\n');
        if !line.is_empty() {
            // Writing to a `String` does not fail.
            let _ = write!(out, "{:indent$}{line}", "");
        }
    }
}

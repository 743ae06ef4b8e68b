//! Colour and width of what people read: decided once, then asked everywhere.
//!
//! Colour only on a terminal, and never with `NO_COLOR` (no-color.org), so that what is piped or logged is plain text.
//! Eight basic colours, because those follow the theme of the terminal and stay readable on a light and a dark one.

use std::fmt;
use std::io::IsTerminal as _;

/// Ids are cut to this many characters: enough to tell two of them apart.
pub const ID_CHARS: usize = 6;

/// How to write for the reader at hand.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    colour: bool,
    /// Columns of the terminal; none when there is no terminal, and then nothing is cut.
    width: Option<usize>,
}

/// A way to set text apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the names say it
pub enum Ink {
    Plain,
    Bold,
    Dim,
    Red,
    Green,
    Yellow,
    Blue,
    Magenta,
    Cyan,
}

impl Style {
    /// Plain text of any width.
    pub const PLAIN: Self = Self { colour: false, width: None };

    /// The style for standard output.
    pub fn of_stdout() -> Self {
        if !std::io::stdout().is_terminal() {
            return Self::PLAIN;
        }
        Self { colour: allows_colour(), width: terminal_size::terminal_size().map(|(width, _)| usize::from(width.0)) }
    }

    /// The style for standard error.
    pub fn of_stderr() -> Self {
        Self { colour: std::io::stderr().is_terminal() && allows_colour(), width: None }
    }

    /// Whether colours are used.
    pub fn has_colour(self) -> bool {
        self.colour
    }

    /// The text in an ink.
    pub fn ink<T: fmt::Display>(self, ink: Ink, text: T) -> Inked<T> {
        Inked { ink: if self.colour { ink } else { Ink::Plain }, text }
    }

    /// Breaks `text` into the lines that fit beside `indent` columns.
    pub fn wrap(self, text: &str, indent: usize) -> Vec<String> {
        match self.width {
            None => vec![text.to_owned()],
            // Whoever has a window this narrow prefers lines the terminal wraps to a column of syllables.
            Some(width) => wrap(text, width.saturating_sub(indent).max(24)),
        }
    }
}

/// Breaks text after a comma or a space where there is one in the second half of a line, else anywhere.
fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest: Vec<char> = text.chars().collect();
    while rest.len() > columns {
        let end = (columns / 2..columns).rev().find(|at| matches!(rest[*at], ',' | ' ')).map_or(columns, |at| at + 1);
        let line: String = rest.drain(..end).collect();
        lines.push(line.trim_end().to_owned());
    }
    lines.push(rest.into_iter().collect());
    lines
}

/// Cuts text to a number of characters, the last of which then says so.
pub fn cut(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(columns.saturating_sub(1)).collect();
    short.push('…');
    short
}

fn allows_colour() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Text in an ink. Padding applies to the text alone, so that columns line up with and without colour.
#[derive(Clone, Copy, Debug)]
pub struct Inked<T> {
    ink: Ink,
    text: T,
}

impl<T: fmt::Display> fmt::Display for Inked<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = match self.ink {
            Ink::Plain => return self.text.fmt(f),
            Ink::Bold => 1,
            Ink::Dim => 2,
            Ink::Red => 31,
            Ink::Green => 32,
            Ink::Yellow => 33,
            Ink::Blue => 34,
            Ink::Magenta => 35,
            Ink::Cyan => 36,
        };
        write!(f, "\x1b[{code}m")?;
        self.text.fmt(f)?;
        f.write_str("\x1b[0m")
    }
}

/// Cuts the long ids in frames, headers and paths: 22 characters of base64 hide what is around them.
pub fn short_ids(text: &str) -> String {
    let mut short = String::with_capacity(text.len());
    let mut word = String::new();
    let flush = |word: &mut String, short: &mut String| {
        if is_id(word) {
            short.extend(word.chars().take(ID_CHARS));
            short.push('…');
        } else {
            short.push_str(word);
        }
        word.clear();
    };
    for c in text.chars() {
        if c.is_ascii_alphanumeric() || c == '-' || c == '_' {
            word.push(c);
        } else {
            flush(&mut word, &mut short);
            short.push(c);
        }
    }
    flush(&mut word, &mut short);
    short
}

/// Whether a word is an id as Moorline makes them, rather than a word of somebody's.
fn is_id(word: &str) -> bool {
    word.len() >= 16
        && word.chars().any(|c| c.is_ascii_digit() || c.is_ascii_uppercase())
        && !word.starts_with("Moorline-")
}

/// The ink for an HTTP status.
pub fn status_ink(status: u16) -> Ink {
    match status {
        100..=399 => Ink::Green,
        400..=499 => Ink::Yellow,
        _ => Ink::Red,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_with_and_without_colour() {
        let colour = Style { colour: true, width: None };
        assert_eq!(format!("{:>4}|", Style::PLAIN.ink(Ink::Red, "a")), "   a|");
        assert_eq!(format!("{:>4}|", colour.ink(Ink::Red, "a")), "\x1b[31m   a\x1b[0m|");
    }

    #[test]
    fn text_is_cut_by_characters_and_says_so() {
        assert_eq!(cut("naïve", 5), "naïve");
        assert_eq!(cut("naïveté", 5), "naïv…");
    }

    #[test]
    fn text_is_wrapped_at_commas_and_only_on_a_terminal() {
        let text = format!("{},{}", "x".repeat(20), "y".repeat(40));
        assert_eq!(Style::PLAIN.wrap(&text, 0), [text.as_str()]);
        let terminal = Style { colour: false, width: Some(40) };
        let expected = [format!("{},", "x".repeat(20)), "y".repeat(30), "y".repeat(10)];
        assert_eq!(terminal.wrap(&text, 10), expected);
    }

    #[test]
    fn only_ids_are_cut() {
        let text = "Moorline-Connection-Id: -bcdefghij1mno_1 tenant-of-somebody-quite-long /a/7";
        assert_eq!(short_ids(text), "Moorline-Connection-Id: -bcdef… tenant-of-somebody-quite-long /a/7");
    }
}

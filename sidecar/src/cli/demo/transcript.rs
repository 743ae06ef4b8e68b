//! The transcript of the demo: scenes, and in each what happened in the order it did.
//!
//! Every line has the time since the scene began, so that the reader sees how far apart cause and effect are; the calls
//! on the service stand between the frames that caused them and the frames they caused, indented, because they are what
//! Moorline adds. On a terminal long text is wrapped under itself; elsewhere a line stays a line, for grep.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use crate::style::{Ink, Style, short_ids, status_ink};

/// Columns before a remark.
const REMARK_COLUMN: usize = 5;
/// Columns before the text of a line: the time, the name, the arrow.
const TEXT_COLUMN: usize = 23;
/// Columns of a nested line before its text: its arrow starts under the text of the frame it belongs to.
const NESTED_COLUMN: usize = TEXT_COLUMN + 5;

/// Writes scenes.
pub(super) struct Transcript<W> {
    output: W,
    style: Style,
    scenes: usize,
}

/// One line of a scene.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) at: Instant,
    pub(super) what: What,
}

/// What happened.
#[derive(Debug)]
pub(super) enum What {
    /// Somebody sent something to Moorline.
    Sent { who: &'static str, text: String },
    /// Somebody got something from Moorline; a status when it was an answer over HTTP.
    Got { who: &'static str, status: Option<u16>, text: String },
    /// The service was called.
    Called { text: String },
    /// A header of that call.
    Header { text: String },
    /// The service answered.
    Answered { status: u16, text: String },
}

impl<W: Write> Transcript<W> {
    pub(super) fn new(output: W, style: Style) -> Self {
        Self { output, style, scenes: 0 }
    }

    /// How many scenes there were.
    pub(super) fn scenes(&self) -> usize {
        self.scenes
    }

    /// Text between scenes.
    pub(super) fn say(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.output, "{text}")?;
        self.output.flush()
    }

    /// A scene, its lines in any order.
    pub(super) fn scene(&mut self, title: &str, remark: &str, began: Instant, mut lines: Vec<Line>) -> io::Result<()> {
        let style = self.style;
        self.scenes += 1;
        // Stable: what has the same time stays in the order it was noted.
        lines.sort_by_key(|line| line.at);
        let mut text = String::new();
        let number = format!("{:>2}", self.scenes);
        let _ = writeln!(text, "\n {}  {}", style.ink(Ink::Bold, number), style.ink(Ink::Bold, title));
        for part in style.wrap(remark, REMARK_COLUMN) {
            let _ = writeln!(text, "{:REMARK_COLUMN$}{}", "", style.ink(Ink::Dim, part));
        }
        text.push('\n');
        for line in &lines {
            self.line(&mut text, began, line);
        }
        self.output.write_all(text.as_bytes())?;
        self.output.flush()
    }

    fn line(&self, out: &mut String, began: Instant, line: &Line) {
        let style = self.style;
        let time = style.ink(Ink::Dim, time_text(line.at.saturating_duration_since(began)));
        let nested = |arrow: &str| format!("{time}              {arrow}");
        let (head, text, status, column) = match &line.what {
            What::Sent { who, text } => (format!("{time}  {} ──▶ ", name(style, who)), text, None, TEXT_COLUMN),
            What::Got { who, status, text } => {
                (format!("{time}  {} ◀── ", name(style, who)), text, *status, TEXT_COLUMN)
            }
            What::Called { text } => (nested("└──▶ "), text, None, NESTED_COLUMN),
            What::Header { text } => (" ".repeat(NESTED_COLUMN + 2), text, None, NESTED_COLUMN + 4),
            What::Answered { status, text } => (nested("┌─── "), text, Some(*status), NESTED_COLUMN),
        };
        let ink = if matches!(line.what, What::Header { .. }) { Ink::Dim } else { Ink::Plain };
        let (status, indent) = match status {
            Some(status) => (format!("{} ", style.ink(status_ink(status), status)), column + 4),
            None => (String::new(), column),
        };
        let text = short_ids(text);
        let mut parts = style.wrap(&text, indent).into_iter();
        let first = parts.next().unwrap_or_default();
        if first.is_empty() {
            let _ = writeln!(out, "{head}{}", status.trim_end());
        } else {
            let _ = writeln!(out, "{head}{status}{}", style.ink(ink, first));
        }
        for part in parts {
            let _ = writeln!(out, "{:indent$}{}", "", style.ink(ink, part));
        }
    }
}

fn name(style: Style, who: &str) -> String {
    let ink = match who {
        "alice" => Ink::Cyan,
        "bob" => Ink::Magenta,
        "app" => Ink::Yellow,
        _ => Ink::Red,
    };
    style.ink(ink, format_args!("{who:<7}")).to_string()
}

fn time_text(time: Duration) -> String {
    format!("{:>6.1} ms", time.as_secs_f64() * 1000.0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // tests fail by panicking
mod tests {
    use super::*;

    #[test]
    fn a_scene_shows_what_happened_in_the_order_it_did() {
        let began = Instant::now();
        let at = |micros, what| Line { at: began + Duration::from_micros(micros), what };
        let mut output = Vec::new();
        let mut transcript = Transcript::new(&mut output, Style::PLAIN);
        let frame = r#"{"connectionId":"abcdefghijklmnopqrstu1"}"#.to_owned();
        let lines = vec![
            at(700, What::Got { who: "alice", status: None, text: frame }),
            at(0, What::Sent { who: "alice", text: "{}".to_owned() }),
            at(300, What::Called { text: "GET /orders/1".to_owned() }),
            at(300, What::Header { text: "Moorline-Route-Key: get".to_owned() }),
            at(400, What::Answered { status: 200, text: "[]".to_owned() }),
        ];
        transcript.scene("Title", "Remark.", began, lines).unwrap();
        let expected = r#"
  1  Title
     Remark.

   0.0 ms  alice   ──▶ {}
   0.3 ms              └──▶ GET /orders/1
                              Moorline-Route-Key: get
   0.4 ms              ┌─── 200 []
   0.7 ms  alice   ◀── {"connectionId":"abcdef…"}
"#;
        assert_eq!(String::from_utf8(output).unwrap(), expected);
    }
}

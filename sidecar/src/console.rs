//! The console of `moorline dev`: one readable line per message, call and push.
//!
//! Columns in a fixed order and of a fixed width, so that the eye finds the one that differs. Payloads are not shown,
//! as everywhere; the paths of calls are, which an access log must not do, because here the reader is the developer of
//! both sides.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::lines::Lines;
use crate::observe::{CallSeen, Event, EventKind, Observer, PushSeen};
use crate::style::{ID_CHARS, Ink, Style, cut, short_ids, status_ink};

const KEY_COLUMNS: usize = 11;
const CALL_COLUMNS: usize = 32;

/// Prints events.
#[derive(Debug)]
pub struct Console {
    lines: Lines,
    style: Style,
    zone: TimeZone,
}

impl Console {
    /// A console that prints to a queue of lines.
    pub fn new(lines: Lines, style: Style) -> Self {
        Self { lines, style, zone: TimeZone::system() }
    }

    fn line(&self, event: &Event<'_>) -> String {
        let style = self.style;
        let id = event.connection_id.map_or_else(|| "-".to_owned(), |id| id.to_string());
        let id: String = id.chars().take(ID_CHARS).collect();
        let (key, ink) = match event.kind {
            EventKind::Connect => ("$connect", Ink::Blue),
            EventKind::Disconnect => ("$disconnect", Ink::Blue),
            EventKind::Push => ("push", Ink::Magenta),
            EventKind::Refused => ("refused", Ink::Yellow),
            EventKind::Message if event.route_key.is_empty() => ("(no route)", Ink::Yellow),
            EventKind::Message => (event.route_key, Ink::Cyan),
        };
        let what = match (&event.call, &event.push) {
            (Some(call), _) => call_text(call),
            (None, Some(push)) => push_text(push),
            (None, None) if event.kind == EventKind::Refused => "handshake".to_owned(),
            (None, None) => "no call".to_owned(),
        };
        let latency = event.call.map_or_else(String::new, |call| latency_text(call.latency));
        let mut line = format!(
            "{}  {}  {}  {what:<CALL_COLUMNS$}  {}  {latency:>8}",
            style.ink(Ink::Dim, self.time(event.received_at)),
            style.ink(Ink::Dim, format_args!("{id:<ID_CHARS$}")),
            style.ink(ink, format_args!("{:<KEY_COLUMNS$}", cut(&plain(key), KEY_COLUMNS))),
            style.ink(status_ink(event.status), format_args!("{:>3}", event.status)),
        );
        for note in notes(event) {
            let _ = write!(line, "  {}", style.ink(Ink::Dim, note));
        }
        line.truncate(line.trim_end().len());
        line
    }

    fn time(&self, at: SystemTime) -> String {
        Timestamp::try_from(at)
            .map_or_else(|_| String::new(), |at| at.to_zoned(self.zone.clone()).strftime("%H:%M:%S%.3f").to_string())
    }
}

impl Observer for Console {
    fn observe(&self, event: &Event<'_>) {
        self.lines.push(self.line(event));
    }
}

fn call_text(call: &CallSeen<'_>) -> String {
    let text = format!("{:<6} {}", call.method, short_ids(&plain(&without_query(call.target))));
    match call.status {
        Some(_) => text,
        None => format!("{text} (no answer)"),
    }
}

fn push_text(push: &PushSeen<'_>) -> String {
    if push.target.is_empty() {
        push.operation.to_owned()
    } else {
        format!("{} {}", push.operation, short_ids(&plain(push.target)))
    }
}

/// What is worth a word beyond the columns.
fn notes(event: &Event<'_>) -> Vec<String> {
    let mut notes = Vec::new();
    match event.kind {
        EventKind::Message => notes.push(format!("{} → {} B", event.message_bytes, event.reply_bytes)),
        EventKind::Push => notes.push(format!("{} B", event.message_bytes)),
        EventKind::Connect | EventKind::Disconnect | EventKind::Refused => {}
    }
    if let Some(reached) = event.push.and_then(|push| push.reached) {
        notes.push(format!("reached {reached}"));
    }
    if let Some((code, reason)) = event.close {
        notes.push(format!("closed {code} {}", plain(reason)).trim_end().to_owned());
    }
    // Once per connection is enough: its id is on every line.
    if let (EventKind::Connect, Some(user)) = (event.kind, event.user) {
        notes.push(format!("user {}", plain(user)));
    }
    if let Some(error) = event.error {
        notes.push(error.to_owned());
    }
    if let (EventKind::Connect | EventKind::Refused, Some(ip)) = (event.kind, event.source_ip)
        && !ip.is_loopback()
    {
        notes.push(format!("from {ip}"));
    }
    notes
}

/// Text of a client without what a terminal would obey.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// `0.42 ms`, `12.3 ms`, `1.20 s`.
fn latency_text(latency: Duration) -> String {
    let ms = latency.as_secs_f64() * 1000.0;
    if ms >= 1000.0 {
        format!("{:.2} s", ms / 1000.0)
    } else if ms >= 10.0 {
        format!("{ms:.1} ms")
    } else {
        format!("{ms:.2} ms")
    }
}

/// A query may hold a credential of the client's, which no line shows; that there is one is worth knowing.
fn without_query(target: &str) -> String {
    match target.split_once('?') {
        Some((path, _)) => format!("{path}?..."),
        None => target.to_owned(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // tests fail by panicking
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::connection::ConnectionId;
    use crate::lines::LineWriter;

    fn shown(event: &Event<'_>) -> String {
        let writer = LineWriter::start("test", std::io::sink()).unwrap();
        let console = Console { lines: writer.lines(), style: Style::PLAIN, zone: TimeZone::UTC };
        let line = console.line(event);
        writer.finish();
        line
    }

    fn event(kind: EventKind) -> Event<'static> {
        let id: ConnectionId = "AAAAAAAAAAAAAAAAAAAAAA".parse().unwrap();
        Event {
            connection_id: Some(id),
            received_at: UNIX_EPOCH + Duration::from_millis(3_723_004),
            ..Event::new(kind)
        }
    }

    fn call(status: Option<u16>) -> CallSeen<'static> {
        CallSeen { method: "GET", target: "/orders/1", status, latency: Duration::from_micros(420), failed_over: false }
    }

    #[test]
    fn every_kind_of_event_is_one_line_of_aligned_columns() {
        let push = PushSeen { operation: "publish_group", target: "tenant-acme", reached: Some(2) };
        let sizes = Event { message_bytes: 36, reply_bytes: 98, route_key: "get", ..event(EventKind::Message) };
        for (event, expected) in [
            (
                Event { status: 200, call: Some(call(Some(200))), user: Some("alice"), ..sizes.clone() },
                "get          GET    /orders/1                  200   0.42 ms  36 → 98 B",
            ),
            (
                Event { status: 504, call: Some(call(None)), error: Some("timeout"), ..sizes.clone() },
                "get          GET    /orders/1 (no answer)      504   0.42 ms  36 → 98 B  timeout",
            ),
            (
                Event { status: 404, route_key: "", ..sizes },
                "(no route)   no call                           404            36 → 98 B",
            ),
            (
                Event {
                    status: 101,
                    user: Some("alice"),
                    source_ip: Some([127, 0, 0, 1].into()),
                    ..event(EventKind::Connect)
                },
                "$connect     no call                           101            user alice",
            ),
            (
                Event {
                    status: 403,
                    error: Some("origin_not_same"),
                    source_ip: Some([192, 0, 2, 1].into()),
                    ..event(EventKind::Refused)
                },
                "refused      handshake                         403            origin_not_same  from 192.0.2.1",
            ),
            (
                Event { status: 200, push: Some(push), message_bytes: 9, ..event(EventKind::Push) },
                "push         publish_group tenant-acme         200            9 B  reached 2",
            ),
            (
                Event { status: 204, close: Some((1000, "")), ..event(EventKind::Disconnect) },
                "$disconnect  no call                           204            closed 1000",
            ),
        ] {
            assert_eq!(shown(&event), format!("01:02:03.004  AAAAAA  {expected}"));
        }
    }

    #[test]
    fn a_client_cannot_send_escape_codes_to_the_terminal() {
        let line = shown(&Event { close: Some((4000, "\x1b[2J\r\n")), ..event(EventKind::Disconnect) });
        assert!(!line.chars().any(char::is_control), "{line:?}");
    }

    #[test]
    fn latencies_keep_three_figures() {
        for (micros, expected) in [(1, "0.00 ms"), (420, "0.42 ms"), (12_340, "12.3 ms"), (1_204_000, "1.20 s")] {
            assert_eq!(latency_text(Duration::from_micros(micros)), expected);
        }
    }
}

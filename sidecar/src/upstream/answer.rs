//! The app's answer: what is let in, and how its body is put together.
//!
//! A message becomes one frame, so the answer is needed whole, and only up to a limit. hyper delivers it
//! in pieces; the limit is enforced on each piece, so an app that sends a gigabyte costs the limit plus
//! one read buffer.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, header, response};
use http_body::Body;
use hyper::body::Incoming;

use super::error::{CallError, Result};

/// Up to this size a body is copied out of hyper's read buffer. A piece of it keeps the whole buffer (8
/// to 64 KiB) in memory and makes hyper allocate a new one for the next answer, which costs more than
/// copying this much; above it, copying costs more.
const COPIED_BYTES: usize = 4096;

/// The app's answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status, never 1xx.
    pub status: StatusCode,
    /// Its headers as they came, `Connection` and the like included.
    pub headers: HeaderMap,
    /// Its body; empty for HEAD, 204 and 304.
    pub body: Bytes,
}

/// Puts a body together.
#[derive(Debug)]
pub(super) struct Collector {
    limit_bytes: usize,
    first: Bytes,
    rest: BytesMut,
}

/// Refuses an answer by its head, before anything of its body is kept.
pub(super) fn admit(head: &response::Parts, body: &Incoming, limit_bytes: usize) -> Result<()> {
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(CallError::SwitchedProtocols);
    }
    if body.is_end_stream() {
        // An answer to HEAD may announce any length and type: nothing of it comes.
        return Ok(());
    }
    if is_event_stream(&head.headers) {
        return Err(CallError::StreamedAnswer);
    }
    let announced = body.size_hint().exact();
    if announced.is_some_and(|length| length > limit_bytes as u64) {
        return Err(CallError::AnswerTooLarge { limit_bytes });
    }
    Ok(())
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    const EVENT_STREAM: &[u8] = b"text/event-stream";
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return false;
    };
    let essence = value.as_bytes().split(|byte| *byte == b';').next();
    essence.is_some_and(|name| name.trim_ascii().eq_ignore_ascii_case(EVENT_STREAM))
}

// === impl Collector ===

impl Collector {
    /// For a body of at most `limit_bytes`.
    pub(super) fn new(limit_bytes: usize) -> Self {
        Self { limit_bytes, first: Bytes::new(), rest: BytesMut::new() }
    }

    /// Adds a piece; `to_come` is how much follows, if the app said so.
    pub(super) fn push(&mut self, piece: Bytes, to_come: Option<u64>) -> Result<()> {
        let limit_bytes = self.limit_bytes;
        let collected = self.first.len() + self.rest.len();
        if piece.len() > limit_bytes - collected {
            return Err(CallError::AnswerTooLarge { limit_bytes });
        }
        if collected == 0 {
            self.first = piece;
            return Ok(());
        }
        if self.rest.is_empty() {
            // The announced length was checked against the limit, so it may be reserved at once.
            let to_come = to_come.and_then(|length| usize::try_from(length).ok());
            let most = limit_bytes - collected - piece.len();
            self.rest.reserve(collected + piece.len() + to_come.unwrap_or(0).min(most));
            self.rest.extend_from_slice(&self.first);
            self.first = Bytes::new();
        }
        self.rest.extend_from_slice(&piece);
        Ok(())
    }

    /// The whole body.
    pub(super) fn finish(self) -> Bytes {
        if !self.rest.is_empty() {
            self.rest.freeze()
        } else if self.first.is_empty() {
            Bytes::new()
        } else if self.first.len() <= COPIED_BYTES {
            Bytes::copy_from_slice(&self.first)
        } else {
            self.first
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // tests fail by panicking

    use http::HeaderValue;

    use super::*;

    fn collect(pieces: &[&'static [u8]], limit_bytes: usize) -> Result<Bytes> {
        let mut collector = Collector::new(limit_bytes);
        for piece in pieces {
            collector.push(Bytes::from_static(piece), None)?;
        }
        Ok(collector.finish())
    }

    #[test]
    fn pieces_are_joined_in_order() {
        assert_eq!(collect(&[], 9).unwrap(), "");
        assert_eq!(collect(&[b"one"], 9).unwrap(), "one");
        assert_eq!(collect(&[b"one", b"two", b"", b"three"], 99).unwrap(), "onetwothree");
    }

    #[test]
    fn a_body_may_fill_the_limit_and_not_pass_it() {
        assert_eq!(collect(&[b"1234", b"5678"], 8).unwrap(), "12345678");
        for pieces in [&[&b"123456789"[..]][..], &[b"1234", b"56789"]] {
            assert!(matches!(collect(pieces, 8), Err(CallError::AnswerTooLarge { limit_bytes: 8 })));
        }
    }

    #[test]
    fn an_event_stream_is_known_by_its_type_whatever_its_case_and_parameters() {
        let is_stream = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(value));
            is_event_stream(&headers)
        };
        assert!(is_stream("text/event-stream"));
        assert!(is_stream("Text/Event-Stream ; charset=utf-8"));
        assert!(!is_stream("text/event-stream-like"));
        assert!(!is_stream("text/plain"));
        assert!(!is_event_stream(&HeaderMap::new()));
    }
}

//! Names of one exchange: the request id, the message id and the trace.
//!
//! All random, drawn at once. They only have to be unique, but unpredictable ids cannot be used to forge another
//! exchange's log lines either.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// A 16-character id, as long as AWS's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShortId([u8; 16]);

impl ShortId {
    fn new(bytes: &[u8; 12]) -> Self {
        let mut text = [b'A'; 16];
        // 12 bytes always make 16 characters.
        let _ = URL_SAFE_NO_PAD.encode_slice(bytes, &mut text);
        Self(text)
    }

    /// The id as text.
    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// The ids of one exchange.
#[derive(Clone, Debug)]
pub(crate) struct Ids {
    pub(crate) request: RequestId,
    pub(crate) message: ShortId,
    /// The value of `traceparent`.
    pub(crate) traceparent: String,
}

/// Ours, or the one a trusted proxy gave the handshake.
#[derive(Clone, Debug)]
pub(crate) enum RequestId {
    Ours(ShortId),
    Proxy(Box<str>),
}

impl RequestId {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Ours(id) => id.as_str(),
            Self::Proxy(id) => id,
        }
    }
}

impl Ids {
    /// New ids. A trace that a trusted proxy began is continued, sampled or not as it said.
    pub(crate) fn new(continued: Option<Trace<'_>>) -> Self {
        let (request, message, trace, span): ([u8; 12], [u8; 12], [u8; 16], [u8; 8]) = rand::random();
        let mut traceparent = String::with_capacity(55);
        traceparent.push_str("00-");
        match continued {
            Some(trace) => traceparent.push_str(trace.id),
            None => push_hex(&trace, &mut traceparent),
        }
        traceparent.push('-');
        push_hex(&span, &mut traceparent);
        traceparent.push('-');
        traceparent.push_str(continued.map_or("01", |trace| trace.flags));
        Self { request: RequestId::Ours(ShortId::new(&request)), message: ShortId::new(&message), traceparent }
    }
}

fn push_hex(bytes: &[u8], out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        out.push(DIGITS[usize::from(byte >> 4)] as char);
        out.push(DIGITS[usize::from(byte & 15)] as char);
    }
}

/// What of a `traceparent` is passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trace<'a> {
    pub(crate) id: &'a str,
    pub(crate) flags: &'a str,
}

/// The trace of a `traceparent`, if it is one (W3C Trace Context, version 00 or later).
pub(crate) fn trace_of(traceparent: &str) -> Option<Trace<'_>> {
    let mut parts = traceparent.split('-');
    let (version, id, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hex =
        |text: &str, len| text.len() == len && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let known = hex(version, 2) && version != "ff" && (version != "00" || parts.next().is_none());
    let valid = hex(id, 32) && hex(span, 16) && hex(flags, 2);
    let not_zero = |text: &str| text.bytes().any(|b| b != b'0');
    (known && valid && not_zero(id) && not_zero(span)).then_some(Trace { id, flags })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_continued_with_a_span_of_our_own() {
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
        let trace = trace_of(parent).unwrap();
        let ids = Ids::new(Some(trace));
        assert!(ids.traceparent.starts_with("00-0af7651916cd43dd8448eb211c80319c-"));
        assert_ne!(ids.traceparent, parent);
        assert_eq!(trace_of(&ids.traceparent), Some(trace));
    }

    #[test]
    fn what_is_no_traceparent_starts_a_new_trace() {
        for text in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-extra",
        ] {
            assert_eq!(trace_of(text), None, "{text}");
        }
        assert_eq!(Ids::new(None).traceparent.len(), 55);
    }
}

//! What is kept of a client's handshake, in one compact allocation.
//!
//! Every call of a connection carries some of its handshake's headers, and any expression may name any of them, so
//! all end-to-end headers, the query string and the path captures are kept for as long as the connection lives. A
//! `HeaderMap` would cost over a kilobyte per idle connection; here the same is one block of length-prefixed records
//! whose values become header values without a copy.

use std::borrow::Cow;

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;

use crate::exchange::Trace;

/// What a record is. The discriminant is the byte in the block.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    Header = 1,
    Query = 2,
    Capture = 3,
    ForwardedFor = 4,
    ForwardedProto = 5,
    ForwardedHost = 6,
    Trace = 7,
    TraceState = 8,
    CookieWithheld = 9,
    ProxyHeader = 10,
}

/// The kept parts of one handshake.
#[derive(Clone, Debug)]
pub struct HandshakeRecord {
    block: Bytes,
}

/// Collects a [`HandshakeRecord`].
#[derive(Debug, Default)]
pub struct RecordBuilder {
    block: BytesMut,
}

/// Bytes before a record's name: kind, name length, value length.
const PREFIX: usize = 1 + 2 + 4;

impl RecordBuilder {
    fn put(&mut self, kind: Kind, name: &[u8], value: &[u8]) {
        // Names and values come from a request of at most 16 KiB, so neither length can overflow.
        let (Ok(name_len), Ok(value_len)) = (u16::try_from(name.len()), u32::try_from(value.len())) else { return };
        self.block.reserve(PREFIX + name.len() + value.len());
        self.block.put_u8(kind as u8);
        self.block.put_u16(name_len);
        self.block.put_u32(value_len);
        self.block.put_slice(name);
        self.block.put_slice(value);
    }

    /// Keeps a header.
    pub fn header(&mut self, name: &HeaderName, value: &HeaderValue) {
        self.put(Kind::Header, name.as_str().as_bytes(), value.as_bytes());
    }

    /// Keeps a header a trusted proxy added, which goes with every call.
    pub fn proxy_header(&mut self, name: &HeaderName, value: &HeaderValue) {
        self.put(Kind::ProxyHeader, name.as_str().as_bytes(), value.as_bytes());
    }

    /// Keeps the raw query string.
    pub fn query(&mut self, query: &str) {
        self.put(Kind::Query, b"", query.as_bytes());
    }

    /// Keeps a path capture, already decoded.
    pub fn capture(&mut self, name: &str, value: &str) {
        self.put(Kind::Capture, name.as_bytes(), value.as_bytes());
    }

    /// Keeps what `X-Forwarded-For`, `-Proto` and `-Host` will say on every call.
    pub fn forwarded(&mut self, chain: &str, proto: &str, host: &str) {
        self.put(Kind::ForwardedFor, b"", chain.as_bytes());
        self.put(Kind::ForwardedProto, b"", proto.as_bytes());
        self.put(Kind::ForwardedHost, b"", host.as_bytes());
    }

    /// Keeps the trace a trusted proxy began, and its `tracestate`.
    pub(crate) fn trace(&mut self, trace: Trace<'_>, state: Option<&HeaderValue>) {
        self.put(Kind::Trace, trace.flags.as_bytes(), trace.id.as_bytes());
        if let Some(state) = state {
            self.put(Kind::TraceState, b"", state.as_bytes());
        }
    }

    /// Marks that `Cookie` must reach no call: the origin was allowed by `*` alone.
    pub fn withhold_cookie(&mut self) {
        self.put(Kind::CookieWithheld, b"", b"");
    }

    /// The record, in an allocation of exactly its size.
    pub fn build(self) -> HandshakeRecord {
        HandshakeRecord { block: Bytes::copy_from_slice(&self.block) }
    }
}

impl HandshakeRecord {
    fn records(&self) -> Records<'_> {
        Records { block: &self.block, at: 0 }
    }

    fn first(&self, kind: Kind) -> Option<Bytes> {
        self.records().find(|record| record.kind == kind as u8).map(|record| self.block.slice(record.value))
    }

    fn text(&self, kind: Kind) -> Option<&str> {
        let record = self.records().find(|record| record.kind == kind as u8)?;
        std::str::from_utf8(&self.block[record.value]).ok()
    }

    /// A header's first value as text; none when it is absent or not UTF-8.
    pub fn header(&self, name: &str) -> Option<&str> {
        let record = self
            .records()
            .find(|record| record.kind == Kind::Header as u8 && &self.block[record.name.clone()] == name.as_bytes())?;
        std::str::from_utf8(&self.block[record.value]).ok()
    }

    /// All headers of the client, in the order they came. Values share the block.
    pub fn headers(&self) -> impl Iterator<Item = (&str, HeaderValue)> {
        self.headers_of(Kind::Header)
    }

    /// The headers a trusted proxy added.
    pub fn proxy_headers(&self) -> impl Iterator<Item = (&str, HeaderValue)> {
        self.headers_of(Kind::ProxyHeader)
    }

    fn headers_of(&self, kind: Kind) -> impl Iterator<Item = (&str, HeaderValue)> {
        self.records().filter(move |record| record.kind == kind as u8).filter_map(|record| {
            let name = std::str::from_utf8(&self.block[record.name]).ok()?;
            Some((name, HeaderValue::from_maybe_shared(self.block.slice(record.value)).ok()?))
        })
    }

    /// All values of one header. Values share the block.
    pub fn header_values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = HeaderValue> + 'a {
        self.headers().filter(move |(known, _)| *known == name).map(|(_, value)| value)
    }

    /// A parameter of the query string, decoded as forms are (`+` is a space); the last of several, as on AWS.
    pub fn querystring(&self, name: &str) -> Option<Cow<'_, str>> {
        let query = self.text(Kind::Query)?;
        query.rsplit('&').find_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (form_decode(key)? == name).then(|| form_decode(value)).flatten()
        })
    }

    /// A path capture.
    pub fn capture(&self, name: &str) -> Option<&str> {
        let record = self
            .records()
            .find(|record| record.kind == Kind::Capture as u8 && &self.block[record.name.clone()] == name.as_bytes())?;
        std::str::from_utf8(&self.block[record.value]).ok()
    }

    /// `X-Forwarded-For` for every call.
    pub fn forwarded_for(&self) -> Option<HeaderValue> {
        self.first(Kind::ForwardedFor).and_then(|value| HeaderValue::from_maybe_shared(value).ok())
    }

    /// `X-Forwarded-Proto` for every call.
    pub fn forwarded_proto(&self) -> Option<HeaderValue> {
        self.first(Kind::ForwardedProto).and_then(|value| HeaderValue::from_maybe_shared(value).ok())
    }

    /// `X-Forwarded-Host` for every call.
    pub fn forwarded_host(&self) -> Option<HeaderValue> {
        self.first(Kind::ForwardedHost).and_then(|value| HeaderValue::from_maybe_shared(value).ok())
    }

    /// The host the client named, without its port.
    pub fn domain_name(&self) -> Option<&str> {
        self.text(Kind::ForwardedHost).map(|host| crate::gateway::split_port(host).0)
    }

    /// The trace a trusted proxy began.
    pub(crate) fn trace(&self) -> Option<Trace<'_>> {
        let record = self.records().find(|record| record.kind == Kind::Trace as u8)?;
        let text = |range| std::str::from_utf8(&self.block[range]).ok();
        Some(Trace { id: text(record.value)?, flags: text(record.name)? })
    }

    /// Its `tracestate`.
    pub fn trace_state(&self) -> Option<HeaderValue> {
        self.first(Kind::TraceState).and_then(|value| HeaderValue::from_maybe_shared(value).ok())
    }

    /// Whether `Cookie` must reach no call.
    pub fn is_cookie_withheld(&self) -> bool {
        self.records().any(|record| record.kind == Kind::CookieWithheld as u8)
    }

    /// Bytes of the block.
    pub fn len_bytes(&self) -> usize {
        self.block.len()
    }
}

/// Decodes `application/x-www-form-urlencoded` text; none when the result is not UTF-8.
fn form_decode(text: &str) -> Option<Cow<'_, str>> {
    if text.contains('+') {
        let spaced = text.replace('+', " ");
        return percent_decode_str(&spaced).decode_utf8().ok().map(|text| Cow::Owned(text.into_owned()));
    }
    percent_decode_str(text).decode_utf8().ok()
}

struct Record {
    kind: u8,
    name: std::ops::Range<usize>,
    value: std::ops::Range<usize>,
}

struct Records<'a> {
    block: &'a [u8],
    at: usize,
}

impl Iterator for Records<'_> {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        let prefix = self.block.get(self.at..self.at + PREFIX)?;
        let kind = prefix[0];
        let name_len = usize::from(u16::from_be_bytes([prefix[1], prefix[2]]));
        let value_len = u32::from_be_bytes([prefix[3], prefix[4], prefix[5], prefix[6]]) as usize;
        let name = self.at + PREFIX..self.at + PREFIX + name_len;
        let value = name.end..name.end + value_len;
        self.at = value.end;
        Some(Record { kind, name, value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> HandshakeRecord {
        let mut builder = RecordBuilder::default();
        builder.header(&http::header::COOKIE, &HeaderValue::from_static("a=1"));
        builder.header(&http::header::USER_AGENT, &HeaderValue::from_static("test"));
        builder.header(&http::header::COOKIE, &HeaderValue::from_static("b=2"));
        builder.query("token=first&token=a%20b+c&flag");
        builder.capture("tenant", "acme");
        builder.forwarded("192.0.2.1", "http", "example.test:8800");
        builder.build()
    }

    #[test]
    fn everything_that_was_kept_can_be_read_back() {
        let record = record();
        assert_eq!(record.header("user-agent"), Some("test"));
        assert_eq!(record.header("accept"), None);
        assert_eq!(record.header_values("cookie").collect::<Vec<_>>(), ["a=1", "b=2"]);
        assert_eq!(record.capture("tenant"), Some("acme"));
        assert_eq!(record.domain_name(), Some("example.test"));
        assert_eq!(record.forwarded_for().as_ref().map(HeaderValue::as_bytes), Some(&b"192.0.2.1"[..]));
        assert!(!record.is_cookie_withheld());
    }

    #[test]
    fn the_last_of_several_query_parameters_counts_and_is_form_decoded() {
        let record = record();
        assert_eq!(record.querystring("token").as_deref(), Some("a b c"));
        assert_eq!(record.querystring("flag").as_deref(), Some(""));
        assert_eq!(record.querystring("nope"), None);
    }
}

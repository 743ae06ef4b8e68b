//! Turns an application's answer into what clients receive. Pure.

use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderMap};
use serde_json::value::RawValue;

use super::failure::shown;
use crate::frame::Frame;

/// The frame of an answer: text when its type says text, JSON or XML and it is UTF-8, else binary. An empty answer is
/// silent.
pub(super) fn frame(headers: &HeaderMap, body: Bytes) -> Option<Frame> {
    if body.is_empty() {
        return None;
    }
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !is_text(content_type) {
        return Some(Frame::binary(body));
    }
    Some(Frame::text_from_utf8(body).unwrap_or_else(Frame::binary))
}

/// Whether a media type is sent as text: `text/*`, and JSON and XML with their `+json` and `+xml` families.
pub(crate) fn is_text(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let Some((kind, subtype)) = essence.split_once('/') else { return false };
    kind == "text"
        || matches!((kind, subtype), ("application", "json" | "xml" | "x-ndjson"))
        || subtype.ends_with("+json")
        || subtype.ends_with("+xml")
}

#[derive(serde::Serialize)]
struct Envelope<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a RawValue>,
    status: u16,
    body: Box<RawValue>,
}

/// The enveloped answer: the client's own id, the status and the body (JSON as it is, text as a string, binary as
/// `{"base64": ...}`, an empty one as `null`).
pub(super) fn envelope(id: Option<&RawValue>, status: StatusCode, headers: &HeaderMap, body: &Bytes) -> Frame {
    let envelope = Envelope { id, status: status.as_u16(), body: enveloped_body(headers, body) };
    Frame::text(serde_json::to_string(&envelope).unwrap_or_default())
}

/// An envelope around a rendered body: JSON as it is, other text as a string.
pub(super) fn envelope_text(id: Option<&RawValue>, status: StatusCode, text: Option<String>) -> Frame {
    let body = match text {
        None => RawValue::NULL.to_owned(),
        Some(text) => shown(&Bytes::from(text)),
    };
    Frame::text(serde_json::to_string(&Envelope { id, status: status.as_u16(), body }).unwrap_or_default())
}

fn enveloped_body(headers: &HeaderMap, body: &Bytes) -> Box<RawValue> {
    if body.is_empty() {
        return RawValue::NULL.to_owned();
    }
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let json = content_type.split(';').next().is_some_and(|essence| {
        let essence = essence.trim();
        essence.eq_ignore_ascii_case("application/json") || essence.to_ascii_lowercase().ends_with("+json")
    });
    if json || !is_text(content_type) {
        // Bytes of an unknown type are shown as base64 even if they happen to be JSON: the app said what they are.
        return if json { shown(body) } else { base64(body) };
    }
    match std::str::from_utf8(body) {
        Ok(text) => to_raw(text),
        Err(_) => base64(body),
    }
}

fn to_raw(text: &str) -> Box<RawValue> {
    serde_json::value::to_raw_value(text).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

fn base64(body: &Bytes) -> Box<RawValue> {
    use base64::Engine as _;
    let encoded = base64::engine::general_purpose::STANDARD.encode(body);
    serde_json::value::to_raw_value(&serde_json::json!({ "base64": encoded }))
        .unwrap_or_else(|_| RawValue::NULL.to_owned())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::frame::Opcode;

    fn headers(content_type: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if !content_type.is_empty() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        headers
    }

    #[test]
    fn the_content_type_decides_between_text_and_binary() {
        for (content_type, body, opcode) in [
            ("text/plain", &b"x"[..], Some(Opcode::Text)),
            ("TEXT/HTML; charset=utf-8", b"x", Some(Opcode::Text)),
            ("application/json", b"{}", Some(Opcode::Text)),
            ("application/problem+json; x=y", b"{}", Some(Opcode::Text)),
            ("application/xml", b"<a/>", Some(Opcode::Text)),
            ("image/svg+xml", b"<a/>", Some(Opcode::Text)),
            ("application/octet-stream", b"x", Some(Opcode::Binary)),
            ("", b"x", Some(Opcode::Binary)),
            ("nonsense", b"x", Some(Opcode::Binary)),
            ("text/plain", b"\xff", Some(Opcode::Binary)),
            ("text/plain", b"", None),
        ] {
            let frame = frame(&headers(content_type), Bytes::from_static(body));
            assert_eq!(frame.map(|frame| frame.opcode()), opcode, "{content_type}");
        }
    }

    #[test]
    fn an_envelope_shows_each_kind_of_body_in_its_own_way() {
        let id = RawValue::from_string("\"a\"".to_owned()).unwrap();
        for (content_type, body, expected) in [
            ("application/json", &b"{\"n\":1.0}"[..], r#"{"id":"a","status":200,"body":{"n":1.0}}"#),
            ("application/json", b"oops", r#"{"id":"a","status":200,"body":"oops"}"#),
            ("text/plain", b"1", r#"{"id":"a","status":200,"body":"1"}"#),
            ("image/png", b"\xff", r#"{"id":"a","status":200,"body":{"base64":"/w=="}}"#),
            ("text/plain", b"", r#"{"id":"a","status":200,"body":null}"#),
        ] {
            let frame = envelope(Some(&id), StatusCode::OK, &headers(content_type), &Bytes::from_static(body));
            assert_eq!(frame.payload(), expected.as_bytes());
        }
        let frame = envelope(None, StatusCode::NO_CONTENT, &HeaderMap::new(), &Bytes::new());
        assert_eq!(frame.payload(), &br#"{"status":204,"body":null}"#[..]);
    }
}

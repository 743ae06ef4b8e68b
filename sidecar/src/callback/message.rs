//! From the body of a request to a frame.
//!
//! A content type alone cannot tell text from binary: AWS's SDKs send `application/octet-stream` or nothing even for
//! strings. So types that are certainly text make text, everything else is text when it is valid UTF-8, and
//! `Moorline-Message-Type` is for callers who must be exact, such as those whose binary messages may happen to be UTF-8.

use bytes::Bytes;
use http::{HeaderMap, header};

use crate::frame::Frame;

/// Says which kind of frame the body becomes.
pub(super) const MESSAGE_TYPE: &str = "moorline-message-type";

/// Why a body makes no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum MessageError {
    #[error("Moorline-Message-Type must be text or binary")]
    UnknownType,
    #[error("the body is not valid UTF-8, which its type requires")]
    NotUtf8,
}

impl MessageError {
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::UnknownType => "unknown_message_type",
            Self::NotUtf8 => "not_utf8",
        }
    }
}

/// How a body is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Binary,
    TextIfUtf8,
}

/// The frame a request asks to be sent. The bytes are not copied.
pub(super) fn frame(headers: &HeaderMap, body: Bytes) -> Result<Frame, MessageError> {
    match kind(headers)? {
        Kind::Binary => Ok(Frame::binary(body)),
        Kind::Text => Frame::text_from_utf8(body).map_err(|_| MessageError::NotUtf8),
        Kind::TextIfUtf8 => Ok(Frame::text_from_utf8(body).unwrap_or_else(Frame::binary)),
    }
}

fn kind(headers: &HeaderMap) -> Result<Kind, MessageError> {
    let mut wanted = headers.get_all(MESSAGE_TYPE).iter();
    if let Some(first) = wanted.next() {
        return match (first.as_bytes(), wanted.next()) {
            (b"text", None) => Ok(Kind::Text),
            (b"binary", None) => Ok(Kind::Binary),
            _ => Err(MessageError::UnknownType),
        };
    }
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    Ok(if is_text(media_type) { Kind::Text } else { Kind::TextIfUtf8 })
}

fn is_text(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let Some((top, sub)) = essence.split_once('/') else { return false };
    top == "text" || matches!(sub, "json" | "xml") || sub.ends_with("+json") || sub.ends_with("+xml")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // tests fail by panicking
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;
    use crate::frame::Opcode;

    fn made(media_type: Option<&str>, message_type: Option<&str>, body: &[u8]) -> Result<Opcode, MessageError> {
        let mut headers = HeaderMap::new();
        if let Some(value) = media_type {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_str(value).unwrap());
        }
        if let Some(value) = message_type {
            headers.insert(MESSAGE_TYPE, HeaderValue::from_str(value).unwrap());
        }
        frame(&headers, Bytes::copy_from_slice(body)).map(|frame| {
            assert_eq!(frame.payload(), body);
            frame.opcode()
        })
    }

    #[test]
    fn the_type_of_the_body_decides_the_type_of_the_frame() {
        const NOT_UTF8: &[u8] = b"\xff\x00";
        use MessageError::{NotUtf8, UnknownType};
        use Opcode::{Binary, Text};
        for (media_type, message_type, for_utf8, for_other) in [
            (None, None, Ok(Text), Ok(Binary)),
            (Some("application/octet-stream"), None, Ok(Text), Ok(Binary)),
            (Some("binary/octet-stream"), None, Ok(Text), Ok(Binary)),
            (Some("image/png"), None, Ok(Text), Ok(Binary)),
            (Some("application/x-www-form-urlencoded"), None, Ok(Text), Ok(Binary)),
            (Some("nonsense"), None, Ok(Text), Ok(Binary)),
            (Some("text/plain"), None, Ok(Text), Err(NotUtf8)),
            (Some("Text/HTML; charset=utf-8"), None, Ok(Text), Err(NotUtf8)),
            (Some("application/json"), None, Ok(Text), Err(NotUtf8)),
            (Some("application/json ; charset=utf-8"), None, Ok(Text), Err(NotUtf8)),
            (Some("application/problem+json"), None, Ok(Text), Err(NotUtf8)),
            (Some("application/xml"), None, Ok(Text), Err(NotUtf8)),
            (Some("image/svg+xml"), None, Ok(Text), Err(NotUtf8)),
            (Some("application/json"), Some("binary"), Ok(Binary), Ok(Binary)),
            (Some("application/octet-stream"), Some("text"), Ok(Text), Err(NotUtf8)),
            (None, Some("binary"), Ok(Binary), Ok(Binary)),
            (None, Some("Text"), Err(UnknownType), Err(UnknownType)),
            (None, Some(""), Err(UnknownType), Err(UnknownType)),
            (None, Some("text, binary"), Err(UnknownType), Err(UnknownType)),
        ] {
            let case = format!("{media_type:?} {message_type:?}");
            assert_eq!(made(media_type, message_type, "{\"ä\":1}".as_bytes()), for_utf8, "{case}");
            assert_eq!(made(media_type, message_type, b""), for_utf8, "{case}");
            assert_eq!(made(media_type, message_type, NOT_UTF8), for_other, "{case}");
        }
    }

    #[test]
    fn two_message_types_are_refused_even_if_they_agree() {
        let mut headers = HeaderMap::new();
        headers.append(MESSAGE_TYPE, HeaderValue::from_static("text"));
        headers.append(MESSAGE_TYPE, HeaderValue::from_static("text"));
        assert!(frame(&headers, Bytes::new()).is_err());
    }

    proptest! {
        #[test]
        fn a_text_frame_is_always_utf8(media_type in "[ -~]{0,30}", body: Vec<u8>) {
            if made(Some(&media_type), None, &body) == Ok(Opcode::Text) {
                prop_assert!(std::str::from_utf8(&body).is_ok());
            }
        }
    }
}

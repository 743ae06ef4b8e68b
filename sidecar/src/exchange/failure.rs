//! What can go wrong with a message, and what its sender is told.
//!
//! Each failure has one fixed reason, used by the frame, the metric and the log alike. The words of `message` are
//! AWS's where it has words for the case, so that clients written against it keep working.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::value::RawValue;

use moorline_crds::RenderError;

use crate::upstream::CallError;

/// The most of an application's error body that a client is shown.
const MAX_APP_BODY_BYTES: usize = 16 * 1024;

/// A message that was not answered with success.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The status told to the client.
    pub(crate) status: StatusCode,
    /// The fixed reason.
    pub(crate) reason: &'static str,
    /// The words told to the client.
    pub(crate) message: Cow<'static, str>,
    /// The application's own words for its 4xx.
    pub(crate) body: Option<Bytes>,
    /// The answer itself, when there was one: a handshake passes it on.
    pub(crate) answer: Option<Box<(HeaderMap, Bytes)>>,
    /// Whether the request may have reached the application.
    pub(crate) sent: bool,
}

impl Failure {
    /// No route matches and there is no `$default`.
    pub(crate) fn no_route() -> Self {
        Self::new(StatusCode::NOT_FOUND, "route_not_found", "Forbidden")
    }

    /// A template could not be filled from this message. AWS's words for a message it cannot use; which template it was is
    /// the operator's business, not the client's.
    pub(crate) fn render(error: &RenderError) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error.reason(), "Bad request body")
    }

    /// The reply is for a group or user that this message does not name, so nobody could hear of what the call did.
    pub(crate) fn nobody() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "reply_target_missing", "Bad request body")
    }

    /// The application answered with something other than success.
    pub(crate) fn answered(status: StatusCode, headers: HeaderMap, body: &Bytes) -> Self {
        let message = match status.as_u16() {
            400..=499 => status.canonical_reason().unwrap_or("Bad Request"),
            _ => "Internal server error",
        };
        let shown =
            (status.is_client_error() && !body.is_empty() && body.len() <= MAX_APP_BODY_BYTES).then(|| body.clone());
        Self {
            body: shown,
            answer: Some(Box::new((headers, body.clone()))),
            sent: true,
            ..Self::new(status, Self::reason_of(status), message)
        }
    }

    /// The reason for an answer of this status.
    pub(crate) fn reason_of(status: StatusCode) -> &'static str {
        match status.as_u16() {
            400..=499 => "app_client_error",
            500..=599 => "app_server_error",
            _ => "app_redirect",
        }
    }

    fn new(status: StatusCode, reason: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, reason, message: message.into(), body: None, answer: None, sent: false }
    }

    /// The default error frame: AWS's three keys, and ours.
    pub(crate) fn frame(&self, connection_id: &str, request_id: &str, id: Option<&RawValue>) -> String {
        let frame = ErrorFrame {
            id,
            message: &self.message,
            connection_id,
            request_id,
            status: self.status.as_u16(),
            reason: self.reason,
            body: self.body.as_ref().map(shown),
        };
        serde_json::to_string(&frame).unwrap_or_default()
    }

    /// The outcome of an enveloped message.
    pub(crate) fn envelope(&self, connection_id: &str, request_id: &str, id: Option<&RawValue>) -> String {
        let envelope = ErrorEnvelope {
            id,
            status: self.status.as_u16(),
            error: ErrorDetail {
                message: &self.message,
                connection_id,
                request_id,
                reason: self.reason,
                body: self.body.as_ref().map(shown),
            },
        };
        serde_json::to_string(&envelope).unwrap_or_default()
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        let status = error.status();
        let message = match status {
            StatusCode::GATEWAY_TIMEOUT => "Endpoint request timed out",
            StatusCode::SERVICE_UNAVAILABLE => "Service unavailable",
            _ => "Internal server error",
        };
        Self { sent: !error.retryable(), ..Self::new(status, error.reason(), message) }
    }
}

#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct ErrorFrame<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a RawValue>,
    message: &'a str,
    connection_id: &'a str,
    request_id: &'a str,
    status: u16,
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Box<RawValue>>,
}

#[derive(serde::Serialize)]
struct ErrorEnvelope<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a RawValue>,
    status: u16,
    error: ErrorDetail<'a>,
}

#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct ErrorDetail<'a> {
    message: &'a str,
    connection_id: &'a str,
    request_id: &'a str,
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Box<RawValue>>,
}

/// JSON as it is, text as a string, anything else as base64.
pub(crate) fn shown(body: &Bytes) -> Box<RawValue> {
    use base64::Engine as _;

    let Ok(text) = std::str::from_utf8(body) else {
        let encoded = base64::engine::general_purpose::STANDARD.encode(body);
        return raw(format!("{{\"base64\":\"{encoded}\"}}"));
    };
    if let Ok(json) = serde_json::from_str::<&RawValue>(text) {
        return json.to_owned();
    }
    raw(serde_json::to_string(text).unwrap_or_default())
}

fn raw(json: String) -> Box<RawValue> {
    // What is passed here was made by a serialiser, so it is JSON; `null` is the honest rest.
    RawValue::from_string(json).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_frame_has_the_keys_of_aws_and_the_clients_own_id() {
        let id = RawValue::from_string("7.0".to_owned()).unwrap();
        let frame = Failure::no_route().frame("C", "R", Some(&id));
        assert_eq!(
            frame,
            r#"{"id":7.0,"message":"Forbidden","connectionId":"C","requestId":"R","status":404,"reason":"route_not_found"}"#
        );
    }

    #[test]
    fn a_client_error_shows_the_body_of_the_application_and_a_server_error_does_not() {
        let body = Bytes::from_static(br#"{"field":"id"}"#);
        let frame = Failure::answered(StatusCode::UNPROCESSABLE_ENTITY, HeaderMap::new(), &body).frame("C", "R", None);
        assert!(frame.contains(r#""body":{"field":"id"}"#), "{frame}");
        let frame = Failure::answered(StatusCode::INTERNAL_SERVER_ERROR, HeaderMap::new(), &body).frame("C", "R", None);
        assert!(!frame.contains("field"), "{frame}");
        let large = Bytes::from(vec![b'x'; MAX_APP_BODY_BYTES + 1]);
        assert!(Failure::answered(StatusCode::BAD_REQUEST, HeaderMap::new(), &large).body.is_none());
    }

    #[test]
    fn bodies_are_shown_as_json_text_or_base64() {
        assert_eq!(shown(&Bytes::from_static(b"{\"a\":1.0}")).get(), "{\"a\":1.0}");
        assert_eq!(shown(&Bytes::from_static(b"no \"json\"")).get(), r#""no \"json\"""#);
        assert_eq!(shown(&Bytes::from_static(b"\xff")).get(), r#"{"base64":"/w=="}"#);
    }
}

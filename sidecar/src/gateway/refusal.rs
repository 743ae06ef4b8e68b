//! The answers to handshakes that are refused before the application is asked.

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use http_body_util::Full;

/// A refusal, with a fixed reason for the metric and words for a person.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) reason: &'static str,
    message: &'static str,
    /// A list, not a map: a refusal is an error value and should be small.
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, reason: &'static str, message: &'static str) -> Self {
        Self { status, reason, message, headers: Vec::new() }
    }

    /// Adds a header.
    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Says when to try again; at least a second.
    pub(super) fn retry_after(self, wait: std::time::Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        self.with(RETRY_AFTER, HeaderValue::from(seconds.max(1)))
    }

    pub(super) fn no_route() -> Self {
        Self::new(StatusCode::NOT_FOUND, "no_route", "no WebSocketRoute has this host and path")
    }

    pub(super) fn draining() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "draining", "this process is going away; connect again")
            .retry_after(std::time::Duration::from_secs(1))
    }

    /// The answer: JSON, as every error of ours.
    pub(super) fn into_response(self) -> Response<Full<Bytes>> {
        let body = serde_json::json!({ "message": self.message, "reason": self.reason }).to_string();
        let mut response = Response::new(Full::from(body));
        *response.status_mut() = self.status;
        response.headers_mut().extend(self.headers);
        // A socket that was refused must not keep its place in the process-wide limit.
        response.headers_mut().append(CONNECTION, HeaderValue::from_static("close"));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}

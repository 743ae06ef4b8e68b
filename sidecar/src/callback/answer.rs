//! The shapes of answers.

use http::{HeaderName, HeaderValue, StatusCode, header};
use jiff::Timestamp;
use serde::Serialize;
use warp::Reply as _;
use warp::reply::Response;

use super::error::ApiError;
use crate::connection::unix_ms;
use crate::hub::Listing;
use crate::hub::backplane::Status;

const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

/// A call that was done.
#[derive(Debug)]
pub(super) enum Answer {
    /// A status without a body.
    Empty(StatusCode),
    /// 200 with a body.
    Json(String),
}

impl Answer {
    pub(super) fn json(body: &impl Serialize) -> Self {
        // Only maps with keys that are not strings fail, and no answer has one.
        Self::Json(serde_json::to_string(body).unwrap_or_default())
    }
}

pub(super) fn success(answer: Answer, request_id: &str) -> Response {
    let response = match answer {
        Answer::Empty(status) => status.into_response(),
        Answer::Json(body) => json(body),
    };
    with_id(response, request_id)
}

pub(super) fn failure(error: &ApiError, request_id: &str) -> Response {
    #[derive(Serialize)]
    struct Body<'a> {
        #[serde(rename = "__type")]
        kind: &'a str,
        message: String,
    }
    let body = Body { kind: error.kind(), message: error.to_string() };
    let mut response = json(serde_json::to_string(&body).unwrap_or_default());
    *response.status_mut() = error.status();
    response.headers_mut().insert(ERROR_TYPE, HeaderValue::from_static(error.kind()));
    if let ApiError::Method { allow } = error
        && let Ok(allow) = HeaderValue::from_str(allow)
    {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    with_id(response, request_id)
}

fn json(body: String) -> Response {
    let mut response = body.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn with_id(mut response: Response, request_id: &str) -> Response {
    if let Ok(id) = HeaderValue::from_str(request_id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// A random UUID, the form SDKs show as the id of a request.
pub(super) fn request_id() -> String {
    let random: u128 = rand::random();
    // The version and variant bits of RFC 9562 section 5.4.
    let id = random & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{id:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// AWS's three keys with AWS's spelling, and ours.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StatusBody {
    connected_at: String,
    identity: IdentityBody,
    last_active_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    groups: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct IdentityBody {
    source_ip: String,
    /// Left out when unknown, as AWS does.
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<String>,
}

impl From<Status> for StatusBody {
    fn from(status: Status) -> Self {
        Self {
            connected_at: iso_8601(status.connected_at),
            identity: IdentityBody { source_ip: status.source_ip.to_string(), user_agent: status.user_agent },
            last_active_at: iso_8601(status.last_active_at),
            user: status.user,
            groups: status.groups,
        }
    }
}

/// With milliseconds and `Z`, the one form that the SDKs of all languages parse.
fn iso_8601(time: std::time::SystemTime) -> String {
    let ms = i64::try_from(unix_ms(time)).unwrap_or(i64::MAX);
    format!("{:.3}", Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MAX))
}

#[derive(Serialize)]
pub(super) struct ListBody {
    count: usize,
    connections: Vec<String>,
    next: Option<String>,
}

impl From<Listing> for ListBody {
    fn from(listing: Listing) -> Self {
        Self {
            count: listing.count,
            connections: listing.connections.iter().map(ToString::to_string).collect(),
            next: listing.next.map(|id| id.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn times_have_milliseconds_and_end_in_z() {
        assert_eq!(iso_8601(UNIX_EPOCH), "1970-01-01T00:00:00.000Z");
        assert_eq!(iso_8601(UNIX_EPOCH + Duration::from_millis(1_714_558_830_120)), "2024-05-01T10:20:30.120Z");
    }

    #[test]
    fn a_request_id_is_a_random_uuid() {
        let id = request_id();
        let lengths: Vec<usize> = id.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12], "{id}");
        assert_eq!(&id[14..15], "4", "{id}");
        assert!("89ab".contains(&id[19..20]), "{id}");
        assert_ne!(id, request_id());
    }
}

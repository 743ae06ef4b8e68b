//! Checks an upgrade request against RFC 6455. Pure.
//!
//! Nothing here knows of routes: a request that is no valid handshake is answered the same whatever its path.

use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::{Method, StatusCode, Version};

use super::refusal::Refusal;

/// A valid handshake.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Offer {
    /// `Sec-WebSocket-Key`, as sent.
    pub(super) key: String,
    /// `Host`, as sent.
    pub(super) host: String,
    /// The subprotocols the client offers, in its order.
    pub(super) subprotocols: Vec<String>,
}

/// Checks a request.
pub(super) fn check(parts: &Parts) -> Result<Offer, Refusal> {
    if parts.method != Method::GET {
        let refusal = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "a handshake is a GET");
        return Err(refusal.with(http::header::ALLOW, HeaderValue::from_static("GET")));
    }
    let host = host(parts)?;
    let headers = &parts.headers;
    let wants = has_token(headers, &UPGRADE, "websocket") && has_token(headers, &CONNECTION, "upgrade");
    if !wants || parts.version != Version::HTTP_11 {
        let refusal =
            Refusal::new(StatusCode::UPGRADE_REQUIRED, "upgrade_required", "this is a WebSocket endpoint (RFC 6455)");
        return Err(refusal
            .with(UPGRADE, HeaderValue::from_static("websocket"))
            .with(CONNECTION, HeaderValue::from_static("upgrade")));
    }
    if headers.get(SEC_WEBSOCKET_VERSION).map(HeaderValue::as_bytes) != Some(b"13") {
        let refusal = Refusal::new(
            StatusCode::UPGRADE_REQUIRED,
            "wrong_version",
            "Sec-WebSocket-Version: only version 13 is spoken here",
        );
        return Err(refusal.with(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13")));
    }
    let key = single(headers, &SEC_WEBSOCKET_KEY)
        .filter(|key| valid_key(key))
        .ok_or_else(|| bad("bad_key", "Sec-WebSocket-Key: is 16 bytes in base64, once"))?;
    let has_body = headers.contains_key(TRANSFER_ENCODING)
        || headers.get(CONTENT_LENGTH).is_some_and(|length| length.as_bytes() != b"0");
    if has_body {
        return Err(bad("body", "a handshake has no body"));
    }
    Ok(Offer { key: key.to_owned(), host, subprotocols: subprotocols(headers)? })
}

fn bad(reason: &'static str, message: &'static str) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, reason, message)
}

fn host(parts: &Parts) -> Result<String, Refusal> {
    let text = match parts.uri.authority() {
        // A request in absolute form names its host there (RFC 9112 3.2.2).
        Some(authority) => Some(authority.as_str()),
        None => single(&parts.headers, &HOST),
    };
    text.filter(|host| !host.is_empty() && !host.contains(['@', '/', ' ', ',']))
        .map(str::to_owned)
        .ok_or_else(|| bad("bad_host", "Host: is required, once, as host or host:port"))
}

fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    values.next().is_none().then(|| first.to_str().ok()).flatten()
}

fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|item| item.trim().eq_ignore_ascii_case(token))
}

fn valid_key(key: &str) -> bool {
    use base64::Engine as _;
    let mut bytes = [0_u8; 18];
    matches!(base64::engine::general_purpose::STANDARD.decode_slice(key, &mut bytes), Ok(16))
}

fn subprotocols(headers: &HeaderMap) -> Result<Vec<String>, Refusal> {
    let mut offered = Vec::new();
    for value in headers.get_all(SEC_WEBSOCKET_PROTOCOL) {
        let value = value.to_str().map_err(|_| bad("bad_protocol", "Sec-WebSocket-Protocol: is a list of tokens"))?;
        offered.extend(value.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned));
    }
    Ok(offered)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn request(change: impl FnOnce(&mut HeaderMap)) -> Parts {
        let mut parts = Request::get("/ws").body(()).unwrap().into_parts().0;
        for (name, value) in [
            ("host", "example.test:8800"),
            ("upgrade", "WebSocket"),
            ("connection", "keep-alive, Upgrade"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ] {
            parts.headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        change(&mut parts.headers);
        parts
    }

    fn status(change: impl FnOnce(&mut HeaderMap)) -> u16 {
        check(&request(change)).map_or_else(|refusal| refusal.status.as_u16(), |_| 101)
    }

    #[test]
    fn a_handshake_as_browsers_send_it_is_accepted() {
        let offer = check(&request(|headers| {
            headers.append(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("a, b"));
            headers.append(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("c"));
        }))
        .unwrap();
        assert_eq!(offer.host, "example.test:8800");
        assert_eq!(offer.subprotocols, ["a", "b", "c"]);
    }

    #[test]
    fn each_broken_part_has_its_own_status() {
        let set = |name: &'static str, value: &'static str| {
            move |headers: &mut HeaderMap| {
                headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
        };
        let remove = |name: &'static str| move |headers: &mut HeaderMap| drop(headers.remove(name));
        assert_eq!(status(remove("upgrade")), 426);
        assert_eq!(status(set("upgrade", "h2c")), 426);
        assert_eq!(status(set("connection", "close")), 426);
        assert_eq!(status(set("sec-websocket-version", "8")), 426);
        assert_eq!(status(remove("sec-websocket-key")), 400);
        assert_eq!(status(set("sec-websocket-key", "c2hvcnQ=")), 400);
        assert_eq!(status(set("content-length", "1")), 400);
        assert_eq!(status(set("transfer-encoding", "chunked")), 400);
        assert_eq!(status(set("content-length", "0")), 101);
        assert_eq!(status(remove("host")), 400);
        let twice = |headers: &mut HeaderMap| {
            headers.append(HOST, HeaderValue::from_static("other"));
        };
        assert_eq!(status(twice), 400);
        let mut parts = request(|_| {});
        parts.method = Method::POST;
        assert_eq!(check(&parts).unwrap_err().status, 405);
        let mut parts = request(|_| {});
        parts.version = Version::HTTP_10;
        assert_eq!(check(&parts).unwrap_err().status, 426);
    }
}

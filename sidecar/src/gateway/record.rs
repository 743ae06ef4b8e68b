//! Which of a handshake's headers are kept for the calls of its connection. Pure.

use http::header::{CONNECTION, HeaderMap};

use crate::connection::{HandshakeRecord, RecordBuilder};
use crate::exchange::trace_of;

use super::forwarded::Origin;

/// Headers of one hop, or that only the gateway may set.
const DROPPED: &[&str] = &[
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "expect",
    "host",
    "forwarded",
    "x-real-ip",
    "x-request-id",
    "traceparent",
    "tracestate",
];
const DROPPED_PREFIXES: &[&str] = &["proxy-", "content-", "sec-websocket-", "moorline-", "x-forwarded-"];

/// Whether a header never goes further than the handshake.
fn is_dropped(name: &str) -> bool {
    // Servers that read `_` as `-` would take `moorline_user` for ours.
    name.contains('_') || DROPPED.contains(&name) || DROPPED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Headers by which a trusted proxy tells more than the three that are made anew.
fn is_of_proxy(name: &str) -> bool {
    match name {
        "x-forwarded-for" | "x-forwarded-proto" | "x-forwarded-host" => false,
        "forwarded" | "x-real-ip" => true,
        _ => name.starts_with("x-forwarded-"),
    }
}

/// What is kept of a handshake.
pub(super) fn record(
    headers: &HeaderMap,
    query: Option<&str>,
    captures: &[(Box<str>, Box<str>)],
    origin: &Origin,
    cookie_withheld: bool,
) -> HandshakeRecord {
    // Headers the client declared to be of this hop go first (RFC 9110 7.6.1).
    let hop: Vec<String> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let mut builder = RecordBuilder::default();
    for (name, value) in headers {
        if origin.trusted && is_of_proxy(name.as_str()) {
            builder.proxy_header(name, value);
        }
        if !is_dropped(name.as_str()) && !hop.iter().any(|hop| hop == name.as_str()) {
            builder.header(name, value);
        }
    }
    if let Some(query) = query {
        builder.query(query);
    }
    for (name, value) in captures {
        builder.capture(name, value);
    }
    builder.forwarded(&origin.chain, &origin.proto, &origin.host);
    if origin.trusted
        && let Some(trace) = headers.get("traceparent").and_then(|value| value.to_str().ok()).and_then(trace_of)
    {
        builder.trace(trace, headers.get("tracestate"));
    }
    if cookie_withheld {
        builder.withhold_cookie();
    }
    builder.build()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn nothing_a_client_could_forge_is_kept() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("moorline-user", "root"),
            ("x-forwarded-for", "1.2.3.4"),
            ("x_forwarded_for", "1.2.3.4"),
            ("sec-websocket-key", "k"),
            ("content-type", "text/plain"),
            ("connection", "upgrade, x-hop"),
            ("x-hop", "1"),
            ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            ("cookie", "a=1"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        let origin = super::super::forwarded::origin("192.0.2.1".parse().unwrap(), "h", &headers, &[]);
        let record = record(&headers, None, &[], &origin, false);
        assert_eq!(record.headers().map(|(name, _)| name).collect::<Vec<_>>(), ["cookie"]);
        assert_eq!(record.trace(), None);
    }

    #[test]
    fn what_else_a_trusted_proxy_says_is_kept_apart_from_what_the_client_says() {
        let mut headers = HeaderMap::new();
        for (name, value) in
            [("x-forwarded-port", "443"), ("x-real-ip", "203.0.113.7"), ("x-forwarded-for", "203.0.113.7")]
        {
            headers.append(name, HeaderValue::from_static(value));
        }
        let trusted = ["192.0.2.0/24".parse().unwrap()];
        let origin = super::super::forwarded::origin("192.0.2.1".parse().unwrap(), "h", &headers, &trusted);
        let record = record(&headers, None, &[], &origin, false);
        assert_eq!(record.proxy_headers().map(|(name, _)| name).collect::<Vec<_>>(), ["x-forwarded-port", "x-real-ip"]);
        assert_eq!(record.headers().count(), 0);
    }
}

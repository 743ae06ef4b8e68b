//! Builds the HTTP call of a message.
//!
//! Headers go in from the least to the most trusted, each replacing what was there: what the client sent with its
//! handshake, then the route's templates, then ours. So neither a client nor a template can forge what the
//! application is told about the connection.

use std::fmt::Write as _;

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, COOKIE, HeaderMap, HeaderName, HeaderValue, IntoHeaderName,
};
use http::{Method, Request, Uri};
use moorline_crds::document::{Action, Route};
use moorline_crds::template::{BodyPlan, RenderError, RequestPlan};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::scope::ExchangeScope;
use super::{Event, MessageBody};
use crate::gateway::RouteRuntime;

/// What cannot stand in a header value as it is: controls, non-ASCII (always encoded) and `%` itself, so that decoding
/// is unambiguous.
const HEADER_TEXT: &AsciiSet = &CONTROLS.add(b'%');

const CONNECTION_ID: HeaderName = HeaderName::from_static("moorline-connection-id");
const ROUTE_KEY: HeaderName = HeaderName::from_static("moorline-route-key");
const EVENT: HeaderName = HeaderName::from_static("moorline-event");
const MESSAGE_ID: HeaderName = HeaderName::from_static("moorline-message-id");
const CALLBACK_URL: HeaderName = HeaderName::from_static("moorline-callback-url");
const SUBPROTOCOLS: HeaderName = HeaderName::from_static("moorline-subprotocols");
const USER: HeaderName = HeaderName::from_static("moorline-user");
const DISCONNECT_CODE: HeaderName = HeaderName::from_static("moorline-disconnect-code");
const DISCONNECT_REASON: HeaderName = HeaderName::from_static("moorline-disconnect-reason");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The call a plan makes of this exchange.
pub(super) fn build(
    runtime: &RouteRuntime,
    action: &Action,
    plan: &RequestPlan,
    scope: &ExchangeScope<'_>,
    message: &MessageBody,
) -> Result<Request<Bytes>, RenderError> {
    let target = plan.target(scope)?;
    let (body, content_type) = body(plan, scope, message);
    // Room for the default headers of a browser's connection without growing.
    let mut headers = HeaderMap::with_capacity(24);
    forward(&runtime.route, scope, &mut headers);
    for template in runtime.route.headers.iter().chain(&plan.headers) {
        if let Some(value) = template.render(scope)? {
            insert_text(&mut headers, HeaderName::try_from(template.name.as_str()), &value);
        }
    }
    if let Some(content_type) = content_type
        && !headers.contains_key(CONTENT_TYPE)
    {
        headers.insert(CONTENT_TYPE, content_type);
    }
    add_ours(runtime, action, scope, &mut headers);

    let mut request = Request::new(body);
    *request.method_mut() = method(plan);
    // The template allows only characters of a path and query, so only the length could fail. Never a default: that
    // would be a call on `/`.
    *request.uri_mut() = Uri::try_from(target).map_err(|_| RenderError::TargetTooLong)?;
    *request.headers_mut() = headers;
    Ok(request)
}

fn method(plan: &RequestPlan) -> Method {
    use moorline_crds::template::Method as Planned;
    match plan.method {
        Planned::Get => Method::GET,
        Planned::Head => Method::HEAD,
        Planned::Post => Method::POST,
        Planned::Put => Method::PUT,
        Planned::Patch => Method::PATCH,
        Planned::Delete => Method::DELETE,
        Planned::Options => Method::OPTIONS,
    }
}

/// Headers of the handshake: all of them for `$connect`, the route's list for every other call.
fn forward(route: &Route, scope: &ExchangeScope<'_>, headers: &mut HeaderMap) {
    let record = &scope.connection.handshake;
    for (name, value) in record.headers() {
        let wanted = scope.event == Event::Connect || route.forward_headers.iter().any(|listed| listed == name);
        if !wanted
            || (name == "cookie" && scope.cookie_withheld)
            || (scope.event == Event::Connect && is_conditional(name))
        {
            continue;
        }
        if let Ok(name) = HeaderName::try_from(name) {
            let mut value = value;
            value.set_sensitive(name == AUTHORIZATION || name == COOKIE);
            headers.append(name, value);
        }
    }
}

/// Headers that ask for a part or a change of something: `$connect` creates, and a 206 or 304 would mean nothing there.
fn is_conditional(name: &str) -> bool {
    name == "range" || name.starts_with("if-")
}

fn add_ours(runtime: &RouteRuntime, action: &Action, scope: &ExchangeScope<'_>, headers: &mut HeaderMap) {
    let connection = scope.connection;
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    let record = &connection.handshake;
    for (name, value) in [
        (FORWARDED_FOR, record.forwarded_for()),
        (FORWARDED_PROTO, record.forwarded_proto()),
        (FORWARDED_HOST, record.forwarded_host()),
        (TRACESTATE, record.trace_state()),
    ] {
        if let Some(value) = value {
            headers.insert(name, value);
        }
    }
    for (name, value) in record.proxy_headers() {
        if let Ok(name) = HeaderName::try_from(name) {
            headers.insert(name, value);
        }
    }
    insert_text(headers, Ok::<_, http::Error>(REQUEST_ID), scope.ids.request.as_str());
    insert_text(headers, Ok::<_, http::Error>(TRACEPARENT), &scope.ids.traceparent);
    if let Ok(id) = HeaderValue::from_bytes(&connection.id.encode()) {
        headers.insert(CONNECTION_ID, id);
    }
    headers.insert(ROUTE_KEY, runtime.route_key_header(&action.key));
    headers.insert(EVENT, HeaderValue::from_static(scope.event.name()));
    headers.insert(CALLBACK_URL, runtime.callback_url.clone());
    if scope.event == Event::Message {
        insert_text(headers, Ok::<_, http::Error>(MESSAGE_ID), scope.ids.message.as_str());
    }
    if !scope.offered.is_empty()
        && let Ok(offered) = HeaderValue::try_from(scope.offered.join(", "))
    {
        headers.insert(SUBPROTOCOLS, offered);
    }
    if let Some(user) = &scope.user {
        headers.insert(USER, encoded(user));
    }
    if let Some(ended) = scope.ended {
        headers.insert(DISCONNECT_CODE, HeaderValue::from(ended.code));
        headers.insert(DISCONNECT_REASON, encoded(&ended.reason));
    }
    let mut name = String::new();
    for (key, value) in connection.identity.lock().state() {
        name.clear();
        let _ = write!(name, "moorline-state-{key}");
        insert_text(headers, HeaderName::try_from(name.as_str()), value);
    }
}

/// Text as a header value, percent-encoded where it could not stand as it is.
pub(crate) fn encoded(text: &str) -> HeaderValue {
    let encoded = utf8_percent_encode(text, HEADER_TEXT).to_string();
    // Only visible ASCII and spaces are left.
    HeaderValue::try_from(encoded).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// Inserts a value that was checked before; one that still cannot be a header is left out.
fn insert_text<N: IntoHeaderName, E>(headers: &mut HeaderMap, name: Result<N, E>, value: &str) {
    if let (Ok(name), Ok(value)) =
        (name, HeaderValue::from_str(value).or_else(|_| HeaderValue::from_bytes(value.as_bytes())))
    {
        headers.insert(name, value);
    }
}

/// The body and what it is. A structured body is rendered, a raw one shares the message's bytes.
fn body(plan: &RequestPlan, scope: &ExchangeScope<'_>, message: &MessageBody) -> (Bytes, Option<HeaderValue>) {
    let default = plan.body.default_content_type().map(HeaderValue::from_static);
    match &plan.body {
        BodyPlan::None => (Bytes::new(), None),
        BodyPlan::Message => match message {
            MessageBody::None => (Bytes::new(), None),
            MessageBody::Json(bytes) => (bytes.clone(), Some(HeaderValue::from_static("application/json"))),
            MessageBody::Text(bytes) => (bytes.clone(), Some(HeaderValue::from_static("text/plain; charset=utf-8"))),
            MessageBody::Binary(bytes) => (bytes.clone(), Some(HeaderValue::from_static("application/octet-stream"))),
        },
        BodyPlan::Text(text) => (Bytes::from(text.render_lossy(scope).into_owned()), default),
        BodyPlan::Json(template) => {
            let mut out = Vec::with_capacity(128);
            // A lone expression without a value makes an empty body.
            if template.render(scope, &mut out) { (Bytes::from(out), default) } else { (Bytes::new(), None) }
        }
    }
}

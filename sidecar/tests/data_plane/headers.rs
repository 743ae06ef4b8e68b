//! Which headers reach the app, and that none of Moorline's can come from a client.

use crate::support::app::{Answer, App};
use crate::support::http::Request;
use crate::support::moorline::Moorline;
use crate::support::received::Received;

const ROUTES: &str = "
path: /ws
routes:
- {key: $connect, request: {method: POST, path: /connect}}
- {key: $default, request: {method: POST, path: /messages}}
";

/// The `$connect` call and the call of one message of this handshake.
async fn calls(spec: &str, handshake: &Request) -> (Received, Received) {
    let mut app = App::start(|_| Answer::status(204)).await;
    let moorline = Moorline::start(&app, spec).await;
    let mut client = moorline.handshake(handshake).await;
    client.text("{}").await;
    (app.next_request().await, app.next_request().await)
}

#[tokio::test]
async fn every_call_says_what_it_is_for() {
    let (connect, message) = calls(ROUTES, &Request::upgrade("/ws").header("Host", "shop.example:8800")).await;
    for call in [&connect, &message] {
        assert_eq!(call.header("x-forwarded-for"), Some("127.0.0.1"));
        assert_eq!(call.header("x-forwarded-proto"), Some("http"));
        assert_eq!(call.header("x-forwarded-host"), Some("shop.example:8800"));
        assert_eq!(call.header("accept-encoding"), Some("identity"));
        assert!(call.header("moorline-callback-url").unwrap().starts_with("http://127.0.0.1:"));
        assert!(call.header("x-request-id").is_some_and(|id| !id.is_empty()));
        let trace = call.header("traceparent").unwrap();
        assert_eq!((trace.len(), trace.matches('-').count()), (55, 3), "{trace}");
        assert!(call.header("host").unwrap().starts_with("127.0.0.1:"), "the upstream's own host");
    }
    let id = connect.header("moorline-connection-id").unwrap();
    assert_eq!(id.len(), 22);
    assert_eq!(message.header("moorline-connection-id"), Some(id));
    assert_eq!(
        (connect.header("moorline-event"), message.header("moorline-event")),
        (Some("CONNECT"), Some("MESSAGE"))
    );
    assert_eq!((connect.header("moorline-message-id"), message.header("moorline-message-id").is_some()), (None, true));
    assert_eq!(message.header("moorline-route-key"), Some("$default"));
    assert_ne!(connect.header("x-request-id"), message.header("x-request-id"));
}

#[tokio::test]
async fn nothing_that_moorline_says_can_come_from_a_client() {
    let names = [
        "Moorline-User",
        "Moorline-Connection-Id",
        "Moorline-Event",
        "Moorline-Route-Key",
        "Moorline-Callback-Url",
        "Moorline-State-Role",
        "Moorline-Message-Id",
        "Moorline-Anything",
        "moorline-disconnect-code",
        "X-Forwarded-For",
        "X-Forwarded-Proto",
        "X-Forwarded-Host",
        "X-Forwarded-Port",
        "X-Forwarded-Client-Cert",
        "Forwarded",
        "X-Real-IP",
        "X-Request-Id",
        "traceparent",
        "tracestate",
        "Moorline_User",
        "X_Forwarded_For",
        "X_Real_Ip",
        "x_request_id",
        "Any_Name",
    ];
    let forged = names.iter().fold(Request::upgrade("/ws"), |request, name| request.header(name, "forged"));
    let (connect, message) = calls(ROUTES, &forged).await;
    for call in [&connect, &message] {
        for (name, value) in &call.headers {
            assert!(!value.contains("forged"), "{name} came through to {}", call.target);
        }
        assert_eq!(call.header("moorline-user"), None);
    }
}

#[tokio::test]
async fn a_forward_list_cannot_name_what_moorline_says() {
    let spec = format!("{ROUTES}forwardHeaders: [X-Tenant, X-Tenant_2]");
    let app = App::echo().await;
    let problems = moorline_crds::compile(
        &moorline_crds::ServiceId { namespace: "default".into(), name: "app".into() },
        &[crate::support::moorline::route("test", &spec.replace("X-Tenant_2", "Moorline-User"))],
        &|_| Ok(moorline_crds::Backend::at(app.address.to_string())),
    )
    .problems;
    assert!(problems.iter().any(|problem| problem.field.starts_with("spec.forwardHeaders")), "{problems:?}");
}

#[tokio::test]
async fn the_identity_of_the_handshake_goes_with_every_call_and_the_rest_only_with_connect() {
    let handshake = Request::upgrade("/ws")
        .header("Authorization", "Bearer t")
        .header("Cookie", "a=1")
        .header("Cookie", "b=2")
        .header("User-Agent", "test/1")
        .header("Accept-Language", "de")
        .header("X-Tenant", "acme")
        .header("X-Twice", "1")
        .header("X-Twice", "2");
    let (connect, message) = calls(ROUTES, &handshake).await;
    for call in [&connect, &message] {
        assert_eq!(call.header("authorization"), Some("Bearer t"));
        assert_eq!(call.all("cookie").join("; "), "a=1; b=2");
        assert_eq!(call.header("user-agent"), Some("test/1"));
        assert_eq!(call.header("accept-language"), Some("de"));
    }
    assert_eq!((connect.header("x-tenant"), message.header("x-tenant")), (Some("acme"), None));
    assert_eq!(connect.all("x-twice"), ["1", "2"]);
}

#[tokio::test]
async fn a_list_replaces_what_is_forwarded() {
    let handshake = Request::upgrade("/ws").header("Authorization", "x").header("X-Tenant", "acme");
    let (_, message) = calls(&format!("{ROUTES}forwardHeaders: [x-tenant]"), &handshake).await;
    assert_eq!((message.header("authorization"), message.header("x-tenant")), (None, Some("acme")));
    let (_, message) = calls(&format!("{ROUTES}forwardHeaders: []"), &handshake).await;
    assert_eq!((message.header("authorization"), message.header("x-tenant")), (None, None));
}

#[tokio::test]
async fn headers_of_the_connection_itself_never_go_on() {
    let handshake = Request::upgrade("/ws")
        .without("connection")
        .header("Connection", "Upgrade, X-Hop, Authorization")
        .header("X-Hop", "1")
        .header("Authorization", "Bearer t")
        .header("Keep-Alive", "timeout=5")
        .header("TE", "trailers")
        .header("Trailer", "X-T")
        .header("Proxy-Authorization", "secret")
        .header("Content-Language", "de")
        .header("Content-Type", "text/evil")
        .header("Sec-WebSocket-Protocol", "p")
        .header("Sec-WebSocket-Extensions", "permessage-deflate")
        .header("Accept-Encoding", "gzip")
        .header("Range", "bytes=0-1")
        .header("If-None-Match", "x")
        .header("Referer", "http://a/")
        .header("Expect", "x");
    let (connect, message) = calls(ROUTES, &handshake).await;
    for call in [&connect, &message] {
        for name in [
            "upgrade",
            "x-hop",
            "authorization",
            "keep-alive",
            "te",
            "trailer",
            "proxy-authorization",
            "content-language",
            "sec-websocket-protocol",
            "sec-websocket-extensions",
            "sec-websocket-key",
            "sec-websocket-version",
            "expect",
        ] {
            assert_eq!(call.header(name), None, "{name} at {}", call.target);
        }
        assert_ne!(call.header("content-type"), Some("text/evil"));
        assert_eq!(call.header("accept-encoding"), Some("identity"));
    }
    for name in ["range", "if-none-match", "referer"] {
        assert_eq!(message.header(name), None, "{name}");
    }
}

#[tokio::test]
async fn a_client_cannot_have_our_headers_removed_by_naming_them_in_connection() {
    let handshake = Request::upgrade("/ws")
        .without("connection")
        .header("Connection", "Upgrade, X-Forwarded-For, Moorline-Connection-Id, X-Request-Id");
    let (connect, _) = calls(ROUTES, &handshake).await;
    assert_eq!(connect.header("x-forwarded-for"), Some("127.0.0.1"));
    assert!(connect.header("moorline-connection-id").is_some() && connect.header("x-request-id").is_some());
}

#[tokio::test]
async fn what_a_trusted_proxy_says_stands_and_is_appended_to() {
    let handshake = Request::upgrade("/ws")
        .header("X-Forwarded-For", "203.0.113.9, 10.0.0.1")
        .header("X-Forwarded-Proto", "https")
        .header("X-Forwarded-Host", "shop.example")
        .header("X-Request-Id", "req-1")
        .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        .header("tracestate", "a=b")
        .header("Moorline-User", "forged");
    let (connect, message) = calls(&format!("{ROUTES}trustedProxies: [127.0.0.1]"), &handshake).await;
    for call in [&connect, &message] {
        assert_eq!(call.header("x-forwarded-for"), Some("203.0.113.9, 10.0.0.1, 127.0.0.1"));
        assert_eq!(call.header("x-forwarded-proto"), Some("https"));
        assert_eq!(call.header("x-forwarded-host"), Some("shop.example"));
        assert!(call.header("traceparent").unwrap().starts_with("00-0af7651916cd43dd8448eb211c80319c-"));
        assert_eq!(call.header("tracestate"), Some("a=b"));
        assert_eq!(call.header("moorline-user"), None);
    }
    assert_eq!(connect.header("x-request-id"), Some("req-1"));
}

#[tokio::test]
async fn a_proxy_outside_the_list_is_not_believed() {
    let handshake =
        Request::upgrade("/ws").header("X-Forwarded-For", "203.0.113.9").header("X-Forwarded-Proto", "https");
    let (connect, _) = calls(&format!("{ROUTES}trustedProxies: [10.0.0.0/8]"), &handshake).await;
    assert_eq!(
        (connect.header("x-forwarded-for"), connect.header("x-forwarded-proto")),
        (Some("127.0.0.1"), Some("http"))
    );
}

#[tokio::test]
async fn templated_headers_of_the_route_go_with_every_call_and_are_left_out_when_a_value_is_missing() {
    let spec =
        format!("{ROUTES}headers:\n  Authorization: 'Bearer ${{request.querystring.access_token}}'\n  X-Fixed: 'yes'");
    let handshake = Request::upgrade("/ws?access_token=abc").header("Authorization", "Bearer from-client");
    let (connect, message) = calls(&spec, &handshake).await;
    for call in [&connect, &message] {
        assert_eq!((call.header("authorization"), call.header("x-fixed")), (Some("Bearer abc"), Some("yes")));
    }
    let (connect, message) = calls(&spec, &Request::upgrade("/ws")).await;
    assert_eq!((connect.header("authorization"), message.header("authorization")), (None, None));
}

#[tokio::test]
async fn a_user_name_with_a_control_character_is_no_name() {
    let mut app = App::start(|request| match request.target.as_str() {
        "/connect" => Answer::status(200).header("Moorline-User", "j%C3%BCrgen%0A%25"),
        _ => Answer::status(204),
    })
    .await;
    let moorline = Moorline::start(&app, ROUTES).await;
    let mut client = moorline.connect("/ws").await;
    client.text("{}").await;
    let user = app.next_call().await.header("moorline-user").map(str::to_owned);
    assert_eq!(user, None);
}

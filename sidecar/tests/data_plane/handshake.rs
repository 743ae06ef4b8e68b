//! What happens before the 101: who is let in, what the app is asked, what a refused client is told.

use crate::support::app::{Answer, App, Gate};
use crate::support::client::Client;
use crate::support::http::Request;
use crate::support::moorline::Moorline;

const SPEC: &str = "
path: /ws/{tenant}
routes:
- key: $connect
  request: {method: POST, path: '/connect/${request.path.tenant}', query: {token: '${request.querystring.token}'}}
- key: $default
  request: {method: POST, path: /messages}
- key: $disconnect
  request: {method: POST, path: /gone}
";

#[tokio::test]
async fn the_app_is_asked_before_the_client_is_accepted() {
    let gate = Gate::new();
    let held = gate.clone();
    let mut app = App::start(move |_| Answer::status(200).after(&held)).await;
    let moorline = Moorline::start(&app, SPEC).await;
    let connecting = moorline.connect("/ws/acme?token=a%20b");
    let asked = async {
        let request = app.next_request().await;
        assert_eq!(request.line(), "POST /connect/acme?token=a%20b");
        assert_eq!(request.header("moorline-event"), Some("CONNECT"));
        assert_eq!(request.header("moorline-route-key"), Some("$connect"));
        gate.open();
    };
    let (client, ()) = tokio::join!(connecting, asked);
    assert_eq!(client.answer.header("upgrade").map(str::to_ascii_lowercase).as_deref(), Some("websocket"));
}

#[tokio::test]
async fn a_refusal_of_the_app_reaches_the_client_with_its_headers_fit_to_pass() {
    let app = App::start(|_| {
        Answer::status(401)
            .header("Content-Type", "application/problem+json")
            .header("WWW-Authenticate", "Bearer")
            .header("Set-Cookie", "a=1")
            .header("Set-Cookie", "b=2")
            .header("Retry-After", "7")
            .header("Server", "secret")
            .header("X-Internal", "secret")
            .header("Moorline-Join", "group")
            .body(r#"{"title":"who are you"}"#)
    })
    .await;
    let moorline = Moorline::start(&app, SPEC).await;
    let answer = moorline.refused(&Request::upgrade("/ws/acme")).await;
    assert_eq!(answer.status, 401);
    assert_eq!(answer.text(), r#"{"title":"who are you"}"#);
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    assert_eq!(answer.header("retry-after"), Some("7"));
    assert_eq!(answer.all("set-cookie"), ["a=1", "b=2"]);
    for absent in ["server", "x-internal", "moorline-join"] {
        assert_eq!(answer.header(absent), None);
    }
}

#[tokio::test]
async fn a_redirect_of_the_app_is_passed_on_and_never_followed() {
    let mut app = App::start(|_| Answer::status(302).header("Location", "/login")).await;
    let moorline = Moorline::start(&app, SPEC).await;
    let answer = moorline.refused(&Request::upgrade("/ws/acme")).await;
    assert_eq!((answer.status, answer.header("location")), (302, Some("/login")));
    app.next_request().await;
    assert!(app.try_request().is_none());
}

#[tokio::test]
async fn cookies_set_by_the_app_come_with_the_101_and_nothing_else_of_its_answer() {
    let app = App::start(|_| {
        Answer::status(201)
            .header("Set-Cookie", "session=1; HttpOnly")
            .header("Set-Cookie", "theme=dark")
            .header("X-Internal", "secret")
            .header("Moorline-User", "ann")
            .body("ignored")
    })
    .await;
    let moorline = Moorline::start(&app, SPEC).await;
    let client = moorline.connect("/ws/acme").await;
    assert_eq!(client.answer.all("set-cookie"), ["session=1; HttpOnly", "theme=dark"]);
    assert_eq!(client.answer.header("x-internal"), None);
    assert_eq!(client.answer.header("moorline-user"), None);
}

#[tokio::test]
async fn an_app_that_is_not_there_is_502() {
    let app = App::echo().await;
    let moorline = Moorline::start(&app, SPEC).await;
    drop(app);
    assert_eq!(moorline.refused(&Request::upgrade("/ws/acme")).await.status, 502);
}

#[tokio::test]
async fn an_app_that_does_not_answer_a_connect_is_504() {
    let mut app =
        App::start(|request| if request.target == "/gone" { Answer::status(204) } else { Answer::Never }).await;
    let moorline = Moorline::start(&app, &format!("{SPEC}limits: {{connectTimeout: 200ms}}")).await;
    assert_eq!(moorline.refused(&Request::upgrade("/ws/acme")).await.status, 504);
    assert_eq!(app.next_request().await.line(), "POST /connect/acme");
    // It may have taken the connect, so it is told that the connection is gone.
    assert_eq!(app.next_request().await.line(), "POST /gone");
}

#[tokio::test]
async fn a_client_that_leaves_during_its_connect_is_still_reported_as_gone() {
    let gate = Gate::new();
    let held = gate.clone();
    let mut app =
        App::start(
            move |request| {
                if request.target == "/gone" { Answer::status(204) } else { Answer::status(200).after(&held) }
            },
        )
        .await;
    let moorline = Moorline::start(&app, SPEC).await;
    let request = Request::upgrade("/ws/acme").bytes(moorline.client);
    let mut stream = tokio::net::TcpStream::connect(moorline.client).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, &request).await.unwrap();
    let connect = app.next_request().await;
    drop(stream);
    gate.open();
    let gone = app.next_request().await;
    assert_eq!(gone.line(), "POST /gone");
    assert_eq!(gone.header("moorline-connection-id"), connect.header("moorline-connection-id"));
    assert_eq!(gone.header("moorline-disconnect-code"), Some("1006"));
}

#[tokio::test]
async fn a_refused_client_gets_no_disconnect() {
    let mut app = App::start(|_| Answer::status(403)).await;
    let moorline = Moorline::start(&app, SPEC).await;
    moorline.refused(&Request::upgrade("/ws/first")).await;
    moorline.refused(&Request::upgrade("/ws/second")).await;
    assert_eq!(app.next_request().await.line(), "POST /connect/first");
    assert_eq!(app.next_request().await.line(), "POST /connect/second");
}

#[tokio::test]
async fn what_is_not_a_handshake_is_refused_by_its_fault() {
    let mut app = App::echo().await;
    let moorline = Moorline::start(&app, SPEC).await;
    let good = || Request::upgrade("/ws/acme");
    let mut post = good();
    post.method = "POST".to_owned();
    for (what, request, status) in [
        ("not a GET", post, 405),
        ("no upgrade", good().without("upgrade"), 426),
        ("another upgrade", good().without("upgrade").header("Upgrade", "h2c"), 426),
        ("version 8", good().without("sec-websocket-version").header("Sec-WebSocket-Version", "8"), 426),
        ("no version", good().without("sec-websocket-version"), 426),
        ("no key", good().without("sec-websocket-key"), 400),
        ("a short key", good().without("sec-websocket-key").header("Sec-WebSocket-Key", "abc"), 400),
        ("two keys", good().header("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="), 400),
        ("a body", good().body("hello"), 400),
        ("a chunked body", good().header("Transfer-Encoding", "chunked").body("").without("content-length"), 400),
        ("two hosts", good().header("Host", "a.example").header("Host", "b.example"), 400),
        ("no such path", Request::upgrade("/other"), 404),
        ("too many segments", Request::upgrade("/ws/acme/more"), 404),
        ("an empty capture", Request::upgrade("/ws/"), 404),
    ] {
        let answer = request.send(moorline.client).await;
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
        if what.contains("version") {
            assert_eq!(answer.header("sec-websocket-version"), Some("13"), "{what}");
        }
    }
    assert!(app.try_request().is_none(), "the app was asked about a broken handshake");
}

#[tokio::test]
async fn a_capture_is_one_decoded_segment_and_goes_out_as_one() {
    let mut app = App::echo().await;
    let moorline = Moorline::start(&app, SPEC).await;
    let _client = moorline.connect("/ws/caf%C3%A9%20%3F?token=x").await;
    assert_eq!(app.next_request().await.line(), "POST /connect/caf%C3%A9%20%3F?token=x");
}

#[tokio::test]
async fn a_connect_path_that_would_leave_its_place_is_400_without_a_call() {
    let mut app = App::echo().await;
    let moorline = Moorline::start(&app, SPEC).await;
    for tenant in ["a%2Fb", "..", "%2e%2e", ".", "a%5Cb", "a%00b", "a%0d%0ab", "%252e%252e", "a%252Fb"] {
        let answer = Request::upgrade(&format!("/ws/{tenant}")).send(moorline.client).await;
        assert!([400, 404].contains(&answer.status), "{tenant}: {}", answer.status);
    }
    assert!(app.try_request().is_none());
}

#[tokio::test]
async fn a_connect_route_without_a_request_accepts_and_joins() {
    let mut app = App::echo().await;
    let spec = "
path: /ws/{tenant}
routes:
- key: $connect
  join: ['tenant-${request.path.tenant}']
";
    let moorline = Moorline::start(&app, spec).await;
    let mut client = moorline.connect("/ws/acme").await;
    let sent = moorline.call("POST", "/@groups/tenant-acme", r#"{"hello":1}"#).await;
    assert_eq!(sent.json(), serde_json::json!({"reached": 1}));
    assert_eq!(client.expect_text().await, r#"{"hello":1}"#);
    assert!(app.try_request().is_none());
}

#[tokio::test]
async fn a_message_sent_right_behind_the_handshake_is_not_lost() {
    let mut app = App::accepting(|_| Answer::json("{}")).await;
    let moorline = Moorline::start(&app, SPEC).await;
    let mut bytes = Request::upgrade("/ws/acme").bytes(moorline.client);
    bytes.extend(crate::support::frame::Frame::new(1, r#"{"early":true}"#).bytes());
    let mut stream = tokio::net::TcpStream::connect(moorline.client).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, &bytes).await.unwrap();
    assert_eq!(app.next_call().await.text(), r#"{"early":true}"#);
}

#[tokio::test]
async fn hosts_choose_between_routes() {
    let mut app = App::echo().await;
    let document = crate::support::moorline::document_of(
        &[
            crate::support::moorline::route(
                "named",
                "path: /ws\nhosts: [shop.example]\nroutes:\n- {key: $connect, request: {method: POST, path: /connect/named}}",
            ),
            crate::support::moorline::route(
                "wild",
                "path: /ws\nhosts: ['*.example']\nroutes:\n- {key: $connect, request: {method: POST, path: /connect/wild}}",
            ),
            crate::support::moorline::route(
                "any",
                "path: /ws\nroutes:\n- {key: $connect, request: {method: POST, path: /connect/any}}",
            ),
        ],
        app.address,
    );
    let moorline = Moorline::with(crate::support::moorline::settings(), vec![document]).await;
    for (host, expected) in [
        ("shop.example", "named"),
        ("SHOP.example:8800", "named"),
        ("a.example", "wild"),
        ("a.b.example", "wild"),
        ("example", "any"),
        ("127.0.0.1", "any"),
    ] {
        let _client = Client::handshake(moorline.client, &Request::upgrade("/ws").header("Host", host)).await;
        assert_eq!(app.next_request().await.target, format!("/connect/{expected}"), "{host}");
    }
}

#[tokio::test]
async fn on_a_laptop_only_loopback_hosts_are_served() {
    let app = App::echo().await;
    let mut settings = crate::support::moorline::settings();
    settings.loopback_hosts_only = true;
    let document = crate::support::moorline::document(SPEC, app.address);
    let moorline = Moorline::with(settings, vec![document]).await;
    for host in ["localhost", "localhost:1", "127.0.0.1:8800", "[::1]:8800"] {
        let _client = moorline.handshake(&Request::upgrade("/ws/acme").header("Host", host)).await;
    }
    for host in ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "192.0.2.1"] {
        let answer = moorline.refused(&Request::upgrade("/ws/acme").header("Host", host)).await;
        assert!([403, 404, 421].contains(&answer.status), "{host}: {}", answer.status);
    }
}

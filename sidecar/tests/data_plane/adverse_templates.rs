//! Values from clients in every templated place: none may leave its place.

use crate::support::app::{Answer, App};
use crate::support::client::Client;
use crate::support::http::Request;
use crate::support::moorline::Moorline;

const SPEC: &str = "
path: /ws/{room}
headers: {X-Spec: '${request.querystring.h}'}
routes:
- key: path
  request: {method: GET, path: '/base/${request.body.v}/end'}
- key: prefix
  request: {method: GET, path: '/base/.${request.body.v}'}
- key: middle
  request: {method: GET, path: '/base/a${request.body.v}b'}
- key: query
  request: {method: GET, path: /query, query: {q: '${request.body.v}', r: 'x-${request.body.v}'}}
- key: header
  request: {method: POST, path: /header, headers: {X-Value: '${request.body.v}'}}
- key: body
  request: {method: POST, path: /body, body: {v: '${request.body.v}', t: 'a-${request.body.v}'}}
- key: room
  request: {method: GET, path: '/rooms/${request.path.room}'}
- key: string
  request: {method: GET, path: '/strings/${request.querystring.q}'}
- key: $default
  request: {method: POST, path: /sentinel}
";

async fn start() -> (App, Moorline, Client) {
    let app = App::start(|_| Answer::status(204)).await;
    let moorline = Moorline::start(&app, SPEC).await;
    let client = moorline.connect("/ws/lobby").await;
    (app, moorline, client)
}

fn message(action: &str, value: &serde_json::Value) -> String {
    serde_json::json!({"action": action, "v": value}).to_string()
}

/// The values that try to leave a path segment, also after one more decoding.
const ESCAPES: [&str; 22] = [
    "..",
    ".",
    "../",
    "../../admin",
    "a/b",
    "/",
    "//evil.example",
    "%2f",
    "%2F",
    "a%2fb",
    "%2e%2e",
    "%2e%2e%2f",
    "..%2fadmin",
    "..\\",
    "a\\b",
    "%5c",
    "a\u{0}b",
    "a\r\nb",
    "a\nb",
    "\u{7f}",
    "a\tb",
    "%00",
];

#[tokio::test]
async fn no_value_can_add_a_segment_to_a_path() {
    let (mut app, _moorline, mut client) = start().await;
    for value in ESCAPES {
        client.text(&message("path", &value.into())).await;
        let (status, reason) = client.expect_error().await;
        assert_eq!((status, reason.as_str()), (400, "path_value_refused"), "{value:?}");
    }
    client.text("sentinel").await;
    assert_eq!(app.next_request().await.target, "/sentinel", "a refused value made a call");
}

#[tokio::test]
async fn values_that_are_no_text_or_empty_make_no_call() {
    let (mut app, _moorline, mut client) = start().await;
    for (value, reason) in [
        (serde_json::json!(null), "path_value_missing"),
        (serde_json::json!(""), "path_value_missing"),
        (serde_json::json!({}), "path_value_refused"),
        (serde_json::json!(["a"]), "path_value_refused"),
    ] {
        client.text(&message("path", &value)).await;
        assert_eq!(client.expect_error().await, (400, reason.to_owned()), "{value}");
    }
    client.text(r#"{"action":"path"}"#).await;
    assert_eq!(client.expect_error().await, (400, "path_value_missing".to_owned()));
    client.text("sentinel").await;
    assert_eq!(app.next_request().await.target, "/sentinel");
}

#[tokio::test]
async fn dots_formed_with_literals_are_refused_too() {
    let (mut app, _moorline, mut client) = start().await;
    client.text(&message("prefix", &".".into())).await;
    assert_eq!(client.expect_error().await.0, 400);
    client.text(&message("prefix", &"hidden".into())).await;
    assert_eq!(app.next_request().await.target, "/base/.hidden");
    client.text(&message("middle", &"/".into())).await;
    assert_eq!(client.expect_error().await.0, 400);
}

#[tokio::test]
async fn harmless_values_go_out_as_one_encoded_segment() {
    let (mut app, _moorline, mut client) = start().await;
    for (value, segment) in [
        (serde_json::json!("a b?c#d"), "a%20b%3Fc%23d"),
        (serde_json::json!("caf\u{e9}"), "caf%C3%A9"),
        (serde_json::json!("..."), "..."),
        (serde_json::json!("a;b=c,d"), "a%3Bb%3Dc%2Cd"),
        (serde_json::json!("user@host:80"), "user%40host%3A80"),
        (serde_json::json!(true), "true"),
    ] {
        client.text(&message("path", &value)).await;
        let target = app.next_request().await.target;
        let decoded = percent_decoded(&target);
        assert_eq!(decoded, format!("/base/{}/end", percent_decoded(segment)), "{target}");
        assert_eq!(target.matches('/').count(), 3, "{target}");
        assert!(!target.contains(['?', '#', ' ']), "{target}");
    }
    client.text(r#"{"action":"path","v":12345678901234567890.50}"#).await;
    assert_eq!(app.next_request().await.target, "/base/12345678901234567890.50/end");
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = (first == b'%').then(|| after.get(..2)).flatten();
        let decoded =
            hex.and_then(|hex| std::str::from_utf8(hex).ok()).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(decoded.unwrap_or(first));
        rest = if decoded.is_some() { &after[2..] } else { after };
    }
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn no_value_can_add_a_parameter_or_leave_the_query() {
    let (mut app, _moorline, mut client) = start().await;
    for value in ["a&admin=1", "a=b", "a#frag", "a?b", "a b", "a+b", "../x", "%26", "a\r\nX-Evil: 1", "caf\u{e9}"] {
        client.text(&message("query", &value.into())).await;
        let call = app.next_request().await;
        let (path, query) = call.target.split_once('?').unwrap();
        assert_eq!(path, "/query");
        assert_eq!(query.split('&').count(), 2, "{query}");
        assert!(!query.contains(['#', ' ', '?']), "{query}");
        let q = query.split('&').find_map(|pair| pair.strip_prefix("q=")).unwrap();
        assert_eq!(percent_decoded(q), value, "{query}");
        assert_eq!(call.header("x-evil"), None);
    }
}

#[tokio::test]
async fn no_value_can_add_a_header_line() {
    let (mut app, _moorline, mut client) = start().await;
    for value in ["a\r\nX-Evil: 1", "a\nb", "a\rb", "\u{0}", "\u{7f}", "a\u{1}"] {
        client.text(&message("header", &value.into())).await;
        assert_eq!(client.expect_error().await, (400, "header_value_refused".to_owned()), "{value:?}");
    }
    client.text(&message("header", &"fine; a=b".into())).await;
    let call = app.next_request().await;
    assert_eq!((call.header("x-value"), call.header("x-evil")), (Some("fine; a=b"), None));
}

#[tokio::test]
async fn no_value_can_leave_its_place_in_a_structured_body() {
    let (mut app, _moorline, mut client) = start().await;
    for value in [r#"","admin":true,"x":""#, "\"}", "\\", "a\r\nb", "\u{2028}", "../", "${request.body.v}"] {
        client.text(&message("body", &value.into())).await;
        let body = app.next_request().await.json();
        assert_eq!(body, serde_json::json!({"v": value, "t": format!("a-{value}")}));
    }
}

#[tokio::test]
async fn a_value_that_looks_like_an_expression_is_text() {
    let (mut app, _moorline, mut client) = start().await;
    client.text(&message("query", &"${request.header.authorization}".into())).await;
    let target = app.next_request().await.target;
    assert!(percent_decoded(&target).contains("q=${request.header.authorization}"), "{target}");
}

#[tokio::test]
async fn captures_and_query_parameters_of_the_handshake_cannot_leave_a_path_either() {
    let (mut app, moorline, _client) = start().await;
    for room in ["..%2fadmin", "%2e%2e", "a%2Fb", "a%5cb", "%252e%252e", "%00"] {
        let answer = Request::upgrade(&format!("/ws/{room}")).send(moorline.client).await;
        if answer.status == 101 {
            let mut client = moorline.connect(&format!("/ws/{room}")).await;
            client.text(r#"{"action":"room"}"#).await;
            assert_eq!(client.expect_error().await.0, 400, "{room}");
        }
    }
    for q in ["..", "a/b", "%2e%2e", "a%2Fb", "a%0d%0ab", "%252e%252e"] {
        let mut client = moorline.connect(&format!("/ws/lobby?q={q}")).await;
        client.text(r#"{"action":"string"}"#).await;
        assert_eq!(client.expect_error().await.0, 400, "{q}");
    }
    let mut client = moorline.connect("/ws/lobby?q=fine").await;
    client.text(r#"{"action":"string"}"#).await;
    assert_eq!(app.next_request().await.target, "/strings/fine");
}

#[tokio::test]
async fn a_control_character_in_a_header_of_every_call_makes_no_call() {
    let (mut app, moorline, _client) = start().await;
    let mut client = moorline.connect("/ws/lobby?h=a%0d%0aX-Evil:1").await;
    client.text("any").await;
    assert_eq!(client.expect_error().await, (400, "header_value_refused".to_owned()));
    let mut client = moorline.connect("/ws/lobby?h=fine").await;
    client.text("any").await;
    assert_eq!(app.next_request().await.header("x-spec"), Some("fine"));
}

#[tokio::test]
async fn no_message_can_reach_another_host() {
    let (mut app, _moorline, mut client) = start().await;
    for value in ["@evil.example", ":80@evil.example", "evil.example:1"] {
        client.text(&message("path", &value.into())).await;
        let call = app.next_request().await;
        assert!(call.target.starts_with("/base/"), "{}", call.target);
        assert_eq!(call.header("host").unwrap(), app.address.to_string());
    }
}

#[tokio::test]
async fn a_value_too_long_for_a_target_makes_no_call() {
    let mut app = App::echo().await;
    let spec = "
path: /ws
routes:
- {key: $default, request: {method: DELETE, path: \"/orders/${request.body.id}\"}}
";
    let moorline = Moorline::start(&app, spec).await;
    let mut client = moorline.connect("/ws").await;
    client.text(&format!("{{\"id\":\"{}\"}}", "x".repeat(100_000))).await;
    assert_eq!(client.expect_error().await, (400, "target_too_long".to_owned()));
    client.text("{\"id\":\"7\"}").await;
    assert_eq!(app.next_request().await.target, "/orders/7");
}

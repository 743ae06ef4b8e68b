//! From an answer of the app to what clients receive: frames, envelopes, error frames, targets.

use serde_json::json;

use crate::support::app::{Answer, App};
use crate::support::moorline::Moorline;

const ROUTES: &str = "
path: /ws
routes:
- {key: $connect, request: {method: POST, path: /connect}, join: ['all-${request.querystring.room}'], user: '${request.querystring.user}'}
- {key: enveloped, request: {method: POST, path: /call}, reply: {envelope: true}}
- {key: group, request: {method: POST, path: /call}, reply: {to: Group, group: 'all-${request.body.room}'}}
- {key: user, request: {method: POST, path: /call}, reply: {to: User, user: '${request.body.to}'}}
- {key: all, request: {method: POST, path: /call}, reply: {to: All}}
- {key: none, request: {method: POST, path: /call}, reply: {to: None}}
- {key: made, request: {method: POST, path: /call}, reply: {body: {got: '${response.status}', v: '${response.body.v}', h: '${response.header.x-h}', m: '${request.body.m}'}}}
- {key: local, reply: {body: {pong: '${request.body.n}'}}}
- {key: $default, request: {method: POST, path: /call}}
";

async fn answered(answer: Answer, message: &str) -> (App, Moorline, crate::support::client::Client) {
    let app = App::accepting(move |_| answer.clone()).await;
    let moorline = Moorline::start(&app, ROUTES).await;
    let mut client = moorline.connect("/ws").await;
    client.text(message).await;
    (app, moorline, client)
}

fn typed(kind: &str, body: impl AsRef<[u8]>) -> Answer {
    Answer::status(200).header("Content-Type", kind).body(body)
}

#[tokio::test]
async fn text_json_and_xml_come_back_as_text_and_all_else_as_binary() {
    for kind in
        ["application/json", "text/plain; charset=utf-8", "application/xml", "application/vnd.x+json", "TEXT/HTML"]
    {
        let (_app, _moorline, mut client) = answered(typed(kind, "{}"), "{}").await;
        assert_eq!(client.expect_text().await, "{}", "{kind}");
    }
    for (kind, body) in [("application/octet-stream", &b"{}"[..]), ("image/png", b"\x89"), ("text/plain", b"\xff\xfe")]
    {
        let (_app, _moorline, mut client) = answered(typed(kind, body), "{}").await;
        assert_eq!(client.expect_binary().await, body, "{kind}");
    }
}

#[tokio::test]
async fn an_empty_success_is_silent_unless_enveloped() {
    let (_app, _moorline, mut client) = answered(Answer::status(204), "{}").await;
    client.text(r#"{"action":"enveloped","requestId":5}"#).await;
    assert_eq!(client.expect_json().await, json!({"id": 5, "status": 204, "body": null}));
}

#[tokio::test]
async fn an_envelope_carries_the_clients_own_id_and_the_status() {
    for (id, answer, expected) in [
        (r#""a""#, Answer::json(r#"{"n":1.50}"#), r#"{"id":"a","status":200,"body":{"n":1.50}}"#),
        ("1.0", typed("text/plain", "hi"), r#"{"id":1.0,"status":200,"body":"hi"}"#),
        ("null", typed("image/png", b"\xff"), r#"{"id":null,"status":200,"body":{"base64":"/w=="}}"#),
        (r#"{"x":[1]}"#, Answer::status(201), r#"{"id":{"x":[1]},"status":201,"body":null}"#),
    ] {
        let message = format!(r#"{{"action":"enveloped","requestId":{id}}}"#);
        let (_app, _moorline, mut client) = answered(answer, &message).await;
        assert_eq!(client.expect_text().await, expected);
    }
    let (_app, _moorline, mut client) = answered(Answer::status(204), r#"{"action":"enveloped"}"#).await;
    assert_eq!(client.expect_text().await, r#"{"status":204,"body":null}"#);
}

#[tokio::test]
async fn an_envelope_tells_failures_too() {
    let answer = Answer::status(422).header("Content-Type", "application/json").body(r#"{"field":"id"}"#);
    let (_app, _moorline, mut client) = answered(answer, r#"{"action":"enveloped","requestId":"q"}"#).await;
    let frame = client.expect_json().await;
    assert_eq!((&frame["id"], &frame["status"]), (&json!("q"), &json!(422)));
    assert!(frame.get("body").is_none() && frame["error"].is_object(), "{frame}");
}

#[tokio::test]
async fn an_error_frame_has_the_keys_of_aws_the_status_a_reason_and_the_apps_words_for_its_4xx() {
    let answer = Answer::status(404).header("Content-Type", "application/json").body(r#"{"detail":"no order 9"}"#);
    let (mut app, _moorline, mut client) = answered(answer, r#"{"requestId":9}"#).await;
    let frame = client.expect_json().await;
    let call = app.next_call().await;
    assert_eq!(
        (&frame["status"], &frame["id"], &frame["body"]),
        (&json!(404), &json!(9), &json!({"detail": "no order 9"}))
    );
    assert_eq!(frame["connectionId"].as_str(), call.header("moorline-connection-id"));
    assert_eq!(frame["requestId"].as_str(), call.header("x-request-id"));
    assert!(frame["message"].is_string() && frame["reason"].is_string());
}

#[tokio::test]
async fn the_body_of_a_server_error_is_not_shown() {
    let (_app, _moorline, mut client) = answered(Answer::status(500).body("stack trace with secrets"), "{}").await;
    let frame = client.expect_text().await;
    assert!(!frame.contains("secrets"), "{frame}");
    assert!(frame.contains("Internal server error"), "{frame}");
}

#[tokio::test]
async fn a_redirect_is_a_failure_and_not_followed() {
    let (mut app, _moorline, mut client) =
        answered(Answer::status(302).header("Location", "http://127.0.0.1:1/"), "{}").await;
    let (status, reason) = client.expect_error().await;
    assert!(status == 302 || status == 502, "{status} {reason}");
    app.next_call().await;
    assert!(app.try_request().is_none());
}

#[tokio::test]
async fn errors_can_have_another_form() {
    let app = App::accepting(|_| Answer::status(500)).await;
    let spec = format!(
        "{ROUTES}errors: {{body: {{oops: '${{context.status}}', why: '${{context.error.responseType}}', id: '${{request.body.requestId}}'}}}}"
    );
    let moorline = Moorline::start(&app, &spec).await;
    let mut client = moorline.connect("/ws").await;
    client.text(r#"{"requestId":"z"}"#).await;
    let frame = client.expect_json().await;
    assert_eq!((&frame["id"], frame["why"].is_string()), (&json!("z"), true), "{frame}");
    assert!(frame["oops"] == json!(500) || frame["oops"] == json!("500"), "{frame}");
}

#[tokio::test]
async fn errors_can_be_silent() {
    let app = App::accepting(
        |request| if request.text() == "bad" { Answer::status(500) } else { typed("text/plain", "fine") },
    )
    .await;
    let moorline = Moorline::start(&app, &format!("{ROUTES}errors: {{action: None}}")).await;
    let mut client = moorline.connect("/ws").await;
    client.text("bad").await;
    client.text("good").await;
    assert_eq!(client.expect_text().await, "fine");
}

#[tokio::test]
async fn a_reply_can_be_made_from_the_answer() {
    let answer = Answer::json(r#"{"v":[1,2.0]}"#).header("X-H", "head");
    let (_app, _moorline, mut client) = answered(answer, r#"{"action":"made","m":"x"}"#).await;
    let frame = client.expect_json().await;
    assert_eq!((&frame["v"], &frame["h"], &frame["m"]), (&json!([1, 2.0]), &json!("head"), &json!("x")));
    assert!(frame["got"] == json!(200) || frame["got"] == json!("200"), "{frame}");
}

#[tokio::test]
async fn a_route_without_a_request_replies_without_a_call() {
    let (mut app, _moorline, mut client) = answered(Answer::status(500), r#"{"action":"local","n":1.0}"#).await;
    assert_eq!(client.expect_text().await, r#"{"pong":1.0}"#);
    assert_eq!(app.next_request().await.target, "/connect");
    assert!(app.try_request().is_none());
}

#[tokio::test]
async fn replies_to_a_group_reach_its_members_and_the_sender_only_as_one() {
    let app = App::accepting(|request| typed("application/json", &request.body)).await;
    let moorline = Moorline::start(&app, ROUTES).await;
    let mut inside = moorline.connect("/ws?room=1").await;
    let mut outside = moorline.connect("/ws?room=2").await;
    let message = r#"{"action":"group","room":1}"#;
    outside.text(message).await;
    assert_eq!(inside.expect_text().await, message);
    outside.text(r#"{"own":1}"#).await;
    assert_eq!(outside.expect_text().await, r#"{"own":1}"#, "the sender is no member and got no copy");
    inside.text(message).await;
    assert_eq!(inside.expect_text().await, message);
}

#[tokio::test]
async fn a_group_with_a_missing_value_is_no_group() {
    let app = App::accepting(|request| typed("application/json", &request.body)).await;
    let moorline = Moorline::start(&app, ROUTES).await;
    // Neither joined `all-`: a value was missing.
    let mut first = moorline.connect("/ws").await;
    let mut second = moorline.connect("/ws").await;
    // No call either: nobody could hear of what it did.
    first.text(r#"{"action":"group"}"#).await;
    assert_eq!(first.expect_error().await, (400, "reply_target_missing".to_owned()));
    first.text(r#"{"own":1}"#).await;
    assert_eq!(first.expect_text().await, r#"{"own":1}"#);
    second.text(r#"{"own":2}"#).await;
    assert_eq!(second.expect_text().await, r#"{"own":2}"#);
    assert_eq!(moorline.call("POST", "/@groups/all-", "{}").await.json(), json!({"reached": 0}));
}

#[tokio::test]
async fn replies_reach_every_connection_of_a_user() {
    let app = App::accepting(|request| typed("application/json", &request.body)).await;
    let moorline = Moorline::start(&app, ROUTES).await;
    let mut phone = moorline.connect("/ws?user=ann").await;
    let mut laptop = moorline.connect("/ws?user=ann").await;
    let mut bob = moorline.connect("/ws?user=bob").await;
    let message = r#"{"action":"user","to":"ann"}"#;
    bob.text(message).await;
    assert_eq!(phone.expect_text().await, message);
    assert_eq!(laptop.expect_text().await, message);
    bob.text(r#"{"own":1}"#).await;
    assert_eq!(bob.expect_text().await, r#"{"own":1}"#);
}

#[tokio::test]
async fn replies_to_all_reach_everyone_and_to_none_nobody() {
    let app = App::accepting(|request| typed("application/json", &request.body)).await;
    let moorline = Moorline::start(&app, ROUTES).await;
    let mut first = moorline.connect("/ws").await;
    let mut second = moorline.connect("/ws").await;
    first.text(r#"{"action":"none"}"#).await;
    first.text(r#"{"action":"all"}"#).await;
    assert_eq!(first.expect_text().await, r#"{"action":"all"}"#);
    assert_eq!(second.expect_text().await, r#"{"action":"all"}"#);
}

#[tokio::test]
async fn errors_of_a_call_whose_reply_goes_to_a_group_reach_the_sender_only() {
    let app = App::accepting(
        |request| if request.text().contains("group") { Answer::status(500) } else { Answer::json("{}") },
    )
    .await;
    let moorline = Moorline::start(&app, ROUTES).await;
    let mut sender = moorline.connect("/ws?room=1").await;
    let mut member = moorline.connect("/ws?room=1").await;
    sender.text(r#"{"action":"group","room":1}"#).await;
    assert_eq!(sender.expect_error().await.0, 500);
    member.text("{}").await;
    assert_eq!(member.expect_text().await, "{}");
}

#[tokio::test]
async fn an_event_stream_is_dropped_at_once_with_502() {
    let answer = Answer::Raw(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(),
    );
    let (_app, _moorline, mut client) = answered(answer, "{}").await;
    assert_eq!(client.expect_error().await.0, 502);
}

#[tokio::test]
async fn a_head_answer_has_no_body_to_wait_for() {
    let app = App::accepting(|_| Answer::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n".to_vec())).await;
    let spec = "path: /ws\nroutes:\n- {key: $default, request: {method: HEAD, path: /x}, reply: {envelope: true}}";
    let moorline = Moorline::start(&app, spec).await;
    let mut client = moorline.connect("/ws").await;
    client.text("{}").await;
    assert_eq!(client.expect_json().await, json!({"status": 200, "body": null}));
}

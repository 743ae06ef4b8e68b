//! From a message to the call it makes: selection, request line, body and content type.

use crate::support::app::{Answer, App};
use crate::support::frame::{BINARY, CONTINUATION, Frame, TEXT};
use crate::support::moorline::Moorline;

const SPEC: &str = "
path: /ws/{tenant}
routes:
- {key: $connect, request: {method: POST, path: /connect}}
- {key: get, request: {method: GET, path: '/orders/${request.body.id}', query: {full: '${request.body.full}', fixed: 'yes'}}}
- {key: create, request: {method: POST, path: /orders, body: '${request.body.order}'}}
- key: shape
  request:
    method: PUT
    path: '/shapes/${request.path.tenant}/${request.body.id}'
    body: {id: '${request.body.id}', name: 'n-${request.body.name}', gone: '${request.body.nothing}', fixed: [1, true, null]}
- {key: text, request: {method: POST, path: /text, headers: {Content-Type: text/plain}, body: 'Hello ${request.body.name}!'}}
- {key: delete, request: {method: DELETE, path: '/orders/${request.body.id}'}}
- {key: head, request: {method: HEAD, path: /orders}}
- {key: silent}
- {key: $default, request: {method: POST, path: /messages}}
";

async fn call_of(message: &str) -> crate::support::received::Received {
    let mut app = App::accepting(|_| Answer::status(204)).await;
    let moorline = Moorline::start(&app, SPEC).await;
    let mut client = moorline.connect("/ws/acme").await;
    client.text(message).await;
    app.next_call().await
}

#[tokio::test]
async fn the_selected_route_makes_its_call() {
    let call = call_of(r#"{"action":"get","id":42,"full":true}"#).await;
    assert_eq!(call.method, "GET");
    let (path, query) = call.target.split_once('?').unwrap();
    let mut query: Vec<&str> = query.split('&').collect();
    query.sort_unstable();
    assert_eq!((path, query), ("/orders/42", vec!["fixed=yes", "full=true"]));
    assert!(call.body.is_empty());
    assert_eq!(call.header("content-type"), None);
    assert!(matches!(call.header("content-length"), None | Some("0")));
}

#[tokio::test]
async fn a_missing_value_leaves_its_query_parameter_out() {
    let call = call_of(r#"{"action":"get","id":"a b","full":null}"#).await;
    assert_eq!(call.target, "/orders/a%20b?fixed=yes");
}

#[tokio::test]
async fn a_lone_expression_sends_the_value_with_the_clients_own_spelling() {
    let call = call_of(r#"{"action":"create","order":{"n": 1.50, "big":12345678901234567890123, "s":"\u00e9"}}"#).await;
    assert_eq!(call.line(), "POST /orders");
    assert_eq!(call.text(), r#"{"n": 1.50, "big":12345678901234567890123, "s":"\u00e9"}"#);
    assert_eq!(call.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn a_structured_body_inserts_json_values_and_leaves_missing_members_out() {
    let call = call_of(r#"{"action":"shape","id":7,"name":"a\"b"}"#).await;
    assert_eq!(call.line(), "PUT /shapes/acme/7");
    assert_eq!(call.json(), serde_json::json!({"id": 7, "name": "n-a\"b", "fixed": [1, true, null]}));
    assert_eq!(call.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn a_text_body_with_its_own_type_mixes_text_and_values() {
    let call = call_of(r#"{"action":"text","name":"Ann"}"#).await;
    assert_eq!((call.text(), call.header("content-type")), ("Hello Ann!", Some("text/plain")));
}

#[tokio::test]
async fn delete_and_head_carry_no_body() {
    for (message, line) in
        [(r#"{"action":"delete","id":"x"}"#, "DELETE /orders/x"), (r#"{"action":"head"}"#, "HEAD /orders")]
    {
        let call = call_of(message).await;
        assert_eq!((call.line().as_str(), call.body.len()), (line, 0));
        assert_eq!(call.header("content-type"), None);
    }
}

#[tokio::test]
async fn what_selects_nothing_goes_to_default_byte_for_byte() {
    for message in [
        r#"{"action":"unheard"}"#,
        r#"{ "action" : 5 }"#,
        r#"{"action":null}"#,
        r#"{"action":{"get":1}}"#,
        r#"{"no":"action"}"#,
        "[1, 2]",
        "12",
        r#""get""#,
    ] {
        let call = call_of(message).await;
        assert_eq!((call.line().as_str(), call.text()), ("POST /messages", message));
        assert_eq!(call.header("content-type"), Some("application/json"), "{message}");
        assert_eq!(call.header("moorline-route-key"), Some("$default"));
    }
}

#[tokio::test]
async fn text_that_is_not_json_is_plain_text() {
    for message in ["hello", r#"{"action":"get","id":1} trailing"#, r#"{"action":"#, " ", "{'a':1}"] {
        let call = call_of(message).await;
        assert_eq!((call.line().as_str(), call.text()), ("POST /messages", message));
        assert_eq!(call.header("content-type"), Some("text/plain; charset=utf-8"), "{message}");
    }
}

#[tokio::test]
async fn deep_json_is_text_and_harms_nobody() {
    let deep = "[".repeat(60_000);
    assert_eq!(call_of(&deep).await.header("content-type"), Some("text/plain; charset=utf-8"));
    let closed = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
    assert_eq!(call_of(&closed).await.text(), closed);
}

#[tokio::test]
async fn the_last_of_two_equal_keys_counts() {
    assert_eq!(call_of(r#"{"action":"get","action":"head"}"#).await.method, "HEAD");
}

#[tokio::test]
async fn no_message_can_select_the_connect_or_disconnect_route() {
    for key in ["$connect", "$disconnect", "$default"] {
        let call = call_of(&format!(r#"{{"action":"{key}"}}"#)).await;
        assert_eq!((call.line().as_str(), call.header("moorline-event")), ("POST /messages", Some("MESSAGE")), "{key}");
        assert_eq!(call.header("moorline-route-key"), Some("$default"));
    }
}

#[tokio::test]
async fn a_binary_message_is_not_parsed_and_goes_out_byte_for_byte() {
    let mut app = App::accepting(|_| Answer::status(204)).await;
    let moorline = Moorline::start(&app, SPEC).await;
    let mut client = moorline.connect("/ws/acme").await;
    for message in [&b"\x00\xff\r\n\r\n"[..], br#"{"action":"get","id":1}"#, b""] {
        client.binary(message).await;
        let call = app.next_call().await;
        assert_eq!((call.line().as_str(), &call.body[..]), ("POST /messages", message));
        assert_eq!(call.header("content-type"), Some("application/octet-stream"));
    }
}

#[tokio::test]
async fn a_fragmented_message_is_one_call() {
    let mut app = App::accepting(|_| Answer::status(204)).await;
    let moorline = Moorline::start(&app, SPEC).await;
    let mut client = moorline.connect("/ws/acme").await;
    client.frame(&Frame::begun(TEXT, r#"{"action":"#)).await;
    client.frame(&Frame::new(9, "between")).await;
    assert_eq!(client.expect_pong().await, b"between");
    client.frame(&Frame::begun(CONTINUATION, "")).await;
    client.frame(&Frame::new(CONTINUATION, r#""head"}"#)).await;
    assert_eq!(app.next_call().await.line(), "HEAD /orders");
    client.frame(&Frame::begun(BINARY, "a")).await;
    client.frame(&Frame::new(CONTINUATION, "b")).await;
    assert_eq!(app.next_call().await.body, b"ab");
}

#[tokio::test]
async fn text_cut_inside_a_character_is_still_one_message() {
    let mut app = App::accepting(|_| Answer::status(204)).await;
    let moorline = Moorline::start(&app, SPEC).await;
    let mut client = moorline.connect("/ws/acme").await;
    let (first, second) = "caf\u{e9}".as_bytes().split_at(4);
    client.frame(&Frame::begun(TEXT, first)).await;
    client.frame(&Frame::new(CONTINUATION, second)).await;
    assert_eq!(app.next_call().await.text(), "caf\u{e9}");
}

#[tokio::test]
async fn without_a_route_and_a_default_the_sender_gets_a_404_frame() {
    let mut app = App::echo().await;
    let moorline =
        Moorline::start(&app, "path: /ws\nroutes:\n- {key: ping, request: {method: POST, path: /ping}}").await;
    let mut client = moorline.connect("/ws").await;
    client.text(r#"{"action":"nothing","requestId":"r1"}"#).await;
    let frame = client.expect_json().await;
    assert_eq!((frame["status"].as_u64(), frame["id"].as_str()), (Some(404), Some("r1")));
    assert!(frame["message"].is_string() && frame["requestId"].is_string() && frame["connectionId"].is_string());
    client.text(r#"{"action":"ping"}"#).await;
    assert_eq!(app.next_request().await.line(), "POST /ping");
}

#[tokio::test]
async fn messages_of_a_connection_are_called_and_answered_in_order() {
    let app =
        App::accepting(|request| Answer::status(200).header("Content-Type", "text/plain").body(&request.body)).await;
    let moorline = Moorline::start(&app, SPEC).await;
    let mut client = moorline.connect("/ws/acme").await;
    for number in 0..200 {
        client.text(&format!("m{number}")).await;
    }
    for number in 0..200 {
        assert_eq!(client.expect_text().await, format!("m{number}"));
    }
}

#[tokio::test]
async fn selection_can_read_the_handshake_and_then_binary_messages_are_selected_too() {
    let mut app = App::echo().await;
    let spec = "
path: /ws
routeSelectionExpression: ${request.querystring.mode}
routes:
- {key: raw, request: {method: POST, path: /raw}}
- {key: $default, request: {method: POST, path: /default}}
";
    let moorline = Moorline::start(&app, spec).await;
    let mut client = moorline.connect("/ws?mode=raw").await;
    client.binary(b"x").await;
    assert_eq!(app.next_request().await.line(), "POST /raw");
    let mut client = moorline.connect("/ws").await;
    client.binary(b"x").await;
    assert_eq!(app.next_request().await.line(), "POST /default");
}

//! The callback API from outside: an app that pushes. Its many small rules are tested beside its code.

use serde_json::json;

use crate::support::app::{Answer, App};
use crate::support::client::Client;
use crate::support::http::Request;
use crate::support::moorline::Moorline;

const SPEC: &str = "
path: /ws
routes:
- {key: $connect, request: {method: POST, path: /connect}}
- {key: $default, request: {method: POST, path: /messages}}
- {key: $disconnect, request: {method: POST, path: /gone}}
";

async fn start() -> (App, Moorline, Client, String) {
    let mut app = App::accepting(|_| Answer::status(204)).await;
    let moorline = Moorline::start(&app, SPEC).await;
    let client = moorline.connect("/ws").await;
    let id = app.next_request().await.header("moorline-connection-id").unwrap().to_owned();
    (app, moorline, client, id)
}

#[tokio::test]
async fn the_address_the_app_is_given_is_the_one_that_works() {
    let mut app = App::accepting(|_| Answer::status(204)).await;
    let moorline = Moorline::start(&app, SPEC).await;
    let mut client = moorline.connect("/ws").await;
    let connect = app.next_request().await;
    let base = connect.header("moorline-callback-url").unwrap();
    let address = base.strip_prefix("http://").unwrap().split('/').next().unwrap();
    let target = format!(
        "{}/@connections/{}",
        &base["http://".len() + address.len()..],
        connect.header("moorline-connection-id").unwrap()
    );
    let answer = Request::new("POST", &target).body("hello").send(address.parse().unwrap()).await;
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    assert_eq!(client.expect_text().await, "hello");
}

#[tokio::test]
async fn a_push_is_text_or_binary_by_its_type() {
    let (_app, moorline, mut client, id) = start().await;
    let target = format!("/@connections/{id}");
    let binary = Request::new("POST", &target).header("Moorline-Message-Type", "binary").body("abc");
    assert_eq!(binary.send(moorline.callback).await.status, 200);
    assert_eq!(client.expect_binary().await, b"abc");
    let bytes = Request::new("POST", &target).header("Content-Type", "application/octet-stream").body(b"\xff");
    assert_eq!(bytes.send(moorline.callback).await.status, 200);
    assert_eq!(client.expect_binary().await, b"\xff");
}

#[tokio::test]
async fn a_connection_can_be_looked_at_and_closed_and_is_then_gone() {
    let (mut app, moorline, mut client, id) = start().await;
    let target = format!("/@connections/{id}");
    let status = moorline.call("GET", &target, "").await.json();
    assert!(status["connectedAt"].as_str().unwrap().ends_with('Z'), "{status}");
    assert_eq!(status["identity"]["sourceIp"], json!("127.0.0.1"));
    assert_eq!(moorline.call("DELETE", &target, "").await.status, 204);
    assert_eq!(client.expect_close().await.0, 1000);
    assert_eq!(app.next_call().await.target, "/gone");
    let answer = moorline.call("POST", &target, "x").await;
    assert_eq!((answer.status, answer.header("x-amzn-errortype")), (410, Some("GoneException")));
    assert_eq!(answer.json()["__type"], json!("GoneException"));
}

#[tokio::test]
async fn many_connections_are_reached_in_one_call_with_a_result_each() {
    let (mut app, moorline, mut first, id) = start().await;
    let mut second = moorline.connect("/ws").await;
    let other = app.next_request().await.header("moorline-connection-id").unwrap().to_owned();
    let body = json!({"ids": [id, "nobody", other], "text": "hi"}).to_string();
    let results = moorline.call("POST", "/@connections", &body).await.json();
    let statuses: Vec<_> =
        results["results"].as_array().unwrap().iter().map(|result| result["status"].clone()).collect();
    assert_eq!(statuses, [json!(200), json!(410), json!(200)]);
    assert_eq!((first.expect_text().await, second.expect_text().await), ("hi".to_owned(), "hi".to_owned()));
}

#[tokio::test]
async fn pages_and_strangers_are_refused() {
    let (_app, moorline, mut client, id) = start().await;
    let target = format!("/@connections/{id}");
    let post = || Request::new("POST", &target).body("forged");
    for request in [
        post().header("Origin", "http://127.0.0.1:3000"),
        post().header("Sec-Fetch-Site", "same-origin"),
        post().header("Host", "evil.example"),
        post().header("Host", "127.0.0.1.evil.example"),
    ] {
        assert_eq!(request.send(moorline.callback).await.status, 403);
    }
    assert_eq!(post().header("Host", "localhost:9").body("fine").send(moorline.callback).await.status, 200);
    assert_eq!(client.expect_text().await, "fine");
}

#[tokio::test]
async fn the_clients_port_knows_nothing_of_the_callback_api() {
    let (_app, moorline, _client, id) = start().await;
    for (method, target) in
        [("POST", format!("/@connections/{id}")), ("GET", "/metrics".to_owned()), ("POST", "/@drain".to_owned())]
    {
        let answer = Request::new(method, &target).body("x").send(moorline.client).await;
        assert!([400, 404, 405, 426].contains(&answer.status), "{method} {target}: {}", answer.status);
    }
}

#[tokio::test]
async fn the_admin_port_changes_nothing() {
    let (_app, moorline, _client, _id) = start().await;
    for (method, target) in [("POST", "/@drain"), ("POST", "/livez"), ("POST", "/@all"), ("GET", "/@all")] {
        let answer = Request::new(method, target).body("x").send(moorline.admin).await;
        assert!([404, 405].contains(&answer.status), "{method} {target}: {}", answer.status);
    }
    assert_eq!(moorline.handle.connections(), 1);
    let hash = Request::new("GET", "/config/hash").send(moorline.admin).await;
    assert!(hash.text().contains("sha256:"), "{}", hash.text());
    assert!(moorline.metrics().await.contains("moorline"));
}

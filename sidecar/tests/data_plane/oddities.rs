//! Rare but legal, and rare because it is not: what real clients, proxies and apps also do.

use std::net::SocketAddr;

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::app::{Answer, App};
use crate::support::client::Client;
use crate::support::frame::{BINARY, CONTINUATION, Frame, PING, TEXT};
use crate::support::http::{Request, read_answer};
use crate::support::moorline::{Moorline, document, settings};
use crate::support::received::Buffer;

const SPEC: &str = "
path: /ws
routes:
- {key: $connect, request: {method: POST, path: /connect}}
- {key: get, request: {method: GET, path: '/get/${request.body.id}'}}
- {key: $default, request: {method: POST, path: /messages}}
- {key: $disconnect, request: {method: POST, path: /gone}}
";

async fn start(limits: &str) -> (App, Moorline) {
    let app = App::accepting(|_| Answer::json("{}")).await;
    let moorline = Moorline::start(&app, &format!("{SPEC}{limits}")).await;
    (app, moorline)
}

#[tokio::test]
async fn escaped_keys_and_values_are_the_same_as_plain_ones() {
    let (mut app, moorline) = start("").await;
    let mut client = moorline.connect("/ws").await;
    client.text("{\"\\u0061ction\":\"\\u0067et\",\"id\":\"\\u0041\\/\"}").await;
    assert_eq!(client.expect_error().await.1, "path_value_refused", "an escaped slash is a slash");
    client.text("{\"\\u0061ction\":\"\\u0067et\",\"id\":\"\\u0041\\ud83d\\udea2\"}").await;
    assert_eq!(app.next_call().await.target, "/get/A%F0%9F%9A%A2");
    client.expect_text().await;
    client.text("{\"action\":\"get\",\"id\":\"\\ud83d\"}").await;
    // A lone surrogate is no text; whatever becomes of it, it is not sent half.
    let frame = client.expect_json().await;
    assert!(frame == json!({}) || frame["status"] == 400, "{frame}");
}

#[tokio::test]
async fn a_request_id_of_any_kind_comes_back_as_it_went() {
    let app = App::accepting(|_| Answer::status(500)).await;
    let moorline = Moorline::start(&app, SPEC).await;
    let mut client = moorline.connect("/ws").await;
    for id in ["1e400", "-0.0", r#""\u0000<script>""#, r#"[1,{"a":null}]"#, "true", "123456789012345678901234567890"] {
        client.text(&format!(r#"{{"requestId": {id} }}"#)).await;
        let frame = client.expect_text().await;
        assert!(frame.contains(&format!(r#""id":{id},"#)), "{frame}");
    }
}

#[tokio::test]
async fn a_second_handshake_on_the_same_connection_works_after_a_refusal() {
    let (_app, moorline) = start("").await;
    let mut stream = TcpStream::connect(moorline.client).await.unwrap();
    let mut buffer = Buffer::default();
    stream.write_all(&Request::upgrade("/nowhere").bytes(moorline.client)).await.unwrap();
    assert_eq!(read_answer(&mut buffer, &mut stream).await.unwrap().status, 404);
    if stream.write_all(&Request::upgrade("/ws").bytes(moorline.client)).await.is_ok()
        && let Some(answer) = read_answer(&mut buffer, &mut stream).await
    {
        assert_eq!(answer.status, 101);
    }
}

#[tokio::test]
async fn on_a_dual_stack_listener_an_ipv4_peer_is_an_ipv4_peer() {
    let mut app = App::accepting(|_| Answer::json("{}")).await;
    let mut settings = settings();
    settings.client = "[::]:0".parse().unwrap();
    let moorline =
        Moorline::with(settings, vec![document(&format!("{SPEC}trustedProxies: [127.0.0.0/8]"), app.address)]).await;
    let address = SocketAddr::from(([127, 0, 0, 1], moorline.client.port()));
    let request = Request::upgrade("/ws").header("X-Forwarded-For", "203.0.113.9");
    let _client = Client::handshake(address, &request).await;
    assert_eq!(app.next_request().await.header("x-forwarded-for"), Some("203.0.113.9, 127.0.0.1"));
}

#[tokio::test]
async fn odd_targets_are_refused_and_not_a_server_error() {
    let (mut app, moorline) = start("").await;
    for target in ["/%ff", "/ws%00", "/ws%2f", "/%77s%3f", "*", "/ws/../ws/x", "/./x", "/%", "/%zz", "/wsx", "/w"] {
        let answer = Request::upgrade(target).send(moorline.client).await;
        assert!((400..500).contains(&answer.status), "{target}: {}", answer.status);
    }
    assert!(app.try_request().is_none());
}

#[tokio::test]
async fn a_trailing_slash_and_dot_segments_are_other_paths() {
    let (_app, moorline) = start("").await;
    for target in ["/ws/", "/./ws", "/a/../ws", "//ws"] {
        assert_eq!(Request::upgrade(target).send(moorline.client).await.status, 404, "{target}");
    }
}

#[tokio::test]
async fn header_lines_that_are_none_are_refused() {
    let (mut app, moorline) = start("").await;
    for line in ["X Bad: 1", "X-Bad : 1", ": 1", "X-Bad\u{7f}: 1", " folded", "X-Nul: a\0b", "X-Cr: a\rb"] {
        let mut bytes = Request::upgrade("/ws").bytes(moorline.client);
        bytes.truncate(bytes.len() - 2);
        bytes.extend(format!("{line}\r\n\r\n").bytes());
        let mut stream = TcpStream::connect(moorline.client).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        let answer = crate::support::within("an answer", read_answer(&mut Buffer::default(), &mut stream)).await;
        assert!(answer.is_none_or(|answer| answer.status == 400), "{line:?}");
    }
    assert!(app.try_request().is_none());
}

#[tokio::test]
async fn header_values_outside_ascii_reach_connect_as_the_bytes_they_are() {
    let (mut app, moorline) = start("").await;
    // Written as UTF-8; the recording app shows each byte as one character.
    let _client = moorline.handshake(&Request::upgrade("/ws").header("X-Name", "caf\u{e9}")).await;
    assert_eq!(app.next_request().await.header("x-name"), Some("caf\u{c3}\u{a9}"));
}

#[tokio::test]
async fn a_frame_limit_below_the_message_limit_holds_for_each_frame() {
    let (mut app, moorline) = start("limits: {messageBytes: 3000, frameBytes: 1000}").await;
    let mut client = moorline.connect("/ws").await;
    client.frame(&Frame::begun(BINARY, vec![1; 1000])).await;
    client.frame(&Frame::begun(CONTINUATION, vec![1; 1000])).await;
    client.frame(&Frame::new(CONTINUATION, vec![1; 1000])).await;
    assert_eq!(app.next_call().await.body.len(), 3000);
    client.expect_text().await;
    client.binary(&[1; 1001]).await;
    assert_eq!(client.expect_close().await.0, 1009);
}

#[tokio::test]
async fn pings_of_every_length_come_back_whole() {
    let (_app, moorline) = start("").await;
    let mut client = moorline.connect("/ws").await;
    for length in [0, 1, 124, 125] {
        client.frame(&Frame::new(PING, vec![b'p'; length])).await;
        assert_eq!(client.expect_pong().await, vec![b'p'; length]);
    }
    client.frame(&Frame::new(0xA, "nobody asked")).await;
    client.text("{}").await;
    assert_eq!(client.expect_text().await, "{}");
}

#[tokio::test]
async fn bytes_that_come_one_by_one_are_a_message_all_the_same() {
    let (mut app, moorline) = start("").await;
    let mut client = moorline.connect("/ws").await;
    for byte in Frame::new(TEXT, "x".repeat(200)).bytes() {
        client.raw(&[byte]).await;
    }
    assert_eq!(app.next_call().await.text(), "x".repeat(200));
}

#[tokio::test]
async fn an_answer_before_the_whole_request_was_read_is_an_answer() {
    // The app answers 413 to the head alone and ends the connection.
    let app = App::accepting(|_| {
        Answer::RawThenClose(
            b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".to_vec(),
        )
    })
    .await;
    let moorline = Moorline::start(&app, SPEC).await;
    let mut client = moorline.connect("/ws").await;
    client.binary(&vec![0; 100_000]).await;
    assert_eq!(client.expect_error().await.0, 413);
}

#[tokio::test]
async fn an_app_that_closes_after_each_answer_says_so_and_is_believed() {
    let mut app = App::start(|_| {
        Answer::RawThenClose(
            b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok".to_vec(),
        )
    })
    .await;
    let moorline = Moorline::start(&app, SPEC).await;
    let mut client = moorline.connect("/ws").await;
    app.next_request().await;
    for _ in 0..50 {
        client.text("{}").await;
        assert_eq!(client.expect_text().await, "ok");
        app.next_request().await;
    }
    assert_eq!(app.connections(), 51);
}

#[tokio::test]
async fn an_answer_without_a_length_ends_with_its_connection() {
    let app = App::accepting(|_| {
        Answer::RawThenClose(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nto the end".to_vec())
    })
    .await;
    let moorline = Moorline::start(&app, SPEC).await;
    let mut client = moorline.connect("/ws").await;
    client.text("{}").await;
    assert_eq!(client.expect_text().await, "to the end");
}

#[tokio::test]
async fn a_chunked_answer_is_one_message() {
    let app = App::accepting(|_| {
        Answer::Raw(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n4\r\n two\r\n0\r\nX-Trailer: 1\r\n\r\n".to_vec())
    })
    .await;
    let moorline = Moorline::start(&app, SPEC).await;
    let mut client = moorline.connect("/ws").await;
    for _ in 0..3 {
        client.text("{}").await;
        assert_eq!(client.expect_text().await, "one two");
    }
}

#[tokio::test]
async fn an_http_1_0_app_works() {
    let app =
        App::accepting(|_| Answer::RawThenClose(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nold".to_vec()))
            .await;
    let moorline = Moorline::start(&app, SPEC).await;
    let mut client = moorline.connect("/ws").await;
    for _ in 0..3 {
        client.text("{}").await;
        assert_eq!(client.expect_text().await, "old");
    }
}

#[tokio::test]
async fn a_connect_answer_may_close_at_once() {
    let mut app = App::start(|request| {
        if request.target == "/connect" {
            Answer::status(200).header("Moorline-Close", "4003 full")
        } else {
            Answer::status(204)
        }
    })
    .await;
    let moorline = Moorline::start(&app, SPEC).await;
    let mut client = moorline.connect("/ws").await;
    assert_eq!(client.expect_close().await, (4003, "full".to_owned()));
    app.next_request().await;
    assert_eq!(app.next_request().await.header("moorline-disconnect-code"), Some("4003"));
}

#[tokio::test]
async fn at_most_a_hundred_groups_are_joined() {
    let mut app = App::accepting(|request| {
        Answer::status(200).header("Moorline-Join", request.text()).header("Content-Type", "text/plain").body("done")
    })
    .await;
    let moorline = Moorline::start(&app, SPEC).await;
    let mut client = moorline.connect("/ws").await;
    let id = app.next_request().await.header("moorline-connection-id").unwrap().to_owned();
    for number in 0..120 {
        client.text(&format!("g{number}")).await;
        assert_eq!(client.expect_text().await, "done");
    }
    let status = moorline.call("GET", &format!("/@connections/{id}"), "").await.json();
    assert_eq!(status["groups"].as_array().map(Vec::len), Some(100), "{status}");
}

#[tokio::test]
async fn pushes_keep_a_connection_from_being_idle() {
    let (mut app, moorline) = start("limits: {idleTimeout: 1s}").await;
    let mut client = moorline.connect("/ws").await;
    let mut idle = moorline.connect("/ws").await;
    let id = app.next_request().await.header("moorline-connection-id").unwrap().to_owned();
    // For as long as the idle one lives, the other is pushed to.
    let closed = async { idle.expect_close().await.0 };
    let pushing = async {
        loop {
            assert_eq!(moorline.call("POST", &format!("/@connections/{id}"), "x").await.status, 200);
            assert_eq!(client.expect_text().await, "x");
        }
    };
    tokio::select! {
        code = closed => assert_eq!(code, 1001),
        () = pushing => unreachable!("pushes for ever"),
    }
    client.text("{}").await;
    // A last push may be on its way.
    while client.expect_text().await != "{}" {}
}

#[tokio::test]
async fn failures_of_disconnect_are_counted() {
    let mut app = App::start(|request| Answer::status(if request.target == "/gone" { 500 } else { 204 })).await;
    let moorline = Moorline::start(&app, SPEC).await;
    let mut client = moorline.connect("/ws").await;
    client.close(1000, "").await;
    client.expect_close().await;
    while app.next_request().await.target != "/gone" {}
    crate::support::within("the failure to be counted", async {
        while !moorline
            .metrics()
            .await
            .lines()
            .any(|line| line.contains("disconnect") && !line.starts_with('#') && !line.ends_with(" 0"))
        {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn no_payload_id_or_path_becomes_a_label() {
    let (mut app, moorline) = start("").await;
    let mut client = moorline.connect("/ws").await;
    let id = app.next_request().await.header("moorline-connection-id").unwrap().to_owned();
    client.text(r#"{"action":"get","id":"secret-value"}"#).await;
    client.expect_text().await;
    client.text(r#"{"action":"no-such-action"}"#).await;
    client.expect_text().await;
    let metrics = moorline.metrics().await;
    for secret in [id.as_str(), "secret-value", "no-such-action"] {
        assert!(!metrics.contains(secret), "{secret} in the metrics");
    }
}

#[tokio::test]
async fn forwarded_chains_over_several_lines_are_one_chain() {
    let (mut app, moorline) = start("trustedProxies: [127.0.0.1]\n").await;
    let request =
        Request::upgrade("/ws").header("X-Forwarded-For", "203.0.113.9").header("X-Forwarded-For", "198.51.100.1");
    let _client = moorline.handshake(&request).await;
    let connect = app.next_request().await;
    assert_eq!(connect.header("x-forwarded-for"), Some("203.0.113.9, 198.51.100.1, 127.0.0.1"));
    let id = connect.header("moorline-connection-id").unwrap();
    let status = moorline.call("GET", &format!("/@connections/{id}"), "").await.json();
    assert_eq!(
        status["identity"]["sourceIp"], "198.51.100.1",
        "the nearest that no trusted proxy vouches for is the client"
    );
}

#[tokio::test]
async fn a_client_that_sends_after_its_close_is_not_heard() {
    let (mut app, moorline) = start("").await;
    let mut client = moorline.connect("/ws").await;
    let bytes = [Frame::close(1000, "").bytes(), Frame::new(TEXT, "too late").bytes()].concat();
    client.raw(&bytes).await;
    client.expect_close().await;
    assert_eq!(app.next_call().await.target, "/gone");
    assert!(app.try_request().is_none());
}

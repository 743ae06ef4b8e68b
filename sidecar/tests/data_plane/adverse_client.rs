//! A client at its worst. It is closed or refused by name, and nobody else notices.

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::app::{Answer, App, Gate};
use crate::support::client::Client;
use crate::support::eventually;
use crate::support::frame::{BINARY, CONTINUATION, Frame, PING, TEXT};
use crate::support::http::{Request, read_answer};
use crate::support::moorline::{Moorline, document, settings};
use crate::support::received::Buffer;
use crate::support::within;

const SPEC: &str = "
path: /ws
routes:
- {key: $connect, request: {method: POST, path: /connect}}
- {key: $default, request: {method: POST, path: /messages}}
- {key: $disconnect, request: {method: POST, path: /gone}}
";

async fn start() -> (App, Moorline) {
    let app = App::accepting(|_| Answer::json("{}")).await;
    let moorline = Moorline::start(&app, SPEC).await;
    (app, moorline)
}

async fn assert_alive(moorline: &Moorline) {
    let mut other = moorline.connect("/ws").await;
    other.text("{}").await;
    assert_eq!(other.expect_text().await, "{}");
}

#[tokio::test]
async fn ten_megabytes_against_the_limit_are_1009_and_never_reach_the_app() {
    let (mut app, moorline) = start().await;
    let mut client = moorline.connect("/ws").await;
    let message = Frame::new(BINARY, vec![1; 10 << 20]).bytes();
    client.raw_if_open(&message).await;
    assert_eq!(client.read_close().await, (1009, "message too big".to_owned()));
    assert_eq!(app.next_call().await.target, "/gone");
    assert_alive(&moorline).await;
}

#[tokio::test]
async fn ten_megabytes_in_small_fragments_are_1009() {
    let (mut app, moorline) = start().await;
    let mut client = moorline.connect("/ws").await;
    let mut bytes = Frame::begun(TEXT, "x").bytes();
    for _ in 0..10_240 {
        bytes.extend(Frame::begun(CONTINUATION, vec![b'x'; 1024]).bytes());
    }
    client.raw_if_open(&bytes).await;
    assert_eq!(client.read_close().await.0, 1009);
    assert_eq!(app.next_call().await.target, "/gone");
}

#[tokio::test]
async fn a_flood_of_pings_is_answered_or_closed_and_holds_nobody_up() {
    let (_app, moorline) = start().await;
    let mut client = Client::narrow(moorline.client, "/ws").await;
    let pings = Frame::new(PING, vec![b'p'; 125]).bytes().repeat(1000);
    for _ in 0..50 {
        if tokio::time::timeout(std::time::Duration::from_millis(100), client.raw_if_open(&pings)).await.is_err() {
            break;
        }
    }
    assert_alive(&moorline).await;
}

#[tokio::test]
async fn a_flood_of_empty_fragments_holds_nobody_up() {
    let (_app, moorline) = start().await;
    let mut client = moorline.connect("/ws").await;
    client.frame(&Frame::begun(TEXT, "")).await;
    client.raw_if_open(&Frame::begun(CONTINUATION, "").bytes().repeat(100_000)).await;
    assert_alive(&moorline).await;
}

#[tokio::test]
async fn a_header_flood_is_refused_without_a_call() {
    let (mut app, moorline) = start().await;
    let mut many = Request::upgrade("/ws");
    for number in 0..2000 {
        many = many.header(&format!("X-{number}"), "0123456789");
    }
    let one = Request::upgrade("/ws").header("X-Big", &"x".repeat(20 * 1024));
    let target = Request::upgrade(&format!("/ws?{}", "q".repeat(20 * 1024)));
    for request in [many, one, target] {
        let mut stream = TcpStream::connect(moorline.client).await.unwrap();
        let _ = stream.write_all(&request.bytes(moorline.client)).await;
        let answer = within("an answer or the end", read_answer(&mut Buffer::default(), &mut stream)).await;
        if let Some(answer) = answer {
            assert!([400, 414, 431].contains(&answer.status), "{}", answer.status);
        }
    }
    assert!(app.try_request().is_none());
    assert_alive(&moorline).await;
}

#[tokio::test]
async fn headers_just_under_the_limit_pass() {
    let (mut app, moorline) = start().await;
    let request = Request::upgrade("/ws").header("X-Big", &"x".repeat(15 * 1024));
    let _client = moorline.handshake(&request).await;
    assert_eq!(app.next_request().await.header("x-big").map(str::len), Some(15 * 1024));
}

#[tokio::test]
async fn a_slow_handshake_is_ended_in_time() {
    let (mut app, moorline) = start().await;
    let mut stream = TcpStream::connect(moorline.client).await.unwrap();
    stream.write_all(b"GET /ws HTTP/1.1\r\nHost: x\r\nX-Slow: ").await.unwrap();
    // 10 s by default, and the deadline of the test is above that.
    let answer = within("the end of a slow handshake", Buffer::default().rest(&mut stream)).await;
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&answer));
    assert!(app.try_request().is_none());
}

#[tokio::test]
async fn a_silent_connection_is_ended_in_time() {
    let (_app, moorline) = start().await;
    let mut stream = TcpStream::connect(moorline.client).await.unwrap();
    within("the end of a silent connection", Buffer::default().rest(&mut stream)).await;
}

#[tokio::test]
async fn garbage_instead_of_http_is_refused() {
    let (_app, moorline) = start().await;
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"\r\n\r\n\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(moorline.client).await.unwrap();
        stream.write_all(garbage).await.unwrap();
        let answer = within("an answer to garbage", Buffer::default().rest(&mut stream)).await;
        assert!(!answer.starts_with(b"HTTP/1.1 1"), "{}", String::from_utf8_lossy(&answer));
    }
    assert_alive(&moorline).await;
}

#[tokio::test]
async fn a_smuggled_second_request_is_not_served() {
    let (mut app, moorline) = start().await;
    let request = Request::new("GET", "/nowhere")
        .header("Content-Length", "5")
        .header("Transfer-Encoding", "chunked")
        .bytes(moorline.client);
    let mut stream = TcpStream::connect(moorline.client).await.unwrap();
    stream.write_all(&request).await.unwrap();
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    stream.write_all(&Request::upgrade("/ws").bytes(moorline.client)).await.unwrap();
    let answer = within("an answer", Buffer::default().rest(&mut stream)).await;
    let text = String::from_utf8_lossy(&answer);
    assert!(!text.contains("101 Switching"), "{text}");
    assert!(app.try_request().is_none());
}

#[tokio::test]
async fn a_half_open_peer_is_lost_after_its_call_has_run_out() {
    let gate = Gate::new();
    let held = gate.clone();
    let mut app = App::accepting(move |request| {
        if request.target == "/gone" { Answer::status(204) } else { Answer::json(r#"{"late":1}"#).after(&held) }
    })
    .await;
    let moorline = Moorline::start(&app, SPEC).await;
    let mut client = moorline.connect("/ws").await;
    client.text("{}").await;
    app.next_call().await;
    client.half_close().await;
    gate.open();
    // The end of input is the end of the connection; the call runs out and `$disconnect` comes after it.
    assert_eq!(app.next_call().await.header("moorline-disconnect-code"), Some("1006"));
}

#[tokio::test]
async fn a_peer_that_vanishes_during_a_call_lets_the_call_run_out() {
    let gate = Gate::new();
    let held = gate.clone();
    let mut app =
        App::accepting(
            move |request| {
                if request.target == "/gone" { Answer::status(204) } else { Answer::json("{}").after(&held) }
            },
        )
        .await;
    let moorline = Moorline::start(&app, SPEC).await;
    let mut client = moorline.connect("/ws").await;
    client.text("{}").await;
    app.next_call().await;
    client.reset();
    gate.open();
    assert_eq!(app.next_call().await.header("moorline-disconnect-code"), Some("1006"));
    let metrics = moorline.metrics().await;
    assert!(metrics.contains("undeliverable"), "no metric for an undeliverable answer:\n{metrics}");
}

#[tokio::test]
async fn many_half_sent_messages_are_bounded_by_the_process_wide_budget() {
    let app = App::accepting(|_| Answer::json("{}")).await;
    let mut settings = settings();
    settings.max_buffered_bytes = 1 << 20;
    let spec = format!("{SPEC}limits: {{messageBytes: 1048576, pingInterval: 300ms}}");
    let moorline = Moorline::with(settings, vec![document(&spec, app.address)]).await;
    let mut hoarders = Vec::new();
    for _ in 0..16 {
        let mut client = moorline.connect("/ws").await;
        let frame = Frame::new(BINARY, vec![0; 200_000]);
        let mut bytes = frame.header(1 << 20);
        bytes.extend([0; 4]);
        bytes.extend(&frame.payload);
        // A gateway that is out of budget does not read, so the kernel may not take it all.
        let _ = tokio::time::timeout(std::time::Duration::from_millis(200), client.raw_if_open(&bytes)).await;
        hoarders.push(client);
    }
    // They answer no ping, so in the end they are gone and the others are served.
    eventually("the hoarders to be ended", || moorline.handle.connections() == 0).await;
    assert_alive(&moorline).await;
}

#[tokio::test]
async fn connections_that_come_and_go_leave_nothing_behind() {
    let (mut app, moorline) = start().await;
    for round in 0..50 {
        let mut client = moorline.connect("/ws").await;
        match round % 3 {
            0 => client.reset(),
            1 => drop(client),
            _ => {
                client.close(1000, "").await;
                client.expect_close().await;
            }
        }
    }
    let mut gone = 0;
    while gone < 50 {
        gone += usize::from(app.next_request().await.target == "/gone");
    }
    eventually("every connection to be forgotten", || moorline.handle.connections() == 0).await;
    assert_eq!(moorline.call("GET", "/@all", "").await.json()["count"], 0);
}

#[tokio::test]
async fn a_flood_of_pings_from_a_client_that_reads_nothing_is_not_answered_ping_by_ping() {
    const FLOOD_BYTES: usize = 32 << 20;
    let app = App::echo().await;
    let moorline =
        Moorline::start(&app, "path: /ws\nroutes:\n- {key: $default, request: {method: POST, path: /m}}\n").await;
    let mut client = Client::narrow(moorline.client, "/ws").await;
    let ping = Frame::new(PING, "x".repeat(125)).bytes();
    let burst: Vec<u8> = ping.repeat(500);
    for _ in 0..FLOOD_BYTES / burst.len() {
        client.raw(&burst).await;
    }
    client.frame(&Frame::new(PING, "last")).await;
    // Had every answer been kept, all of them would come now. What comes is what the sockets and a small buffer held.
    let mut answered = 0;
    while client.next_frame().await.expect("still open").payload != b"last" {
        answered += 127;
    }
    assert!(answered < FLOOD_BYTES / 3, "{answered} bytes of answers");
}

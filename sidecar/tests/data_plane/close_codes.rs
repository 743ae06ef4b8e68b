//! The table of `docs/close-codes.md`, row by row: what the client sees, what `$disconnect` is told.

use crate::support::app::{Answer, App};
use crate::support::client::Client;
use crate::support::frame::{BINARY, CLOSE, CONTINUATION, Frame, TEXT};
use crate::support::moorline::{Moorline, document_of, route};
use crate::support::received::Received;

const SPEC: &str = "
path: /ws
routes:
- {key: $connect, request: {method: POST, path: /connect}}
- {key: $default, request: {method: POST, path: /messages}}
- {key: $disconnect, request: {method: POST, path: /gone}}
";

async fn start(spec: &str) -> (App, Moorline, Client) {
    let app =
        App::start(|request| if request.target == "/messages" { Answer::json("{}") } else { Answer::status(204) })
            .await;
    let moorline = Moorline::start(&app, &format!("{SPEC}{spec}")).await;
    let client = moorline.connect("/ws").await;
    (app, moorline, client)
}

async fn gone(app: &mut App) -> Received {
    loop {
        let request = app.next_request().await;
        if request.target == "/gone" {
            return request;
        }
    }
}

/// Expects the next `$disconnect` to tell this.
async fn assert_told(app: &mut App, code: u16, reason: &str) {
    let request = gone(app).await;
    assert_eq!(request.header("moorline-disconnect-code"), Some(code.to_string().as_str()));
    assert_eq!(request.header("moorline-disconnect-reason").unwrap_or_default(), reason);
    assert_eq!(request.header("moorline-event"), Some("DISCONNECT"));
    assert!(request.header("moorline-connection-id").is_some());
}

#[tokio::test]
async fn the_clients_own_code_is_echoed_and_told() {
    let (mut app, _moorline, mut client) = start("").await;
    client.close(4321, "over & out \u{e9}").await;
    assert_eq!(client.expect_close().await.0, 4321);
    assert_told(&mut app, 4321, "over & out %C3%A9").await;
}

#[tokio::test]
async fn a_close_without_a_code_is_told_as_1005() {
    let (mut app, _moorline, mut client) = start("").await;
    client.frame(&Frame::new(CLOSE, "")).await;
    assert_eq!(client.read_close().await.0, 1005);
    client.expect_end().await;
    assert_told(&mut app, 1005, "").await;
}

#[tokio::test]
async fn a_lost_connection_is_told_as_1006() {
    let (mut app, _moorline, client) = start("").await;
    client.reset();
    assert_eq!(gone(&mut app).await.header("moorline-disconnect-code"), Some("1006"));
}

#[tokio::test]
async fn an_end_without_a_close_is_told_as_1006() {
    let (mut app, _moorline, mut client) = start("").await;
    client.half_close().await;
    assert_eq!(gone(&mut app).await.header("moorline-disconnect-code"), Some("1006"));
}

#[tokio::test]
async fn a_client_that_never_answers_pings_is_told_as_1006_and_sent_nothing() {
    let (mut app, _moorline, mut client) = start("limits: {pingInterval: 100ms}").await;
    while let Some(frame) = client.next_frame().await {
        assert_eq!(frame.opcode, 9, "only pings: {frame:?}");
    }
    assert_eq!(gone(&mut app).await.header("moorline-disconnect-code"), Some("1006"));
}

#[tokio::test]
async fn an_idle_client_is_closed_with_1001() {
    let (mut app, _moorline, mut client) = start("limits: {idleTimeout: 300ms}").await;
    assert_eq!(client.expect_close().await, (1001, "idle timeout".to_owned()));
    assert_told(&mut app, 1001, "idle timeout").await;
}

#[tokio::test]
async fn a_client_of_the_maximum_age_is_closed_with_1001() {
    let (mut app, _moorline, mut client) = start("limits: {maxAge: 300ms, maxAgeJitterPercent: 50}").await;
    assert_eq!(client.expect_close().await, (1001, "maximum age reached".to_owned()));
    assert_told(&mut app, 1001, "maximum age reached").await;
}

#[tokio::test]
async fn clients_of_a_removed_route_are_closed_with_1001() {
    let (mut app, moorline, mut client) = start("").await;
    let other = route("other", "path: /other\nroutes:\n- {key: $default, request: {method: POST, path: /x}}");
    moorline.handle.reload(vec![document_of(&[other], app.address)]);
    assert_eq!(client.expect_close().await, (1001, "route removed".to_owned()));
    assert_told(&mut app, 1001, "route removed").await;
}

async fn assert_closed_by(spec: &str, bytes: &[u8], code: u16, reason: &str) {
    let (mut app, _moorline, mut client) = start(spec).await;
    client.raw(bytes).await;
    assert_eq!(client.expect_close().await, (code, reason.to_owned()), "{:x?}", &bytes[..bytes.len().min(8)]);
    assert_told(&mut app, code, reason).await;
}

#[tokio::test]
async fn broken_frames_are_closed_with_1002() {
    let text = || Frame::new(TEXT, "x");
    let mut long_ping = Frame::new(9, vec![b'x'; 126]);
    for frame in [
        Frame { masked: false, ..text() },
        Frame { reserved: 4, ..text() },
        Frame { reserved: 2, ..text() },
        Frame { reserved: 1, ..text() },
        Frame { opcode: 3, ..text() },
        Frame { opcode: 7, ..text() },
        Frame { opcode: 0xB, ..text() },
        Frame { opcode: 0xF, ..text() },
        Frame { opcode: CONTINUATION, ..text() },
        Frame { fin: false, opcode: 9, ..text() },
        std::mem::replace(&mut long_ping, text()),
        Frame::new(CLOSE, [0x03]),
    ] {
        assert_closed_by("", &frame.bytes(), 1002, "protocol error").await;
    }
}

#[tokio::test]
async fn a_message_begun_inside_another_is_closed_with_1002() {
    let bytes = [Frame::begun(TEXT, "a").bytes(), Frame::new(BINARY, "b").bytes()].concat();
    assert_closed_by("", &bytes, 1002, "protocol error").await;
}

#[tokio::test]
async fn close_codes_nobody_may_send_are_closed_with_1002() {
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535] {
        assert_closed_by("", &Frame::close(code, "").bytes(), 1002, "protocol error").await;
    }
}

#[tokio::test]
async fn text_that_is_not_utf8_is_closed_with_1007() {
    for payload in [&b"\xff"[..], b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"caf\xc3"] {
        assert_closed_by("", &Frame::new(TEXT, payload).bytes(), 1007, "invalid UTF-8").await;
    }
    let split = [Frame::begun(TEXT, b"caf\xc3").bytes(), Frame::new(CONTINUATION, b"(").bytes()].concat();
    assert_closed_by("", &split, 1007, "invalid UTF-8").await;
}

#[tokio::test]
async fn a_close_reason_that_is_not_utf8_is_refused() {
    let (mut app, _moorline, mut client) = start("").await;
    client.frame(&Frame::new(CLOSE, b"\x03\xe8\xff")).await;
    let (code, _) = client.expect_close().await;
    assert!([1002, 1007].contains(&code), "{code}");
    gone(&mut app).await;
}

#[tokio::test]
async fn a_message_over_the_limit_is_closed_with_1009() {
    let message = Frame::new(BINARY, vec![0; 1025]).bytes();
    assert_closed_by("limits: {messageBytes: 1024, frameBytes: 1024}", &message, 1009, "message too big").await;
}

#[tokio::test]
async fn fragments_over_the_limit_together_are_closed_with_1009() {
    let bytes = [Frame::begun(BINARY, vec![0; 600]).bytes(), Frame::new(CONTINUATION, vec![0; 600]).bytes()].concat();
    assert_closed_by("limits: {messageBytes: 1024, frameBytes: 1024}", &bytes, 1009, "message too big").await;
}

#[tokio::test]
async fn a_message_of_exactly_the_limit_passes() {
    let (mut app, _moorline, mut client) = start("").await;
    client.binary(&vec![7; 128 * 1024]).await;
    assert_eq!(app.next_call().await.body.len(), 128 * 1024);
}

#[tokio::test]
async fn an_announced_length_over_the_limit_is_closed_at_once_with_1009() {
    for length in [128 * 1024 + 1, 10 << 20, 1 << 40, u64::MAX >> 1] {
        let begun = [Frame::new(BINARY, "").header(length), vec![0; 4]].concat();
        assert_closed_by("", &begun, 1009, "message too big").await;
    }
}

#[tokio::test]
async fn a_slow_consumer_of_publishes_is_told_as_1008() {
    let app = App::start(|_| Answer::status(204)).await;
    let mut app = app;
    let moorline = Moorline::start(&app, &format!("{SPEC}limits: {{queueBytes: 65536}}")).await;
    let _client = Client::narrow(moorline.client, "/ws").await;
    let big = format!(r#""{}""#, "x".repeat(60_000));
    // The kernel's buffers fill first, then the queue; then the publish reaches nobody.
    while moorline.call("POST", "/@all", &big).await.json()["reached"] == 1 {}
    assert_told(&mut app, 1008, "slow consumer").await;
}

#[tokio::test]
async fn a_slow_consumer_that_reads_again_finds_the_1008() {
    let app = App::start(|_| Answer::status(204)).await;
    let mut app = app;
    let moorline = Moorline::start(&app, &format!("{SPEC}limits: {{queueBytes: 65536}}")).await;
    let mut client = Client::narrow(moorline.client, "/ws").await;
    let big = format!(r#""{}""#, "x".repeat(60_000));
    while moorline.call("POST", "/@all", &big).await.json()["reached"] == 1 {}
    assert_eq!(client.expect_close().await, (1008, "slow consumer".to_owned()));
    assert_told(&mut app, 1008, "slow consumer").await;
}

#[tokio::test]
async fn a_client_over_its_message_rate_is_closed_with_1008_where_the_route_says_so() {
    let (mut app, _moorline, mut client) =
        start("limits: {messagesPerSecond: 1, messageBurst: 2, rateAction: Close}").await;
    for _ in 0..10 {
        client.raw_if_open(&Frame::new(TEXT, "{}").bytes()).await;
    }
    assert_eq!(client.expect_close().await, (1008, "message rate exceeded".to_owned()));
    assert_told(&mut app, 1008, "message rate exceeded").await;
}

#[tokio::test]
async fn a_failed_call_closes_with_1011_where_the_route_says_so() {
    let mut app = App::start(|request| Answer::status(if request.target == "/messages" { 500 } else { 204 })).await;
    let moorline = Moorline::start(&app, &format!("{SPEC}errors: {{action: Close}}")).await;
    let mut client = moorline.connect("/ws").await;
    client.text("{}").await;
    assert_eq!(client.expect_close().await, (1011, "call failed".to_owned()));
    assert_told(&mut app, 1011, "call failed").await;
}

#[tokio::test]
async fn draining_closes_with_1012() {
    let (mut app, moorline, mut client) = start("").await;
    let ((), closed) = tokio::join!(moorline.handle.drain(), client.expect_close());
    assert_eq!(closed, (1012, "service restart".to_owned()));
    assert_told(&mut app, 1012, "service restart").await;
}

#[tokio::test]
async fn the_app_closes_with_1000_or_with_its_own_code() {
    let long = "\u{e9}".repeat(100);
    for (query, code, reason) in [
        ("", 1000, None),
        ("?code=4000&reason=bye%20now", 4000, Some("bye now".to_owned())),
        (&format!("?code=3000&reason={}", "%C3%A9".repeat(100)), 3000, Some(long.chars().take(61).collect())),
    ] {
        let (mut app, moorline, mut client) = start("").await;
        let id = app.next_request().await.header("moorline-connection-id").unwrap().to_owned();
        assert_eq!(moorline.call("DELETE", &format!("/@connections/{id}{query}"), "").await.status, 204);
        let (seen_code, seen_reason) = client.expect_close().await;
        assert_eq!(seen_code, code);
        if let Some(reason) = reason {
            assert_eq!(seen_reason, reason, "cut to 123 bytes at a character");
        }
        assert_eq!(gone(&mut app).await.header("moorline-disconnect-code"), Some(code.to_string().as_str()));
    }
}

#[tokio::test]
async fn a_client_that_never_answers_our_close_is_left_after_a_while() {
    let (mut app, moorline, mut client) = start("limits: {idleTimeout: 200ms}").await;
    assert_eq!(client.read_close().await.0, 1001);
    client.expect_end().await;
    assert_told(&mut app, 1001, "idle timeout").await;
    crate::support::eventually("the connection to be forgotten", || moorline.handle.connections() == 0).await;
}

#[tokio::test]
async fn a_close_is_seen_although_more_input_was_on_its_way() {
    // A socket closed with unread input is reset, and the reset would destroy the Close.
    let (_app, _moorline, mut client) = start("limits: {messageBytes: 1024, frameBytes: 1024}").await;
    let mut bytes = Frame::new(BINARY, vec![0; 4096]).bytes();
    bytes.extend(vec![0; 200_000]);
    client.raw_if_open(&bytes).await;
    assert_eq!(client.read_close().await, (1009, "message too big".to_owned()));
}

#[tokio::test]
async fn every_close_is_told_exactly_once() {
    let (mut app, moorline, mut client) = start("").await;
    client.close(1000, "").await;
    client.expect_close().await;
    gone(&mut app).await;
    let mut second = moorline.connect("/ws").await;
    second.close(1000, "").await;
    second.expect_close().await;
    assert_eq!(app.next_request().await.target, "/connect", "a second $disconnect of the first connection");
    gone(&mut app).await;
    moorline.shut_down().await;
    assert!(app.try_request().is_none());
}

#[test]
fn the_documented_table_has_every_code_and_reason() {
    use moorline_sidecar::closing::CloseCause;
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/close-codes.md")).unwrap();
    for cause in [
        CloseCause::Application,
        CloseCause::Idle,
        CloseCause::MaxAge,
        CloseCause::RouteRemoved,
        CloseCause::ProtocolError,
        CloseCause::InvalidText,
        CloseCause::TooLarge,
        CloseCause::SlowConsumer,
        CloseCause::RateLimit,
        CloseCause::CallFailed,
        CloseCause::Drain,
    ] {
        let (code, reason) = (format!("| {} ", cause.code()), format!("`{}`", cause.reason()));
        assert!(page.lines().any(|line| line.contains(&code) && line.contains(&reason)), "no row for {cause:?}");
    }
}

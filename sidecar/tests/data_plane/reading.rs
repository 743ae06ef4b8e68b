//! When the socket is read: control frames during a long call, and no more than one message ahead.

use crate::support::app::{Answer, App, Gate};
use crate::support::frame::{Frame, PING};
use crate::support::moorline::Moorline;

const SPEC: &str = "
path: /ws
routes:
- {key: $connect, request: {method: POST, path: /connect}}
- {key: $default, request: {method: POST, path: /messages}}
- {key: $disconnect, request: {method: POST, path: /gone}}
";

async fn gated(limits: &str) -> (Gate, App, Moorline) {
    let gate = Gate::new();
    let held = gate.clone();
    let app = App::accepting(move |request| match request.target.as_str() {
        "/gone" => Answer::status(204),
        _ => Answer::status(200).header("Content-Type", "text/plain").body(&request.body).after(&held),
    })
    .await;
    let moorline = Moorline::start(&app, &format!("{SPEC}limits: {{{limits}}}")).await;
    (gate, app, moorline)
}

#[tokio::test]
async fn a_ping_is_answered_during_a_long_call() {
    let (gate, mut app, moorline) = gated("").await;
    let mut client = moorline.connect("/ws").await;
    client.text("slow").await;
    app.next_call().await;
    client.frame(&Frame::new(PING, "are you there")).await;
    assert_eq!(client.expect_pong().await, b"are you there");
    gate.open();
    assert_eq!(client.expect_text().await, "slow");
}

#[tokio::test]
async fn a_client_whose_keep_alive_is_shorter_than_one_call_survives_it() {
    let (gate, mut app, moorline) = gated("").await;
    let mut client = moorline.connect("/ws").await;
    client.text("slow").await;
    app.next_call().await;
    // Many keep-alive rounds, each answered before the next, all within one call.
    for round in 0..20 {
        client.frame(&Frame::new(PING, format!("{round}"))).await;
        assert_eq!(client.expect_pong().await, format!("{round}").into_bytes());
    }
    gate.open();
    assert_eq!(client.expect_text().await, "slow");
}

#[tokio::test]
async fn our_own_pings_go_out_and_are_answered_during_a_long_call() {
    let (gate, mut app, moorline) = gated("pingInterval: 500ms").await;
    let mut client = moorline.connect("/ws").await;
    client.text("slow").await;
    app.next_call().await;
    for _ in 0..3 {
        let frame = client.next_frame().await.expect("a ping");
        assert_eq!(frame.opcode, PING);
        client.frame(&Frame::new(0xA, &frame.payload)).await;
    }
    gate.open();
    assert_eq!(client.expect_text().await, "slow");
}

#[tokio::test]
async fn while_nothing_is_read_the_pong_deadline_stands_still() {
    let (gate, mut app, moorline) = gated("pingInterval: 500ms, idleTimeout: 1200ms").await;
    let mut client = moorline.connect("/ws").await;
    client.text("first").await;
    app.next_call().await;
    // Held complete, so from here on nothing is read and no pong can be seen.
    client.text("second").await;
    let mut pings = 0;
    while pings < 1 {
        pings += usize::from(client.next_frame().await.expect("still open").opcode == PING);
    }
    // Longer than two intervals and the idle timeout: another connection's life measures it.
    let mut other = moorline.connect("/ws").await;
    other.frame(&Frame::new(PING, "")).await;
    assert_eq!(other.expect_close().await.0, 1001, "the other one is idle for all its timeout");
    gate.open();
    assert_eq!(client.expect_text().await, "first");
    assert_eq!(client.expect_text().await, "second");
}

#[tokio::test]
async fn messages_wait_while_a_call_is_in_flight_and_none_is_lost() {
    let (gate, mut app, moorline) = gated("").await;
    let mut client = moorline.connect("/ws").await;
    for number in 0..10 {
        client.text(&format!("m{number}")).await;
    }
    assert_eq!(app.next_call().await.text(), "m0");
    // Another connection is served meanwhile, which shows that time went by without a second call of the first.
    let mut other = moorline.connect("/ws").await;
    other.text("other").await;
    assert_eq!(app.next_call().await.text(), "other");
    assert!(app.try_request().is_none());
    gate.open();
    for number in 1..10 {
        assert_eq!(app.next_call().await.text(), format!("m{number}"));
    }
    for number in 0..10 {
        assert_eq!(client.expect_text().await, format!("m{number}"));
    }
}

#[tokio::test]
async fn more_calls_are_in_flight_where_the_route_says_so() {
    let (gate, mut app, moorline) = gated("inFlight: 3").await;
    let mut client = moorline.connect("/ws").await;
    for number in 0..5 {
        client.text(&format!("m{number}")).await;
    }
    let mut seen =
        [app.next_call().await, app.next_call().await, app.next_call().await].map(|call| call.text().to_owned());
    seen.sort();
    assert_eq!(seen, ["m0", "m1", "m2"]);
    let mut other = moorline.connect("/ws").await;
    other.text("other").await;
    assert_eq!(app.next_call().await.text(), "other");
    assert!(app.try_request().is_none(), "a fourth call was in flight");
    gate.open();
    let mut answers = Vec::new();
    for _ in 0..5 {
        answers.push(client.expect_text().await);
    }
    answers.sort();
    assert_eq!(answers, ["m0", "m1", "m2", "m3", "m4"]);
}

#[tokio::test]
async fn a_close_during_a_call_ends_the_connection_and_the_call_runs_out() {
    let (gate, mut app, moorline) = gated("").await;
    let mut client = moorline.connect("/ws").await;
    client.text("slow").await;
    app.next_call().await;
    client.close(1000, "bye").await;
    assert_eq!(client.read_close().await.0, 1000, "answered although the call is in flight");
    gate.open();
    let gone = app.next_call().await;
    assert_eq!((gone.target.as_str(), gone.header("moorline-disconnect-code")), ("/gone", Some("1000")));
}

#[tokio::test]
async fn a_close_right_behind_a_message_does_not_lose_the_message() {
    let (gate, mut app, moorline) = gated("").await;
    gate.open();
    let mut client = moorline.connect("/ws").await;
    let mut bytes = Frame::new(1, "last words").bytes();
    bytes.extend(Frame::close(1000, "").bytes());
    client.raw(&bytes).await;
    assert_eq!(app.next_call().await.text(), "last words");
    assert_eq!(app.next_call().await.target, "/gone");
}

#[tokio::test]
async fn an_idle_timeout_does_not_cut_a_call() {
    let (gate, mut app, moorline) = gated("idleTimeout: 200ms").await;
    let mut client = moorline.connect("/ws").await;
    client.text("slow").await;
    app.next_call().await;
    // Another connection that is idle for all its timeout shows that it has passed.
    let mut other = moorline.connect("/ws").await;
    assert_eq!(other.expect_close().await.0, 1001);
    gate.open();
    assert_eq!(client.expect_text().await, "slow");
}

#[tokio::test]
async fn a_lost_connection_is_gone_while_its_call_still_runs() {
    let (gate, mut app, moorline) = gated("").await;
    let mut client = moorline.connect("/ws").await;
    client.text("slow").await;
    let id = app.next_call().await.header("moorline-connection-id").expect("an id").to_owned();
    drop(client);
    let target = format!("/@connections/{id}");
    crate::support::within("the connection to be gone", async {
        while moorline.call("GET", &target, "").await.status != 410 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    gate.open();
}

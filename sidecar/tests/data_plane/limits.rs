//! Bounds on connections, rates, calls and queues.

use crate::support::app::{Answer, App, Gate};
use crate::support::client::Client;
use crate::support::eventually;
use crate::support::frame::{Frame, TEXT};
use crate::support::http::Request;
use crate::support::moorline::{Moorline, document, settings};
use crate::support::within;

const SPEC: &str = "
path: /ws
routes:
- {key: $connect, request: {method: POST, path: /connect}}
- {key: $default, request: {method: POST, path: /messages}}
- {key: $disconnect, request: {method: POST, path: /gone}}
";

async fn start(limits: &str) -> (App, Moorline) {
    let app = App::start(|request| {
        if request.target == "/messages" {
            Answer::status(200).header("Content-Type", "text/plain").body(&request.body)
        } else {
            Answer::status(204)
        }
    })
    .await;
    let moorline = Moorline::start(&app, &format!("{SPEC}limits: {{{limits}}}")).await;
    (app, moorline)
}

#[tokio::test]
async fn connections_over_the_limit_of_a_route_get_503_and_a_place_becomes_free_again() {
    let (_app, moorline) = start("connections: 2").await;
    let mut first = moorline.connect("/ws").await;
    let _second = moorline.connect("/ws").await;
    let answer = moorline.refused(&Request::upgrade("/ws")).await;
    assert_eq!(answer.status, 503);
    assert!(answer.header("retry-after").is_some_and(|after| after.parse::<u32>().is_ok()));
    first.close(1000, "").await;
    first.expect_close().await;
    eventually("a free place", || moorline.handle.connections() < 2).await;
    let _third = moorline.connect("/ws").await;
}

#[tokio::test]
async fn a_refused_connect_gives_its_place_back() {
    let app = App::start(|_| Answer::status(403)).await;
    let moorline = Moorline::start(&app, &format!("{SPEC}limits: {{connections: 1}}")).await;
    for _ in 0..5 {
        assert_eq!(moorline.refused(&Request::upgrade("/ws")).await.status, 403);
    }
}

#[tokio::test]
async fn connects_in_flight_count_too() {
    let gate = Gate::new();
    let held = gate.clone();
    let mut app = App::start(move |_| Answer::status(204).after(&held)).await;
    let moorline = Moorline::start(&app, &format!("{SPEC}limits: {{connections: 1}}")).await;
    let second = async {
        app.next_request().await;
        assert_eq!(moorline.refused(&Request::upgrade("/ws")).await.status, 503);
        gate.open();
    };
    let (_client, ()) = tokio::join!(moorline.connect("/ws"), second);
}

#[tokio::test]
async fn the_process_wide_limit_counts_from_accept() {
    let app = App::echo().await;
    let mut settings = settings();
    settings.max_connections = Some(2);
    let moorline = Moorline::with(settings, vec![document(SPEC, app.address)]).await;
    let _client = moorline.connect("/ws").await;
    // Says nothing, and takes a place all the same.
    let _silent = tokio::net::TcpStream::connect(moorline.client).await.unwrap();
    let answer = moorline.refused(&Request::upgrade("/ws")).await;
    assert_eq!(answer.status, 503);
    assert!(answer.header("retry-after").is_some());
}

#[tokio::test]
async fn handshakes_over_the_accept_rate_get_429() {
    let (mut app, moorline) = start("acceptsPerSecond: 1, acceptBurst: 2").await;
    let mut refused = 0;
    for _ in 0..20 {
        let answer = Request::upgrade("/ws").send(moorline.client).await;
        if answer.status == 429 {
            assert!(answer.header("retry-after").is_some());
            refused += 1;
        }
    }
    assert!(refused > 0, "20 handshakes at once, 2 allowed, 1 a second after that");
    let mut asked = 0;
    while app.try_request().is_some_and(|request| request.target == "/connect" || request.target == "/gone") {
        asked += 1;
    }
    assert!(asked < 40, "a refused handshake asked the app");
}

#[tokio::test]
async fn over_the_message_rate_the_client_is_made_to_wait_and_loses_nothing() {
    let (mut app, moorline) = start("messagesPerSecond: 20, messageBurst: 1").await;
    let mut client = moorline.connect("/ws").await;
    for number in 0..10 {
        client.text(&format!("m{number}")).await;
    }
    for number in 0..10 {
        assert_eq!(app.next_call().await.text(), format!("m{number}"));
    }
}

#[tokio::test]
async fn no_more_app_connections_are_opened_than_the_route_allows() {
    let gate = Gate::new();
    let held = gate.clone();
    let mut app = App::accepting(move |_| Answer::json("{}").after(&held)).await;
    let moorline = Moorline::start(&app, &format!("{SPEC}limits: {{appConnections: 2}}")).await;
    let mut clients = Vec::new();
    for _ in 0..6 {
        clients.push(moorline.connect("/ws").await);
    }
    for client in &mut clients {
        client.text("{}").await;
    }
    app.next_call().await;
    app.next_call().await;
    gate.open();
    for client in &mut clients {
        assert_eq!(client.expect_text().await, "{}");
    }
    assert!(app.connections() <= 2, "{} connections", app.connections());
}

#[tokio::test]
async fn waiting_for_an_app_connection_counts_towards_the_call_timeout() {
    let app =
        App::accepting(|request| if request.text() == "stuck" { Answer::Never } else { Answer::json("{}") }).await;
    let mut app = app;
    let moorline = Moorline::start(&app, &format!("{SPEC}limits: {{appConnections: 1, callTimeout: 500ms}}")).await;
    let mut stuck = moorline.connect("/ws").await;
    let mut waiting = moorline.connect("/ws").await;
    stuck.text("stuck").await;
    app.next_call().await;
    waiting.text("{}").await;
    assert_eq!(stuck.expect_error().await.0, 504);
    // Either it got the place that became free, or its own time ran out first. Never does it hang.
    let frame = waiting.expect_json().await;
    assert!(frame == serde_json::json!({}) || frame["status"] == 504, "{frame}");
}

#[tokio::test]
async fn a_frame_larger_than_the_queue_fits_when_the_queue_is_empty() {
    let (mut app, moorline) = start("queueBytes: 1024").await;
    let mut client = moorline.connect("/ws").await;
    let big = "x".repeat(100_000);
    client.text(&big).await;
    assert_eq!(client.expect_text().await.len(), big.len());
    let id = app.next_request().await.header("moorline-connection-id").unwrap().to_owned();
    assert_eq!(moorline.call("POST", &format!("/@connections/{id}"), &big).await.status, 200);
    assert_eq!(client.expect_text().await.len(), big.len());
}

#[tokio::test]
async fn a_send_that_finds_the_queue_full_is_429_and_closes_nobody() {
    let (mut app, moorline) = start("queueBytes: 65536").await;
    let mut client = Client::narrow(moorline.client, "/ws").await;
    let id = app.next_request().await.header("moorline-connection-id").unwrap().to_owned();
    let big = "x".repeat(60_000);
    let mut sent = 0;
    let refused = loop {
        let answer = moorline.call("POST", &format!("/@connections/{id}"), &big).await;
        if answer.status != 200 {
            break answer;
        }
        sent += 1;
    };
    assert_eq!(refused.status, 429);
    assert_eq!(refused.header("x-amzn-errortype"), Some("LimitExceededException"));
    for _ in 0..sent {
        assert_eq!(client.expect_text().await.len(), big.len());
    }
    client.text("still here").await;
    assert_eq!(client.expect_text().await, "still here");
}

#[tokio::test]
async fn replies_wait_for_a_slow_reader_and_all_arrive() {
    let app =
        App::accepting(|_| Answer::status(200).header("Content-Type", "text/plain").body(vec![b'x'; 200_000])).await;
    let moorline = Moorline::start(&app, &format!("{SPEC}limits: {{queueBytes: 1024}}")).await;
    let mut client = Client::narrow(moorline.client, "/ws").await;
    for _ in 0..50 {
        client.raw(&Frame::new(TEXT, "{}").bytes()).await;
    }
    for _ in 0..50 {
        assert_eq!(client.expect_text().await.len(), 200_000);
    }
}

#[tokio::test]
async fn replies_nobody_reads_for_the_call_timeout_make_a_slow_consumer() {
    let app = App::accepting(|request| {
        if request.target == "/gone" { Answer::status(204) } else { Answer::status(200).body(vec![b'x'; 900_000]) }
    })
    .await;
    let mut app = app;
    let moorline = Moorline::start(&app, &format!("{SPEC}limits: {{queueBytes: 1024, callTimeout: 300ms}}")).await;
    let mut client = Client::narrow(moorline.client, "/ws").await;
    for _ in 0..50 {
        client.raw_if_open(&Frame::new(TEXT, "{}").bytes()).await;
    }
    loop {
        let call = app.next_call().await;
        if call.target == "/gone" {
            assert_eq!(call.header("moorline-disconnect-code"), Some("1008"));
            break;
        }
    }
}

#[tokio::test]
async fn clients_that_read_nothing_cannot_keep_the_process_wide_budget() {
    let app = App::accepting(|request| match request.text() {
        "big" => Answer::status(200).body(vec![b'x'; 100_000]),
        _ => Answer::json("{}"),
    })
    .await;
    let mut settings = settings();
    settings.max_buffered_bytes = 1 << 20;
    let spec = "
path: /ws
routes:
- {key: $default, request: {method: POST, path: /messages}}
limits: {pingInterval: 300ms, callTimeout: 1s}
";
    let moorline = Moorline::with(settings, vec![document(spec, app.address)]).await;
    let mut hogs = Vec::new();
    for _ in 0..6 {
        let mut hog = Client::narrow(moorline.client, "/ws").await;
        for _ in 0..33 {
            hog.raw_if_open(&Frame::new(TEXT, "big").bytes()).await;
        }
        hogs.push(hog);
    }
    // The hogs are given up, and then whoever reads is served.
    within("an honest client to be answered", async {
        while moorline.handle.connections() > 0 {
            tokio::task::yield_now().await;
        }
        let mut honest = moorline.connect("/ws").await;
        honest.text("{}").await;
        assert_eq!(honest.expect_text().await, "{}");
    })
    .await;
}

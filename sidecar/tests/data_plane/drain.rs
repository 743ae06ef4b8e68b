//! Leaving: handshakes refused, clients told, calls finished, the process still there.

use crate::support::app::{Answer, App, Gate};
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

#[tokio::test]
async fn a_drain_ends_when_every_client_is_gone_and_the_process_stays() {
    let mut app = App::echo().await;
    let moorline = Moorline::start(&app, SPEC).await;
    let mut clients = Vec::new();
    for _ in 0..5 {
        clients.push(moorline.connect("/ws").await);
    }
    let closes = async {
        for client in &mut clients {
            assert_eq!(client.expect_close().await.0, 1012);
        }
    };
    within("the drain", async { tokio::join!(moorline.handle.drain(), closes) }).await;
    assert_eq!(moorline.handle.connections(), 0);
    let mut told = 0;
    while told < 5 {
        told += usize::from(app.next_request().await.target == "/gone");
    }
    let answer = moorline.refused(&Request::upgrade("/ws")).await;
    assert_eq!(answer.status, 503);
    assert!(answer.header("retry-after").is_some());
    assert_eq!(Request::new("GET", "/readyz").send(moorline.admin).await.status, 200, "readiness is the app's too");
    assert_eq!(Request::new("GET", "/livez").send(moorline.admin).await.status, 200);
    assert_eq!(Request::new("GET", "/lb").send(moorline.admin).await.status, 503);
}

#[tokio::test]
async fn before_a_drain_load_balancers_are_told_to_come() {
    let app = App::echo().await;
    let moorline = Moorline::start(&app, SPEC).await;
    assert_eq!(Request::new("GET", "/lb").send(moorline.admin).await.status, 200);
}

#[tokio::test]
async fn a_call_in_flight_is_answered_before_the_close() {
    let gate = Gate::new();
    let held = gate.clone();
    let mut app = App::accepting(move |request| {
        if request.target == "/gone" { Answer::status(204) } else { Answer::json(r#"{"done":1}"#).after(&held) }
    })
    .await;
    let moorline = Moorline::start(&app, SPEC).await;
    let mut client = moorline.connect("/ws").await;
    client.text("{}").await;
    app.next_call().await;
    let script = async {
        gate.open();
        assert_eq!(client.expect_text().await, r#"{"done":1}"#);
        assert_eq!(client.expect_close().await.0, 1012);
    };
    within("the drain", async { tokio::join!(moorline.handle.drain(), script) }).await;
}

#[tokio::test]
async fn the_callback_api_drains_too_and_answers_when_done() {
    let app = App::echo().await;
    let moorline = Moorline::start(&app, SPEC).await;
    let mut client = moorline.connect("/ws").await;
    let (answer, closed) = tokio::join!(moorline.call("POST", "/@drain", ""), client.expect_close());
    assert_eq!((answer.status, closed.0), (200, 1012));
}

#[tokio::test]
async fn a_shutdown_ends_everything_and_frees_the_port() {
    let app = App::echo().await;
    let moorline = Moorline::start(&app, SPEC).await;
    let address = moorline.client;
    let mut client = moorline.connect("/ws").await;
    let ((), closed) = tokio::join!(moorline.shut_down(), client.expect_close());
    assert_eq!(closed.0, 1012);
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "the listener is still there");
}

#[tokio::test]
async fn a_client_that_ignores_the_close_does_not_hold_up_a_drain() {
    let app = App::echo().await;
    let moorline = Moorline::start(&app, SPEC).await;
    let _stubborn = moorline.connect("/ws").await;
    within("the drain", moorline.handle.drain()).await;
}

#[tokio::test]
async fn a_drain_ends_only_after_the_last_disconnect_call() {
    let gate = Gate::new();
    let held = gate.clone();
    let mut app =
        App::accepting(
            move |request| {
                if request.target == "/gone" { Answer::status(204).after(&held) } else { Answer::status(204) }
            },
        )
        .await;
    let moorline = Moorline::start(&app, SPEC).await;
    let mut client = moorline.connect("/ws").await;
    let mut drained = std::pin::pin!(moorline.handle.drain());
    assert!(futures_util::poll!(drained.as_mut()).is_pending());
    assert_eq!(client.expect_close().await.0, 1012);
    drop(client);
    while app.next_request().await.target != "/gone" {}
    assert!(futures_util::poll!(drained.as_mut()).is_pending(), "the call is still in flight");
    gate.open();
    within("the drain", drained).await;
}

#[tokio::test]
async fn without_connections_a_drain_ends_with_the_grace_and_not_with_the_window() {
    let app = App::echo().await;
    let mut settings = settings();
    settings.drain.window = std::time::Duration::from_hours(1);
    let moorline = Moorline::with(settings, vec![document(SPEC, app.address)]).await;
    within("the drain", moorline.handle.drain()).await;
}

#[tokio::test]
async fn the_end_of_a_drain_is_waited_for_and_not_begun() {
    let gate = Gate::new();
    let held = gate.clone();
    let mut app =
        App::accepting(
            move |request| {
                if request.target == "/gone" { Answer::status(204).after(&held) } else { Answer::status(204) }
            },
        )
        .await;
    let moorline = Moorline::start(&app, SPEC).await;
    let admin = moorline.admin;
    let mut client = moorline.connect("/ws").await;
    client.text("{}").await;
    while app.next_request().await.target != "/messages" {}
    assert!(!moorline.handle.is_draining());
    let mut drained = std::pin::pin!(moorline.handle.drain());
    assert!(futures_util::poll!(drained.as_mut()).is_pending());
    client.expect_close().await;
    drop(client);
    while app.next_request().await.target != "/gone" {}
    let mut waiting = tokio::task::JoinSet::new();
    waiting.spawn(async move { Request::new("GET", "/drained").send(admin).await });
    // Asked later and answered: the one before it is being waited with.
    assert_eq!(Request::new("GET", "/lb").send(admin).await.status, 503);
    assert!(waiting.try_join_next().is_none());
    gate.open();
    within("the drain", drained).await;
    assert_eq!(within("the answer", waiting.join_next()).await.unwrap().unwrap().status, 200);
    assert_eq!(Request::new("GET", "/drained").send(admin).await.status, 200, "and at once afterwards");
}

#[tokio::test]
async fn a_removed_route_lets_go_of_its_connections_over_the_drain_window() {
    let app = App::echo().await;
    let mut settings = settings();
    settings.drain.window = std::time::Duration::from_hours(1);
    let emptied = {
        let mut document = document(SPEC, app.address);
        document.routes.clear();
        document
    };
    let moorline = Moorline::with(settings, vec![document(SPEC, app.address)]).await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(moorline.connect("/ws").await);
    }
    moorline.handle.reload(vec![emptied]);
    assert_eq!(moorline.refused(&Request::upgrade("/ws")).await.status, 404);
    let closed = futures_util::future::select_all(clients.iter_mut().map(|client| Box::pin(client.read_close())));
    let ((code, reason), first, others) = within("the first close", closed).await;
    assert_eq!((code, reason.as_str()), (1001, "route removed"));
    drop(others);
    // The others go in their time; until then they are served.
    clients.remove(first);
    for client in &mut clients {
        client.text("{}").await;
        assert_eq!(client.expect_text().await, "{}");
    }
}

//! What an app does with answer headers: groups, users, targets, closing, state.

use serde_json::json;

use crate::support::app::{Answer, App};
use crate::support::client::Client;
use crate::support::moorline::Moorline;
use crate::support::received::Received;

const SPEC: &str = "
path: /ws
routes:
- {key: $connect, request: {method: POST, path: /connect}}
- {key: $default, request: {method: POST, path: /messages}}
- {key: $disconnect, request: {method: POST, path: /gone}}
";

/// An app that answers a message like `Moorline-Join: a` with that header, and anything else with 204.
async fn obedient() -> App {
    App::start(|request: &Received| {
        let mut answer = Answer::status(if request.text().starts_with('!') { 500 } else { 200 });
        for line in request.text().trim_start_matches('!').lines() {
            if let Some((name, value)) = line.split_once(": ") {
                answer = answer.header(name, value);
            }
        }
        answer.header("Content-Type", "text/plain").body(if request.target == "/messages" { "done" } else { "" })
    })
    .await
}

async fn tell(client: &mut Client, headers: &str) {
    client.text(headers).await;
    assert_eq!(client.expect_text().await, "done", "{headers}");
}

async fn reached(moorline: &Moorline, target: &str) -> u64 {
    moorline.call("POST", target, r#""push""#).await.json()["reached"].as_u64().unwrap()
}

#[tokio::test]
async fn an_app_puts_a_connection_into_groups_and_takes_it_out() {
    let app = obedient().await;
    let moorline = Moorline::start(&app, SPEC).await;
    let mut client = moorline.connect("/ws").await;
    tell(&mut client, "Moorline-Join: a, b%2Cc\nMoorline-Join: caf%C3%A9").await;
    for group in ["a", "b%2Cc", "caf%C3%A9"] {
        assert_eq!(reached(&moorline, &format!("/@groups/{group}")).await, 1, "{group}");
        assert_eq!(client.expect_text().await, r#""push""#);
    }
    tell(&mut client, "Moorline-Leave: a").await;
    assert_eq!(reached(&moorline, "/@groups/a").await, 0);
}

#[tokio::test]
async fn an_app_names_the_user_and_takes_the_name_away() {
    let mut app = obedient().await;
    let moorline = Moorline::start(&app, SPEC).await;
    let mut client = moorline.connect("/ws").await;
    tell(&mut client, "Moorline-User: ann").await;
    assert_eq!(reached(&moorline, "/@users/ann").await, 1);
    assert_eq!(client.expect_text().await, r#""push""#);
    tell(&mut client, "").await;
    app.next_call().await;
    assert_eq!(app.next_call().await.header("moorline-user"), Some("ann"));
    tell(&mut client, "Moorline-User: j%C3%BCrgen").await;
    tell(&mut client, "").await;
    app.next_call().await;
    assert_eq!(app.next_call().await.header("moorline-user"), Some("j%C3%BCrgen"));
    assert_eq!(reached(&moorline, "/@users/ann").await, 0);
}

#[tokio::test]
async fn an_app_sends_its_reply_elsewhere() {
    let app = obedient().await;
    let moorline = Moorline::start(&app, SPEC).await;
    let mut first = moorline.connect("/ws").await;
    let mut second = moorline.connect("/ws").await;
    tell(&mut second, "Moorline-Join: room\nMoorline-User: bob").await;
    for target in ["group:room", "user:bob"] {
        first.text(&format!("Moorline-Reply-To: {target}")).await;
        assert_eq!(second.expect_text().await, "done", "{target}");
    }
    first.text("Moorline-Reply-To: none").await;
    first.text("Moorline-Reply-To: all").await;
    assert_eq!(first.expect_text().await, "done");
    assert_eq!(second.expect_text().await, "done");
    tell(&mut first, "Moorline-Reply-To: sender").await;
}

#[tokio::test]
async fn an_app_closes_the_connection_after_its_reply() {
    let mut app = obedient().await;
    let moorline = Moorline::start(&app, SPEC).await;
    let mut client = moorline.connect("/ws").await;
    tell(&mut client, "Moorline-Close: 4001 see%20you").await;
    assert_eq!(client.expect_close().await, (4001, "see you".to_owned()));
    app.next_call().await;
    let gone = app.next_call().await;
    assert_eq!(gone.target, "/gone");
    assert_eq!(gone.header("moorline-disconnect-code"), Some("4001"));
}

#[tokio::test]
async fn state_comes_back_with_every_later_call_and_an_empty_value_removes_it() {
    let mut app = obedient().await;
    let moorline = Moorline::start(&app, SPEC).await;
    let mut client = moorline.connect("/ws").await;
    tell(&mut client, "Moorline-State-Cart: 17; x=y\nMoorline-State-Role: admin").await;
    tell(&mut client, "Moorline-State-Role: ").await;
    tell(&mut client, "").await;
    client.close(1000, "").await;
    client.expect_close().await;
    app.next_call().await;
    let second = app.next_call().await;
    assert_eq!(
        (second.header("moorline-state-cart"), second.header("moorline-state-role")),
        (Some("17; x=y"), Some("admin"))
    );
    let third = app.next_call().await;
    assert_eq!((third.header("moorline-state-cart"), third.header("moorline-state-role")), (Some("17; x=y"), None));
    let gone = app.next_call().await;
    assert_eq!((gone.target.as_str(), gone.header("moorline-state-cart")), ("/gone", Some("17; x=y")));
}

#[tokio::test]
async fn state_over_four_kibibytes_is_not_kept() {
    let mut app = obedient().await;
    let moorline = Moorline::start(&app, SPEC).await;
    let mut client = moorline.connect("/ws").await;
    tell(&mut client, &format!("Moorline-State-Big: {}", "x".repeat(5000))).await;
    tell(&mut client, "").await;
    app.next_call().await;
    assert_eq!(app.next_call().await.header("moorline-state-big"), None);
}

#[tokio::test]
async fn after_anything_but_success_only_a_close_is_honoured() {
    let mut app = obedient().await;
    let moorline = Moorline::start(&app, SPEC).await;
    let mut client = moorline.connect("/ws").await;
    client.text("!Moorline-Join: a\nMoorline-User: eve\nMoorline-State-X: 1\nMoorline-Reply-To: all").await;
    assert_eq!(client.expect_error().await.0, 500);
    assert_eq!(reached(&moorline, "/@groups/a").await, 0);
    tell(&mut client, "").await;
    app.next_call().await;
    let call = app.next_call().await;
    assert_eq!((call.header("moorline-user"), call.header("moorline-state-x")), (None, None));
    client.text("!Moorline-Close: 4002").await;
    assert_eq!(client.expect_error().await.0, 500);
    assert_eq!(client.expect_close().await.0, 4002);
}

#[tokio::test]
async fn what_an_app_says_wrongly_is_ignored_and_counted() {
    let app = obedient().await;
    let moorline = Moorline::start(&app, SPEC).await;
    let mut client = moorline.connect("/ws").await;
    for wrong in [
        "Moorline-Close: 1006",
        "Moorline-Close: x",
        "Moorline-Join: %ff",
        "Moorline-Reply-To: everyone",
        "Moorline-User: %0A",
    ] {
        tell(&mut client, wrong).await;
    }
    let metrics = moorline.metrics().await;
    assert!(metrics.contains("ignored"), "no metric for ignored answer headers:\n{metrics}");
}

#[tokio::test]
async fn effects_of_a_connect_answer_hold_before_the_first_message() {
    let app = App::start(|request| match request.target.as_str() {
        "/connect" => Answer::status(200)
            .header("Moorline-Join", "room")
            .header("Moorline-User", "ann")
            .header("Moorline-State-Plan", "gold"),
        _ => Answer::status(204),
    })
    .await;
    let mut app = app;
    let moorline = Moorline::start(&app, SPEC).await;
    let mut client = moorline.connect("/ws").await;
    assert_eq!(reached(&moorline, "/@groups/room").await, 1);
    assert_eq!(reached(&moorline, "/@users/ann").await, 1);
    client.text("{}").await;
    let call = app.next_call().await;
    assert_eq!((call.header("moorline-user"), call.header("moorline-state-plan")), (Some("ann"), Some("gold")));
}

#[tokio::test]
async fn a_push_during_connect_waits_for_the_101() {
    let gate = crate::support::app::Gate::new();
    let held = gate.clone();
    let mut app = App::start(move |_| Answer::status(200).after(&held)).await;
    let moorline = Moorline::start(&app, SPEC).await;
    let pushing = async {
        let id = app.next_request().await.header("moorline-connection-id").unwrap().to_owned();
        assert_eq!(moorline.call("POST", &format!("/@connections/{id}"), "early").await.status, 200);
        let joined = moorline.call("PUT", &format!("/@groups/room/connections/{id}"), "").await;
        assert_eq!(joined.status, 204);
        gate.open();
    };
    let (mut client, ()) = tokio::join!(moorline.connect("/ws"), pushing);
    assert_eq!(client.expect_text().await, "early");
    assert_eq!(moorline.call("POST", "/@groups/room", "{}").await.json(), json!({"reached": 1}));
}

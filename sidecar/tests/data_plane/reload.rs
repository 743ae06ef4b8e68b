//! A changed document takes effect without a socket noticing.

use crate::support::app::{Answer, App, Gate};
use crate::support::http::Request;
use crate::support::moorline::{Moorline, document, document_of, route};

fn spec(target: &str) -> String {
    format!(
        "path: /ws\nroutes:\n- {{key: $connect, request: {{method: POST, path: /connect}}}}\n\
         - {{key: $default, request: {{method: POST, path: {target}}}}}\n\
         - {{key: $disconnect, request: {{method: POST, path: /gone{target}}}}}\n"
    )
}

async fn app() -> App {
    App::accepting(|request| Answer::status(200).header("Content-Type", "text/plain").body(&request.target)).await
}

#[tokio::test]
async fn open_connections_follow_a_changed_route_with_their_next_message() {
    let app = app().await;
    let moorline = Moorline::start(&app, &spec("/old")).await;
    let mut client = moorline.connect("/ws").await;
    client.text("{}").await;
    assert_eq!(client.expect_text().await, "/old");
    let before = moorline.handle.config_hash();
    let reloaded = moorline.handle.reload(vec![document(&spec("/new"), app.address)]);
    assert_eq!((reloaded.added, reloaded.changed, reloaded.removed, reloaded.unchanged), (0, 1, 0, 0));
    assert_ne!(moorline.handle.config_hash(), before);
    client.text("{}").await;
    assert_eq!(client.expect_text().await, "/new");
}

#[tokio::test]
async fn a_call_in_flight_ends_under_the_document_it_began_with() {
    let gate = Gate::new();
    let held = gate.clone();
    let mut app = App::accepting(move |request| {
        Answer::status(200).header("Content-Type", "text/plain").body(&request.target).after(&held)
    })
    .await;
    let moorline = Moorline::start(&app, &spec("/old")).await;
    let mut client = moorline.connect("/ws").await;
    client.text("{}").await;
    assert_eq!(app.next_call().await.target, "/old");
    moorline.handle.reload(vec![document(&spec("/new"), app.address)]);
    gate.open();
    assert_eq!(client.expect_text().await, "/old");
}

#[tokio::test]
async fn a_removed_route_is_told_to_the_app_under_the_old_document_and_refuses_new_clients() {
    let mut app = app().await;
    let moorline = Moorline::start(&app, &spec("/old")).await;
    let mut client = moorline.connect("/ws").await;
    let reloaded = moorline.handle.reload(Vec::new());
    assert_eq!(reloaded.removed, 1);
    assert_eq!(client.expect_close().await.0, 1001);
    assert_eq!(app.next_call().await.target, "/gone/old");
    assert_eq!(moorline.refused(&Request::upgrade("/ws")).await.status, 404);
}

#[tokio::test]
async fn the_same_document_again_changes_nothing() {
    let app = app().await;
    let moorline = Moorline::start(&app, &spec("/same")).await;
    let mut client = moorline.connect("/ws").await;
    let hash = moorline.handle.config_hash();
    let reloaded = moorline.handle.reload(vec![document(&spec("/same"), app.address)]);
    assert_eq!((reloaded.changed, reloaded.unchanged), (0, 1));
    assert_eq!(moorline.handle.config_hash(), hash);
    client.text("{}").await;
    assert_eq!(client.expect_text().await, "/same");
}

#[tokio::test]
async fn a_route_that_is_added_serves_at_once_and_disturbs_nobody() {
    let app = app().await;
    let moorline = Moorline::start(&app, &spec("/one")).await;
    let mut client = moorline.connect("/ws").await;
    let second = route("second", "path: /two\nroutes:\n- {key: $default, request: {method: POST, path: /two}}");
    moorline.handle.reload(vec![document_of(&[route("test", &spec("/one")), second], app.address)]);
    let mut other = moorline.connect("/two").await;
    other.text("{}").await;
    assert_eq!(other.expect_text().await, "/two");
    client.text("{}").await;
    assert_eq!(client.expect_text().await, "/one");
}

#[tokio::test]
async fn limits_follow_too_where_they_concern_open_connections() {
    let app = app().await;
    let moorline = Moorline::start(&app, &spec("/x")).await;
    let first = moorline.connect("/ws").await;
    moorline.handle.reload(vec![document(&format!("{}limits: {{connections: 1}}", spec("/x")), app.address)]);
    assert_eq!(moorline.refused(&Request::upgrade("/ws")).await.status, 503);
    drop(first);
}

#[tokio::test]
async fn reloads_under_load_lose_no_message() {
    let app = app().await;
    let moorline = Moorline::start(&app, &spec("/a")).await;
    let mut client = moorline.connect("/ws").await;
    for round in 0..100 {
        let target = if round % 2 == 0 { "/b" } else { "/a" };
        client.text("{}").await;
        moorline.handle.reload(vec![document(&spec(target), app.address)]);
        let answer = client.expect_text().await;
        assert!(["/a", "/b"].contains(&answer.as_str()), "{answer}");
    }
}

#[tokio::test]
async fn a_moved_app_is_called_at_its_new_address() {
    let (old, mut new) = (app().await, app().await);
    let moorline = Moorline::start(&old, &spec("/x")).await;
    let mut client = moorline.connect("/ws").await;
    moorline.handle.reload(vec![document(&spec("/x"), new.address)]);
    drop(old);
    client.text("{}").await;
    assert_eq!(client.expect_text().await, "/x");
    assert_eq!(new.next_request().await.header("host").unwrap(), new.address.to_string());
}

#[tokio::test]
async fn a_rate_that_a_reload_sets_holds_for_live_connections() {
    let app = App::echo().await;
    let spec = "
path: /ws
routes:
- {key: $default, request: {method: POST, path: /messages}}
";
    let moorline = Moorline::start(&app, spec).await;
    let mut client = moorline.connect("/ws").await;
    client.text("{}").await;
    client.expect_text().await;
    let limited = format!("{spec}limits: {{messagesPerSecond: 1, messageBurst: 1, rateAction: Close}}");
    moorline.handle.reload(vec![crate::support::moorline::document(&limited, app.address)]);
    client.text("{}").await;
    client.expect_text().await;
    client.text("{}").await;
    assert_eq!(client.expect_close().await.0, 1008);
}

#[tokio::test]
async fn routes_that_share_an_app_do_not_refuse_each_others_calls() {
    use crate::support::moorline::{document_of, route, settings};
    let app = App::echo().await;
    let narrow = "
path: /narrow
limits: {connections: 1}
routes:
- {key: $default, request: {method: POST, path: /messages}}
";
    let wide = narrow.replace("/narrow", "/wide").replace("connections: 1", "appConnections: 64");
    let documents = vec![document_of(&[route("narrow", narrow), route("wide", &wide)], app.address)];
    let moorline = Moorline::with(settings(), documents).await;
    let mut clients = Vec::new();
    for _ in 0..100 {
        let mut client = moorline.connect("/wide").await;
        client.text("{}").await;
        clients.push(client);
    }
    for client in &mut clients {
        assert_eq!(client.expect_text().await, "{}");
    }
}

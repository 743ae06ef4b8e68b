//! Which subprotocol a connection gets.

use crate::support::app::{Answer, App};
use crate::support::http::Request;
use crate::support::moorline::Moorline;

const SPEC: &str = "
path: /ws
subprotocols: [v2.orders, v1.orders]
routes:
- {key: $connect, request: {method: POST, path: /connect}}
";

async fn chosen(app: App, spec: &str, offers: &[&str]) -> Option<String> {
    let moorline = Moorline::start(&app, spec).await;
    let request =
        offers.iter().fold(Request::upgrade("/ws"), |request, offer| request.header("Sec-WebSocket-Protocol", offer));
    let client = moorline.handshake(&request).await;
    client.answer.header("sec-websocket-protocol").map(str::to_owned)
}

fn app_that_picks(name: &'static str) -> impl Future<Output = App> {
    App::start(move |_| Answer::status(200).header("Sec-WebSocket-Protocol", name))
}

#[tokio::test]
async fn the_first_of_ours_that_was_offered_is_taken() {
    assert_eq!(chosen(App::echo().await, SPEC, &["v1.orders, v2.orders"]).await.as_deref(), Some("v2.orders"));
    assert_eq!(chosen(App::echo().await, SPEC, &["other", "v1.orders"]).await.as_deref(), Some("v1.orders"));
}

#[tokio::test]
async fn the_app_may_pick_among_the_offered_ones() {
    let offers = ["v2.orders, v1.orders, theirs"];
    assert_eq!(chosen(app_that_picks("v1.orders").await, SPEC, &offers).await.as_deref(), Some("v1.orders"));
    assert_eq!(chosen(app_that_picks("theirs").await, SPEC, &offers).await.as_deref(), Some("theirs"));
}

#[tokio::test]
async fn a_pick_that_was_not_offered_is_not_taken() {
    let picked = chosen(app_that_picks("unheard-of").await, SPEC, &["v1.orders"]).await;
    assert_eq!(picked.as_deref(), Some("v1.orders"));
}

#[tokio::test]
async fn a_client_whose_subprotocols_match_none_is_answered_without_one() {
    assert_eq!(chosen(App::echo().await, SPEC, &["other"]).await, None);
    assert_eq!(chosen(App::echo().await, SPEC, &[]).await, None);
    let without = SPEC.replace("subprotocols: [v2.orders, v1.orders]\n", "");
    assert_eq!(chosen(App::echo().await, &without, &["v1.orders"]).await, None);
}

#[tokio::test]
async fn the_offers_reach_no_call_but_the_pick_is_compared_exactly() {
    assert_eq!(chosen(App::echo().await, SPEC, &["V2.orders"]).await, None);
}

#[tokio::test]
async fn no_extension_is_ever_negotiated() {
    let app = App::echo().await;
    let moorline = Moorline::start(&app, SPEC).await;
    let request =
        Request::upgrade("/ws").header("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits");
    let client = moorline.handshake(&request).await;
    assert_eq!(client.answer.header("sec-websocket-extensions"), None);
}

#[tokio::test]
async fn the_app_is_told_what_was_offered() {
    let mut app = App::echo().await;
    let moorline = Moorline::start(&app, SPEC).await;
    let request = Request::upgrade("/ws").header("Sec-WebSocket-Protocol", "a, v1.orders");
    let _client = moorline.handshake(&request).await;
    assert_eq!(app.next_request().await.header("moorline-subprotocols"), Some("a, v1.orders"));
}

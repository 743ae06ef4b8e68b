//! Which web pages may connect. Every refusal is 403 before any call.

use crate::support::app::App;
use crate::support::http::Request;
use crate::support::moorline::{Moorline, document, settings};

const ROUTES: &str = "
path: /ws
routes:
- {key: $connect, request: {method: POST, path: /connect}}
- {key: $default, request: {method: POST, path: /messages}}
";

fn from(host: &str, origin: &str) -> Request {
    Request::upgrade("/ws").header("Host", host).header("Origin", origin)
}

async fn assert_origins(spec: &str, host: &str, allowed: &[&str], refused: &[&str]) {
    let mut app = App::echo().await;
    let moorline = Moorline::start(&app, &format!("{ROUTES}{spec}")).await;
    for origin in allowed {
        let answer = from(host, origin).send(moorline.client).await;
        assert_eq!(answer.status, 101, "{origin} at {host} with {spec}: {}", answer.text());
        app.next_request().await;
    }
    for origin in refused {
        let answer = from(host, origin).send(moorline.client).await;
        assert_eq!(answer.status, 403, "{origin} at {host} with {spec}");
        assert!(answer.text().contains("allowedOrigins"), "the field is named: {}", answer.text());
    }
    assert!(app.try_request().is_none(), "the app was asked about a refused origin");
}

#[tokio::test]
async fn without_a_list_only_pages_of_the_same_host_and_port_connect() {
    assert_origins(
        "",
        "shop.example:8080",
        &["http://shop.example:8080", "https://shop.example:8080", "http://SHOP.example:8080"],
        &[
            "http://shop.example",
            "http://shop.example:8081",
            "http://evil.example:8080",
            "null",
            "http://a.shop.example:8080",
            "shop.example:8080",
            "",
        ],
    )
    .await;
}

#[tokio::test]
async fn a_missing_port_is_the_default_of_the_origins_scheme() {
    assert_origins(
        "",
        "shop.example",
        &["http://shop.example", "https://shop.example", "https://shop.example:443"],
        &["https://shop.example:8443"],
    )
    .await;
}

#[tokio::test]
async fn a_list_replaces_the_same_origin_rule() {
    assert_origins(
        "allowedOrigins: ['https://app.example', 'https://*.pages.example']",
        "shop.example",
        &["https://app.example", "https://a.pages.example", "https://a.b.pages.example"],
        &[
            "http://app.example",
            "https://pages.example",
            "https://shop.example",
            "https://evilpages.example",
            "https://a.pages.example.evil",
            "null",
        ],
    )
    .await;
}

#[tokio::test]
async fn a_star_allows_every_page_and_withholds_its_cookie() {
    let mut app = App::echo().await;
    let moorline = Moorline::start(&app, &format!("{ROUTES}allowedOrigins: ['*']")).await;
    for origin in ["https://anything.example", "null"] {
        let request = from("shop.example", origin).header("Cookie", "session=1").header("Authorization", "Bearer x");
        let mut client = moorline.handshake(&request).await;
        let connect = app.next_request().await;
        assert_eq!(connect.header("cookie"), None);
        assert_eq!(connect.header("authorization"), Some("Bearer x"));
        client.text("{}").await;
        assert_eq!(app.next_request().await.header("cookie"), None);
    }
}

#[tokio::test]
async fn a_star_forwards_the_cookie_when_it_is_named() {
    let mut app = App::echo().await;
    let moorline = Moorline::start(&app, &format!("{ROUTES}allowedOrigins: ['*']\nforwardHeaders: [Cookie]")).await;
    let mut client =
        moorline.handshake(&from("shop.example", "https://anything.example").header("Cookie", "session=1")).await;
    assert_eq!(app.next_request().await.header("cookie"), Some("session=1"));
    client.text("{}").await;
    assert_eq!(app.next_request().await.header("cookie"), Some("session=1"));
}

#[tokio::test]
async fn a_client_that_is_not_a_browser_sends_no_origin_and_passes() {
    let app = App::echo().await;
    let moorline = Moorline::start(&app, &format!("{ROUTES}allowedOrigins: ['https://app.example']")).await;
    let _client = moorline.connect("/ws").await;
}

#[tokio::test]
async fn behind_a_trusted_proxy_the_forwarded_host_is_compared() {
    let app = App::echo().await;
    let spec = format!("{ROUTES}trustedProxies: [127.0.0.0/8]");
    let moorline = Moorline::with(settings(), vec![document(&spec, app.address)]).await;
    let request = from("internal:8800", "https://shop.example").header("X-Forwarded-Host", "shop.example");
    let _client = moorline.handshake(&request).await;
}

#[tokio::test]
async fn a_forwarded_host_of_anyone_else_changes_nothing() {
    assert_origins("", "internal", &[], &["https://evil.example"]).await;
    let app = App::echo().await;
    let moorline = Moorline::start(&app, ROUTES).await;
    let request = from("internal", "https://evil.example").header("X-Forwarded-Host", "evil.example");
    assert_eq!(moorline.refused(&request).await.status, 403);
}

#[tokio::test]
async fn two_origins_are_refused() {
    let app = App::echo().await;
    let moorline = Moorline::start(&app, ROUTES).await;
    let request = from("shop.example", "https://shop.example").header("Origin", "https://evil.example");
    let status = moorline.refused(&request).await.status;
    assert!([400, 403].contains(&status), "{status}");
}

#[tokio::test]
async fn a_withheld_cookie_cannot_be_read_by_an_expression_either() {
    let mut app = App::echo().await;
    let spec = "
path: /ws
allowedOrigins: [\"*\"]
headers: {X-Session: \"${request.header.cookie}\"}
routes:
- {key: $default, request: {method: POST, path: /messages}}
";
    let moorline = Moorline::start(&app, spec).await;
    let request = Request::upgrade("/ws").header("Origin", "https://evil.test").header("Cookie", "session=secret");
    let mut client = moorline.handshake(&request).await;
    client.text("{}").await;
    let call = app.next_request().await;
    assert_eq!((call.header("cookie"), call.header("x-session")), (None, None));
}

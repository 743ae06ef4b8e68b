//! Documents of several Services in one process, and the report on them.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::support::app::App;
use crate::support::http::Request;
use crate::support::moorline::{Moorline, document_of, route_of, settings};

fn spec(path: &str) -> String {
    format!("path: {path}\nroutes:\n- {{key: $default, request: {{method: POST, path: /messages}}}}\n")
}

fn document(service: &str, path: &str, app: SocketAddr) -> moorline_crds::Document {
    document_of(&[route_of(service, &format!("{service}-route"), &spec(path))], app)
}

async fn report(moorline: &Moorline) -> Value {
    serde_json::from_str(&Request::new("GET", "/config").send(moorline.admin).await.text()).unwrap()
}

#[tokio::test]
async fn the_report_has_every_service_with_its_hash_routes_and_connections() {
    let app = App::echo().await;
    let documents = vec![document("users", "/users", app.address), document("orders", "/orders", app.address)];
    let hashes: Vec<_> = documents.iter().map(moorline_crds::Document::hash).collect();
    let moorline = Moorline::with(settings(), documents).await;
    let _client = moorline.connect("/orders").await;
    let service = |name: &str, hash: &str, connections: usize| {
        json!({
            "namespace": "default", "name": name, "hash": hash, "connections": connections,
            "routes": [{"name": format!("{name}-route"), "generation": 0}]
        })
    };
    let expected = json!({
        "version": env!("CARGO_PKG_VERSION"), "formats": [1], "draining": false, "connections": 1,
        "services": [service("orders", &hashes[1], 1), service("users", &hashes[0], 0)]
    });
    assert_eq!(report(&moorline).await, expected);
}

#[tokio::test]
async fn of_two_services_with_one_path_the_first_by_name_serves_it_and_the_other_is_reported() {
    let (orders, users) = (App::echo().await, App::echo().await);
    let documents = vec![document("users", "/ws", users.address), document("orders", "/ws", orders.address)];
    let moorline = Moorline::with(settings(), documents).await;
    let mut client = moorline.connect("/ws").await;
    client.text("{}").await;
    client.expect_text().await;
    assert_eq!((orders.connections(), users.connections()), (1, 0));
    let report = report(&moorline).await;
    assert_eq!(report["services"][0]["routes"][0].get("problem"), None);
    let problem = &report["services"][1]["routes"][0]["problem"];
    assert_eq!(problem["reason"], "path_taken");
    let message = problem["message"].as_str().unwrap();
    assert!(message.contains("default/orders-route") && message.contains("default/orders"), "{message}");
}

#[tokio::test]
async fn a_port_that_a_route_names_is_that_of_the_pod() {
    let app = App::echo().await;
    let mut document = document("orders", "/ws", app.address);
    "127.0.0.1:http".clone_into(&mut document.routes[0].upstream);
    let mut settings = settings();
    settings.app_ports = BTreeMap::from([("http".to_owned(), app.address.port())]);
    let moorline = Moorline::with(settings, vec![document]).await;
    let mut client = moorline.connect("/ws").await;
    client.text("{}").await;
    assert_eq!(client.expect_text().await, "{}");
    assert_eq!(report(&moorline).await["services"][0]["routes"][0].get("problem"), None);
}

#[tokio::test]
async fn calls_to_a_port_that_nobody_knows_fail_clearly_and_the_route_is_reported() {
    let app = App::echo().await;
    let mut document = document("orders", "/ws", app.address);
    "127.0.0.1:web".clone_into(&mut document.routes[0].upstream);
    let mut settings = settings();
    settings.app_ports = BTreeMap::from([("http".to_owned(), app.address.port())]);
    let moorline = Moorline::with(settings, vec![document]).await;
    let mut client = moorline.connect("/ws").await;
    client.text("{}").await;
    let frame: Value = serde_json::from_str(&client.expect_text().await).unwrap();
    assert_eq!((frame["status"].as_u64(), frame["reason"].as_str()), (Some(502), Some("app_unreachable")));
    let problem = &report(&moorline).await["services"][0]["routes"][0]["problem"];
    let expected = json!({"reason": "port_unknown", "message": "no port of this pod is named \"web\"; known: http"});
    assert_eq!(*problem, expected);
}

/// Blocks the only thread of the data plane while it asks.
#[tokio::test]
async fn probes_and_report_are_answered_while_the_data_plane_does_not_run() {
    use std::io::{Read as _, Write as _};

    let app = App::echo().await;
    let moorline = Moorline::with(settings(), vec![document("orders", "/ws", app.address)]).await;
    let _client = moorline.connect("/ws").await;
    for path in ["/livez", "/readyz", "/startupz", "/config", "/metrics"] {
        let mut stream = std::net::TcpStream::connect(moorline.admin).unwrap();
        stream.set_read_timeout(Some(crate::support::DEADLINE)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    }
}

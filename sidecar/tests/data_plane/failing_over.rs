//! Calls while the app beside the sidecar takes none: another replica gets them, and clients see nothing of it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use moorline_crds::document::Failover;
use moorline_sidecar::upstream::NameServers;

use crate::support::app::{Answer, App, Gate};
use crate::support::dns::NameServer;
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

/// Nobody ever listens there: other tests listen on 127.0.0.1.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 88, 0, 1)), 9);

async fn named(name: &'static str) -> App {
    App::start(move |_| Answer::status(200).header("Content-Type", "text/plain").body(name)).await
}

/// At an address that no other test takes while nobody is there.
async fn returning() -> App {
    let any = SocketAddr::from(([127, 88, 0, 2], 0));
    named_at(any, "here").await
}

async fn named_at(address: SocketAddr, name: &'static str) -> App {
    App::at(address, move |_| Answer::status(200).header("Content-Type", "text/plain").body(name)).await
}

/// In front of an app here, failing over to one there.
async fn between(here: SocketAddr, there: Failover) -> Moorline {
    let mut document = document(SPEC, here);
    document.routes[0].failover = Some(there);
    Moorline::with(settings(), vec![document]).await
}

fn at(address: SocketAddr) -> Failover {
    Failover::Address(address.to_string())
}

#[tokio::test]
async fn a_call_that_the_app_refuses_goes_to_another_replica_and_the_socket_stays() {
    let (here, there) = (returning().await, named("there").await);
    let moorline = between(here.address, at(there.address)).await;
    let mut client = moorline.connect("/ws").await;
    client.text("{}").await;
    assert_eq!(client.expect_text().await, "here");
    drop(here);
    for _ in 0..3 {
        client.text("{}").await;
        assert_eq!(client.expect_text().await, "there");
    }
    let metrics = moorline.metrics().await;
    let line = "moorline_calls_failed_over_total{route=\"default/test\",outcome=\"ok\"} 3";
    assert!(metrics.contains(line), "{metrics}");
}

#[tokio::test]
async fn the_app_is_called_again_when_it_is_back() {
    let (here, there) = (returning().await, named("there").await);
    let address = here.address;
    let moorline = between(address, at(there.address)).await;
    let mut client = moorline.connect("/ws").await;
    drop(here);
    client.text("{}").await;
    assert_eq!(client.expect_text().await, "there");
    let _back = named_at(address, "back").await;
    within("the app to be called again", async {
        loop {
            client.text("{}").await;
            match client.expect_text().await.as_str() {
                "back" => return,
                other => assert_eq!(other, "there"),
            }
        }
    })
    .await;
}

#[tokio::test]
async fn connect_and_disconnect_fail_over_too() {
    let mut there = named("there").await;
    let moorline = between(NOWHERE, at(there.address)).await;
    let mut client = moorline.connect("/ws").await;
    assert_eq!(there.next_request().await.target, "/connect");
    client.close(1000, "").await;
    assert_eq!(there.next_request().await.target, "/gone");
}

#[tokio::test]
async fn each_call_elsewhere_is_a_connection_of_its_own_and_names_the_service() {
    let mut there = named("there").await;
    let moorline = between(NOWHERE, at(there.address)).await;
    let mut client = moorline.connect("/ws").await;
    for _ in 0..2 {
        client.text("{}").await;
        client.expect_text().await;
    }
    for number in 0..3 {
        let request = there.next_request().await;
        assert_eq!(request.connection, number);
        assert_eq!(request.header("host").unwrap(), there.address.to_string());
        assert_eq!(request.header("connection").unwrap(), "close");
    }
}

#[tokio::test]
async fn a_call_that_was_begun_is_not_made_elsewhere() {
    let here = App::accepting(|_| Answer::Reset).await;
    let mut there = named("there").await;
    let moorline = between(here.address, at(there.address)).await;
    let mut client = moorline.connect("/ws").await;
    client.text("{}").await;
    assert_eq!(client.expect_error().await, (502, "app_connection_lost".to_owned()));
    assert!(there.try_request().is_none());
    assert_eq!(there.connections(), 0);
}

#[tokio::test]
async fn a_call_that_was_begun_elsewhere_is_not_made_again() {
    let mut there = App::accepting(|_| Answer::Reset).await;
    let moorline = between(NOWHERE, at(there.address)).await;
    let mut client = moorline.connect("/ws").await;
    client.text("{}").await;
    assert_eq!(client.expect_error().await, (502, "app_connection_lost".to_owned()));
    assert_eq!(there.next_call().await.target, "/messages");
    assert!(there.try_request().is_none());
}

#[tokio::test]
async fn a_slow_app_is_waited_for_and_not_replaced() {
    let gate = Gate::new();
    let held = gate.clone();
    let mut here = App::accepting(move |_| Answer::json("1").after(&held)).await;
    let there = named("there").await;
    let moorline = between(here.address, at(there.address)).await;
    let mut client = moorline.connect("/ws").await;
    client.text("{}").await;
    here.next_call().await;
    gate.open();
    assert_eq!(client.expect_text().await, "1");
    assert_eq!(there.connections(), 0);
}

#[tokio::test]
async fn where_nobody_listens_a_message_gets_its_error_frame_and_a_handshake_its_502() {
    let here = returning().await;
    let moorline = between(here.address, at(NOWHERE)).await;
    let mut client = moorline.connect("/ws").await;
    drop(here);
    for _ in 0..2 {
        client.text("{}").await;
        assert_eq!(client.expect_error().await, (502, "app_unreachable".to_owned()));
    }
    assert_eq!(moorline.refused(&Request::upgrade("/ws")).await.status, 502);
    let metrics = moorline.metrics().await;
    let line = "moorline_calls_failed_over_total{route=\"default/test\",outcome=\"app_unreachable\"} 3";
    assert!(metrics.contains(line), "{metrics}");
}

#[tokio::test]
async fn an_app_that_rests_is_asked_after_all_when_nobody_else_is_there() {
    let here = returning().await;
    let address = here.address;
    let moorline = between(address, at(NOWHERE)).await;
    let mut client = moorline.connect("/ws").await;
    drop(here);
    client.text("{}").await;
    client.expect_error().await;
    let _back = named_at(address, "back").await;
    // The very next one, whatever the pause.
    client.text("{}").await;
    assert_eq!(client.expect_text().await, "back");
}

#[tokio::test]
async fn a_port_that_this_pod_does_not_have_is_that_of_another() {
    let there = named("there").await;
    let mut document = document(SPEC, NOWHERE);
    "127.0.0.1:web".clone_into(&mut document.routes[0].upstream);
    document.routes[0].failover = Some(at(there.address));
    let moorline = Moorline::with(settings(), vec![document]).await;
    let mut client = moorline.connect("/ws").await;
    client.text("{}").await;
    assert_eq!(client.expect_text().await, "there");
}

/// In front of an app here, failing over to a headless Service with these replicas.
async fn headless(here: SocketAddr, name_server: &NameServer) -> Moorline {
    let mut document = document(SPEC, here);
    document.routes[0].failover = Some(Failover::Srv("_http._tcp.orders.shop.svc".to_owned()));
    let mut settings = settings();
    settings.own_addresses = vec![IpAddr::V4(Ipv4Addr::new(127, 0, 0, 9))];
    settings.name_servers = NameServers::At(vec![name_server.address], vec!["cluster.test".to_owned()]);
    Moorline::with(settings, vec![document]).await
}

#[tokio::test]
async fn a_headless_service_is_found_by_its_srv_records_and_the_pod_itself_left_out() {
    let mut there = named("there").await;
    let replicas = vec![there.address, SocketAddr::from(([127, 0, 0, 9], there.address.port()))];
    let name_server = NameServer::start("_http._tcp.orders.shop.svc.cluster.test", replicas).await;
    let moorline = headless(NOWHERE, &name_server).await;
    let mut client = moorline.connect("/ws").await;
    for _ in 0..4 {
        client.text("{}").await;
        assert_eq!(client.expect_text().await, "there");
    }
    assert_eq!(there.next_call().await.header("host").unwrap(), "orders.shop.svc");
}

#[tokio::test]
async fn of_several_replicas_the_one_that_is_there_gets_the_call() {
    let there = named("there").await;
    let name_server =
        NameServer::with("_http._tcp.orders.shop.svc.cluster.test", vec![NOWHERE, there.address], false).await;
    let moorline = headless(NOWHERE, &name_server).await;
    let mut client = moorline.connect("/ws").await;
    for _ in 0..4 {
        client.text("{}").await;
        assert_eq!(client.expect_text().await, "there");
    }
}

#[tokio::test]
async fn a_name_server_that_is_silent_does_not_hold_a_call_up_for_long() {
    // It takes the queries and answers none.
    let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut document = document(SPEC, NOWHERE);
    document.routes[0].failover = Some(Failover::Srv("_http._tcp.orders.shop.svc".to_owned()));
    document.routes[0].connect = None;
    let mut settings = settings();
    settings.name_servers = NameServers::At(vec![silent.local_addr().unwrap()], Vec::new());
    let moorline = Moorline::with(settings, vec![document]).await;
    let mut client = moorline.connect("/ws").await;
    client.text("{}").await;
    assert_eq!(client.expect_error().await, (502, "app_unreachable".to_owned()));
}

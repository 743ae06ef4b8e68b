//! What is refused, and in which form.

use std::sync::atomic::Ordering;

use serde_json::json;

use super::{Api, MAX_BODY_BYTES, error, failed};
use crate::connection::ConnectionId;

#[tokio::test]
async fn an_id_that_is_not_here_is_gone_whatever_it_looks_like() {
    let (api, _) = Api::one().await;
    for id in [ConnectionId::random().to_string(), "Lj0_fcN1oAMCJpg=".into(), "%ff".into(), "a%2Fb".into()] {
        for method in ["POST", "GET", "DELETE"] {
            let failure = api.fails(method, &format!("/@connections/{id}"), "").await;
            assert_eq!(failure, error(410, "GoneException"), "{method} {id}");
        }
        for method in ["PUT", "DELETE"] {
            let failure = api.fails(method, &format!("/@groups/g/connections/{id}"), "").await;
            assert_eq!(failure, error(410, "GoneException"), "{method} {id}");
        }
    }
}

#[tokio::test]
async fn a_full_queue_and_a_spent_budget_are_limits_that_were_exceeded() {
    let (api, fake) = Api::one().await;
    let id = fake.connect();
    let path = format!("/@connections/{id}");
    fake.edit(id, |peer| peer.is_full = true);
    assert_eq!(api.fails("POST", &path, "x").await, error(429, "LimitExceededException"));
    fake.edit(id, |peer| peer.is_full = false);
    let held = api.budget.charge(vec![0; 100_000].into());
    for path in [path.as_str(), "/@all", "/@groups/g", "/@connections"] {
        assert_eq!(api.fails("POST", path, "x").await, error(429, "LimitExceededException"), "{path}");
    }
    drop(held);
    assert!(fake.received(id).is_empty());
    assert_eq!(api.call("POST", &path, "x").await.status, 200);
}

#[tokio::test]
async fn with_several_services_a_path_names_its_own() {
    let api = Api::start(&[("shop", "orders"), ("shop", "chat")]).await;
    let (orders, chat) = (&api.services[0], &api.services[1]);
    let (in_orders, in_chat) = (orders.connect(), chat.connect());
    assert_eq!(api.call("POST", &format!("/shop/orders/@connections/{in_orders}"), "m").await.status, 200);
    assert_eq!(api.call("POST", &format!("/shop/chat/prod//@connections/{in_chat}"), "m").await.status, 200);
    assert_eq!(api.call("POST", "/shop/orders/@all", "m").await.json(), json!({ "reached": 1 }));
    assert_eq!((orders.received(in_orders).len(), chat.received(in_chat).len()), (2, 1));
    let elsewhere = format!("/shop/chat/@connections/{in_orders}");
    assert_eq!(api.fails("POST", &elsewhere, "m").await, error(410, "GoneException"));
    for path in [format!("/@connections/{in_orders}"), "/shop/@all".into(), "/shop/other/@all".into()] {
        assert_eq!(api.fails("POST", &path, "m").await, error(404, "ResourceNotFoundException"), "{path}");
    }
    assert_eq!(api.call("POST", "/@drain", "").await.status, 200);
}

#[tokio::test]
async fn paths_and_methods_the_api_does_not_have_are_told_apart() {
    let (api, _) = Api::one().await;
    for path in ["/", "/connections/x", "/@groups", "/@groups/g/members", "/metrics", "/livez"] {
        assert_eq!(api.fails("POST", path, "").await, error(404, "ResourceNotFoundException"), "{path}");
    }
    for (method, path, allow) in [
        ("PUT", "/@connections/x", "POST, GET, DELETE"),
        ("GET", "/@connections", "POST"),
        ("OPTIONS", "/@all", "POST, GET"),
        ("GET", "/@drain", "POST"),
        ("POST", "/@groups/g/connections/x", "PUT, DELETE"),
    ] {
        let reply = api.call(method, path, "").await;
        assert_eq!(failed(&reply), error(405, "MethodNotAllowedException"), "{method} {path}");
        assert_eq!(reply.header("allow"), Some(allow), "{method} {path}");
    }
}

#[tokio::test]
async fn browsers_and_foreign_hosts_are_refused_before_anything_happens() {
    let (api, fake) = Api::one().await;
    let id = fake.connect();
    for headers in ["origin: http://localhost\r\n", "origin: null\r\n", "sec-fetch-site: same-origin\r\n"] {
        for path in [format!("/@connections/{id}"), "/@drain".into(), "/nowhere".into()] {
            assert_eq!(failed(&api.with("POST", &path, headers, b"m").await), error(403, "ForbiddenException"));
        }
    }
    for host in ["rebound.example.com", "rebound.example.com:8801", "10.0.0.1:8801"] {
        let request = format!("POST /@all HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(failed(&api.raw(request.as_bytes()).await), error(403, "ForbiddenException"), "{host}");
    }
    let without_host = b"POST /@all HTTP/1.1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(failed(&api.raw(without_host).await), error(403, "ForbiddenException"));
    assert!(fake.received(id).is_empty());
    assert_eq!(api.drains.0.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_and_the_caller_reads_the_answer() {
    let (api, fake) = Api::one().await;
    let id = fake.connect();
    let path = format!("/@connections/{id}");
    assert_eq!(api.call("POST", &path, vec![b'x'; MAX_BODY_BYTES]).await.status, 200);
    // The larger does not fit the socket buffers: without reading it on, the answer would be lost in a reset.
    for size in [MAX_BODY_BYTES + 1, 12 * 1024 * 1024] {
        let failure = api.fails("POST", &path, vec![b'x'; size]).await;
        assert_eq!(failure, error(413, "PayloadTooLargeException"), "{size}");
    }
    let head =
        format!("POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n");
    let chunk = format!("400\r\n{}\r\n0\r\n\r\n", "x".repeat(0x400));
    assert_eq!(failed(&api.raw(format!("{head}{chunk}").as_bytes()).await), error(413, "PayloadTooLargeException"));
    let waits = "expect: 100-continue\r\ncontent-length: 5000\r\n\r\n";
    let head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\n{waits}");
    assert_eq!(failed(&api.raw(head.as_bytes()).await), error(413, "PayloadTooLargeException"));
    assert_eq!(fake.received(id).len(), 1);
}

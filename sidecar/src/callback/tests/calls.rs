//! What each call does.

use std::sync::atomic::Ordering;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Api, MAX_BODY_BYTES, error, failed};
use crate::connection::ConnectionId;
use crate::frame::Opcode;

#[tokio::test]
async fn a_post_becomes_a_frame_and_is_answered_with_an_empty_200() {
    let (api, fake) = Api::one().await;
    let id = fake.connect();
    for (path, body) in [
        (format!("/@connections/{id}"), &b"plain"[..]),
        (format!("/prod/@connections/{id}"), b""),
        (format!("/prod//%40connections/{id}/"), b"\xff"),
        (format!("/shop/orders/@connections/{id}="), "ä".as_bytes()),
    ] {
        let reply = api.call("POST", &path, body).await;
        assert_eq!((reply.status, reply.body.len()), (200, 0), "{path}");
    }
    let expected: Vec<(Opcode, &[u8])> =
        vec![(Opcode::Text, b"plain"), (Opcode::Text, b""), (Opcode::Binary, b"\xff"), (Opcode::Text, "ä".as_bytes())];
    let received = fake.received(id);
    assert!(received.iter().map(|(opcode, payload)| (*opcode, &payload[..])).eq(expected), "{received:?}");
}

#[tokio::test]
async fn the_headers_of_a_post_decide_the_kind_of_the_frame() {
    let (api, fake) = Api::one().await;
    let id = fake.connect();
    let path = format!("/@connections/{id}");
    assert_eq!(api.with("POST", &path, "moorline-message-type: binary\r\n", b"abc").await.status, 200);
    assert_eq!(fake.received(id), [(Opcode::Binary, b"abc".to_vec())]);
    for headers in ["moorline-message-type: blob\r\n", "content-type: application/json\r\n"] {
        let reply = api.with("POST", &path, headers, b"\xff").await;
        assert_eq!(failed(&reply), error(400, "BadRequestException"));
    }
    assert_eq!(fake.received(id).len(), 1);
}

#[tokio::test]
async fn the_body_may_be_chunked() {
    let (api, fake) = Api::one().await;
    let id = fake.connect();
    let head = format!("POST /@connections/{id} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n");
    let body = "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    assert_eq!(api.raw(format!("{head}{body}").as_bytes()).await.status, 200);
    assert_eq!(fake.received(id), [(Opcode::Text, b"abcde".to_vec())]);
}

#[tokio::test]
async fn a_status_has_the_keys_that_the_sdks_read() {
    let (api, fake) = Api::one().await;
    let id = fake.connect();
    let path = format!("/prod/@connections/{id}");
    let reply = api.call("GET", &path, "").await;
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")));
    let expected = json!({
        "connectedAt": "1970-01-01T00:00:00.000Z",
        "identity": { "sourceIp": "192.0.2.7" },
        "lastActiveAt": "1970-01-01T00:00:01.500Z",
        "groups": [],
    });
    assert_eq!(reply.json(), expected);
    fake.edit(id, |peer| peer.user = Some("ann".into()));
    let body = api.call("GET", &path, "").await.json();
    assert_eq!((&body["user"], &body["identity"]["userAgent"]), (&json!("ann"), &json!("agent of ann")));
}

#[tokio::test]
async fn a_delete_closes_with_the_code_and_reason_it_names() {
    let (api, fake) = Api::one().await;
    let id = fake.connect();
    for (query, code, reason) in
        [("", 1000, "closed by the application"), ("?code=4001&reason=signed%20out", 4001, "signed out")]
    {
        let reply = api.call("DELETE", &format!("/@connections/{id}{query}"), "").await;
        assert_eq!((reply.status, reply.body.len()), (204, 0));
        let order = fake.peers.lock()[&id].order.clone().unwrap();
        assert_eq!((order.code, &*order.reason), (code, reason));
    }
    for query in ["?code=1006", "?code=x", "?code=1000&code=1000"] {
        let failure = api.fails("DELETE", &format!("/@connections/{id}{query}"), "").await;
        assert_eq!(failure, error(400, "BadRequestException"), "{query}");
    }
}

#[tokio::test]
async fn a_batch_says_what_became_of_each_id() {
    let (api, fake) = Api::one().await;
    let (first, second, full) = (fake.connect(), fake.connect(), fake.connect());
    fake.edit(full, |peer| peer.is_full = true);
    let gone = ConnectionId::random();
    let ids = [first.to_string(), gone.to_string(), full.to_string(), "nonsense".into(), second.to_string()];
    let reply = api.call("POST", "/@connections", json!({"ids": ids, "json": {"n": 1}}).to_string()).await;
    assert_eq!(reply.status, 200);
    let results: Vec<Value> =
        ids.iter().zip([200, 410, 429, 410, 200]).map(|(id, status)| json!({"id": id, "status": status})).collect();
    assert_eq!(reply.json(), json!({ "results": results }));
    for id in [first, second] {
        assert_eq!(fake.received(id), [(Opcode::Text, br#"{"n":1}"#.to_vec())]);
    }
    // The message is held by two queues and charged once.
    assert_eq!(api.budget.used(), 7);
    for body in ["", "{}", r#"{"ids":[],"text":"a","json":1}"#, r#"{"ids":[],"text":"a","more":1}"#] {
        assert_eq!(api.fails("POST", "/@connections/", body).await, error(400, "BadRequestException"), "{body}");
    }
}

#[tokio::test]
async fn a_batch_may_be_longer_than_a_message_but_its_message_may_not() {
    let (api, fake) = Api::one().await;
    let id = fake.connect();
    let message = vec![0xff; MAX_BODY_BYTES];
    let batch = |message: &[u8]| json!({"ids": [id.to_string()], "base64": STANDARD.encode(message)}).to_string();
    assert!(batch(&message).len() > MAX_BODY_BYTES);
    assert_eq!(api.call("POST", "/@connections", batch(&message)).await.status, 200);
    assert_eq!(fake.received(id), [(Opcode::Binary, message.clone())]);
    let failure = api.fails("POST", "/@connections", batch(&[&message[..], b"x"].concat())).await;
    assert_eq!(failure, error(413, "PayloadTooLargeException"));
}

#[tokio::test]
async fn a_publish_says_how_many_it_reached_and_an_empty_group_is_no_error() {
    let (api, fake) = Api::one().await;
    let (ann, bob) = (fake.connect(), fake.connect());
    fake.edit(ann, |peer| {
        peer.user = Some("ann/1".into());
        peer.groups.insert("a+b".into());
    });
    for (path, reached) in [
        ("/@groups/a+b", 1),
        ("/@groups/a%2Bb", 1),
        ("/@groups/a%20b", 0),
        ("/@users/ann%2F1", 1),
        ("/@users/nobody", 0),
        ("/prod/@all", 2),
    ] {
        let reply = api.call("POST", path, "m").await;
        assert_eq!((reply.status, reply.json()), (200, json!({ "reached": reached })), "{path}");
    }
    assert_eq!((fake.received(ann).len(), fake.received(bob).len()), (4, 1));
    // Four messages of one byte, the last of them in two queues.
    assert_eq!(api.budget.used(), 4);
}

#[tokio::test]
async fn membership_is_put_and_deleted() {
    let (api, fake) = Api::one().await;
    let id = fake.connect();
    let path = |group: &str| format!("/@groups/{group}/connections/{id}");
    for group in ["one", "two"] {
        assert_eq!(api.call("PUT", &path(group), "").await.status, 204);
    }
    assert_eq!(api.fails("PUT", &path("three"), "").await, error(400, "BadRequestException"));
    assert_eq!(api.fails("PUT", &path("bad%0A"), "").await, error(400, "BadRequestException"));
    let long = "x".repeat(129);
    assert_eq!(api.fails("PUT", &path(&long), "").await, error(400, "BadRequestException"));
    for group in ["one", "never-joined"] {
        assert_eq!(api.call("DELETE", &path(group), "").await.status, 204);
    }
    assert!(fake.peers.lock()[&id].groups.iter().eq(["two"]));
}

#[tokio::test]
async fn lists_come_in_pages() {
    let (api, fake) = Api::one().await;
    let mut ids: Vec<ConnectionId> = (0..5).map(|_| fake.connect()).collect();
    ids.sort_unstable();
    fake.edit(ids[0], |peer| {
        peer.groups.insert("g".into());
        peer.user = Some("u".into());
    });
    for path in ["/@groups/g/connections", "/@users/u/connections"] {
        let expected = json!({"count": 1, "connections": [ids[0].to_string()], "next": null});
        assert_eq!(api.call("GET", path, "").await.json(), expected, "{path}");
    }
    let (mut seen, mut query) = (Vec::new(), "limit=2".to_owned());
    loop {
        let page = api.call("GET", &format!("/@all?{query}"), "").await.json();
        assert_eq!(page["count"], 5);
        seen.extend(page["connections"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => query = format!("limit=2&after={next}"),
            None => break,
        }
    }
    assert!(seen.iter().eq(&ids.iter().map(ToString::to_string).collect::<Vec<_>>()), "{seen:?}");
    let count_only = api.call("GET", "/@all?limit=0", "").await.json();
    assert_eq!(count_only, json!({"count": 5, "connections": [], "next": null}));
    for query in ["limit=1001", "limit=x", "after=x"] {
        assert_eq!(api.fails("GET", &format!("/@all?{query}"), "").await, error(400, "BadRequestException"));
    }
}

#[tokio::test]
async fn the_drain_is_asked_for_and_its_end_is_answered() {
    let (api, _) = Api::one().await;
    let reply = api.call("POST", "/@drain", "").await;
    assert_eq!((reply.status, reply.json()), (200, json!({ "drained": true })));
    assert_eq!(api.drains.0.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn every_call_is_counted_and_observed_without_its_payload() {
    let (api, fake) = Api::one().await;
    let id = fake.connect();
    api.call("POST", &format!("/@connections/{id}"), "secret").await;
    api.call("POST", "/@all", "secret").await;
    api.call("POST", "/@connections/nobody", "secret").await;
    api.call("POST", "/nowhere", "").await;
    let log = api.log.0.lock().clone();
    assert_eq!(
        log,
        [
            format!("send {id} 200 None 6 None"),
            "publish_all  200 Some(1) 6 None".into(),
            r#"send nobody 410 None 6 Some("gone")"#.into(),
            r#"none  404 None 0 Some("unknown_path")"#.into(),
        ]
    );
    for (operation, status) in [("send", 200), ("send", 410), ("publish_all", 200), ("none", 404)] {
        assert_eq!(api.metrics.pushes(operation, status), 1, "{operation} {status}");
    }
}

#[tokio::test]
async fn a_connection_serves_many_calls_and_ends_with_the_listener() {
    let (api, fake) = Api::one().await;
    let id = fake.connect();
    let mut stream = TcpStream::connect(api.address).await.unwrap();
    let request = format!("POST /@connections/{id} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 1\r\n\r\nm");
    for _ in 0..3 {
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(timeout(Duration::from_secs(20), stream.read_u8()).await.unwrap().unwrap());
        }
        assert!(answer.starts_with(b"HTTP/1.1 200"));
    }
    assert_eq!(fake.received(id).len(), 3);
    api.shutdown.cancel();
    timeout(Duration::from_secs(20), api.tasks.wait()).await.unwrap();
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
}

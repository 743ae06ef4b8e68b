//! The API over real sockets, in front of a backplane that records what reaches it.
//!
//! A fake backplane rather than a hub: these tests are about HTTP, and what a hub does has tests where it is.

#![allow(clippy::unwrap_used, clippy::panic)] // tests fail by panicking

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::FutureExt as _;
use futures_util::future::ready;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::*;
use crate::connection::{CloseOrder, ConnectionId, IdentityError, valid_name};
use crate::frame::{Frame, Opcode};
use crate::hub::backplane::{Published, Status};
use crate::hub::{Listing, Page, SendError, Target};

const MAX_BODY_BYTES: usize = 1000;

#[derive(Debug, Default)]
struct Peer {
    frames: Vec<Frame>,
    is_full: bool,
    user: Option<String>,
    groups: BTreeSet<String>,
    order: Option<CloseOrder>,
}

#[derive(Debug, Default)]
struct Fake {
    peers: Mutex<BTreeMap<ConnectionId, Peer>>,
}

impl Fake {
    fn connect(&self) -> ConnectionId {
        let id = ConnectionId::random();
        self.peers.lock().insert(id, Peer::default());
        id
    }

    fn with<T>(&self, id: ConnectionId, act: impl FnOnce(&mut Peer) -> Result<T, SendError>) -> Result<T, SendError> {
        self.peers.lock().get_mut(&id).ok_or(SendError::Gone).and_then(act)
    }

    fn edit(&self, id: ConnectionId, act: impl FnOnce(&mut Peer)) {
        self.with(id, |peer| {
            act(peer);
            Ok(())
        })
        .unwrap();
    }

    fn received(&self, id: ConnectionId) -> Vec<(Opcode, Vec<u8>)> {
        let peers = self.peers.lock();
        peers[&id].frames.iter().map(|frame| (frame.opcode(), frame.payload().to_vec())).collect()
    }
}

fn is_meant(target: &Target, peer: &Peer) -> bool {
    match target {
        Target::Group(name) => peer.groups.contains(name),
        Target::User(name) => peer.user.as_ref() == Some(name),
        Target::All => true,
    }
}

impl Backplane for Fake {
    fn publish(&self, target: Target, frame: Frame) -> BoxFuture<'_, Published> {
        let mut peers = self.peers.lock();
        let meant = peers.values_mut().filter(|peer| is_meant(&target, peer));
        let reached = meant.map(|peer| peer.frames.push(frame.clone())).count();
        ready(Published { reached }).boxed()
    }

    fn send(&self, id: ConnectionId, frame: Frame) -> BoxFuture<'_, Result<(), SendError>> {
        let result = self.with(id, |peer| {
            if peer.is_full {
                return Err(SendError::QueueFull);
            }
            peer.frames.push(frame);
            Ok(())
        });
        ready(result).boxed()
    }

    fn close(&self, id: ConnectionId, order: CloseOrder) -> BoxFuture<'_, Result<(), SendError>> {
        ready(self.with(id, |peer| {
            peer.order = Some(order);
            Ok(())
        }))
        .boxed()
    }

    fn status(&self, id: ConnectionId) -> BoxFuture<'_, Result<Status, SendError>> {
        ready(self.with(id, |peer| {
            Ok(Status {
                connected_at: UNIX_EPOCH,
                last_active_at: UNIX_EPOCH + Duration::from_millis(1500),
                source_ip: [192, 0, 2, 7].into(),
                user_agent: peer.user.as_ref().map(|user| format!("agent of {user}")),
                user: peer.user.clone(),
                groups: peer.groups.iter().cloned().collect(),
            })
        }))
        .boxed()
    }

    fn join(&self, id: ConnectionId, group: String) -> BoxFuture<'_, Result<(), SendError>> {
        ready(self.with(id, |peer| {
            if !valid_name(&group) {
                return Err(IdentityError::InvalidName.into());
            }
            if peer.groups.len() >= 2 {
                return Err(IdentityError::TooManyGroups.into());
            }
            peer.groups.insert(group);
            Ok(())
        }))
        .boxed()
    }

    fn leave(&self, id: ConnectionId, group: String) -> BoxFuture<'_, Result<(), SendError>> {
        ready(self.with(id, |peer| {
            peer.groups.remove(&group);
            Ok(())
        }))
        .boxed()
    }

    fn list(&self, target: Target, page: Page) -> BoxFuture<'_, Listing> {
        let peers = self.peers.lock();
        let ids: Vec<_> = peers.iter().filter(|(_, peer)| is_meant(&target, peer)).map(|(id, _)| *id).collect();
        let rest = ids.iter().copied().filter(|id| page.after.is_none_or(|after| *id > after));
        let connections: Vec<_> = rest.clone().take(page.limit).collect();
        let next = (rest.count() > connections.len()).then(|| connections.last().copied()).flatten();
        ready(Listing { count: ids.len(), connections, next }).boxed()
    }
}

#[derive(Debug)]
struct Services(BTreeMap<(String, String), Arc<Fake>>);

impl Directory for Services {
    fn only(&self) -> Option<Arc<dyn Backplane>> {
        match self.0.len() {
            1 => self.0.values().next().map(|fake| Arc::clone(fake) as Arc<dyn Backplane>),
            _ => None,
        }
    }

    fn find(&self, namespace: &str, name: &str) -> Option<Arc<dyn Backplane>> {
        let fake = self.0.get(&(namespace.to_owned(), name.to_owned()))?;
        Some(Arc::clone(fake) as Arc<dyn Backplane>)
    }
}

#[derive(Debug, Default)]
struct Drains(AtomicUsize);

impl Control for Arc<Drains> {
    fn drain(&self) -> BoxFuture<'static, ()> {
        self.0.fetch_add(1, Ordering::SeqCst);
        ready(()).boxed()
    }
}

#[derive(Debug, Default)]
struct Log(Mutex<Vec<String>>);

impl PushObserver for Arc<Log> {
    fn pushed(&self, push: &Push<'_>) {
        let Push { operation, target, status, reached, body_bytes, error, .. } = push;
        self.0.lock().push(format!("{operation} {target} {status} {reached:?} {body_bytes} {error:?}"));
    }
}

struct Api {
    address: SocketAddr,
    services: Vec<Arc<Fake>>,
    budget: Arc<Budget>,
    metrics: Arc<Metrics>,
    drains: Arc<Drains>,
    log: Arc<Log>,
    shutdown: CancellationToken,
    tasks: TaskTracker,
}

struct Reply {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&self.body)))
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

impl Api {
    async fn start(names: &[(&str, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let budget = Budget::new(100_000);
        let metrics = Metrics::new(Arc::clone(&budget));
        let services: Vec<Arc<Fake>> = names.iter().map(|_| Arc::default()).collect();
        let named = names
            .iter()
            .zip(&services)
            .map(|((namespace, name), fake)| ((String::from(*namespace), String::from(*name)), Arc::clone(fake)));
        let (drains, log) = (Arc::<Drains>::default(), Arc::<Log>::default());
        let state = CallbackState {
            directory: Arc::new(Services(named.collect())),
            control: Arc::new(Arc::clone(&drains)),
            budget: Arc::clone(&budget),
            metrics: Arc::clone(&metrics),
            observer: Some(Arc::new(Arc::clone(&log))),
            max_body_bytes: MAX_BODY_BYTES,
        };
        let (shutdown, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn(serve(listener, Arc::new(state), shutdown.clone()));
        tasks.close();
        Self { address, services, budget, metrics, drains, log, shutdown, tasks }
    }

    async fn one() -> (Self, Arc<Fake>) {
        let api = Self::start(&[("shop", "orders")]).await;
        let fake = Arc::clone(&api.services[0]);
        (api, fake)
    }

    /// Sends a request as it is written, and reads until the server closes.
    async fn raw(&self, request: &[u8]) -> Reply {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let exchange = async {
            stream.write_all(request).await.unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.unwrap();
            answer
        };
        let answer = timeout(Duration::from_secs(20), exchange).await.unwrap();
        let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(answer[..end].to_vec()).unwrap();
        let reply = Reply { status: head[9..12].parse().unwrap(), head, body: answer[end + 4..].to_vec() };
        assert_eq!(reply.header("x-amzn-requestid").map(str::len), Some(36), "{}", reply.head);
        reply
    }

    async fn with(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Reply {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost:8801\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n",
            body.len()
        );
        self.raw(&[head.as_bytes(), body].concat()).await
    }

    async fn call(&self, method: &str, path: &str, body: impl AsRef<[u8]>) -> Reply {
        self.with(method, path, "", body.as_ref()).await
    }

    /// A call that must fail, in the form that every SDK understands.
    async fn fails(&self, method: &str, path: &str, body: impl AsRef<[u8]>) -> (u16, String) {
        failed(&self.call(method, path, body).await)
    }
}

fn failed(reply: &Reply) -> (u16, String) {
    let kind = reply.header("x-amzn-errortype").unwrap_or_else(|| panic!("{}", reply.head)).to_owned();
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let body = reply.json();
    assert_eq!(body["__type"], Value::from(kind.as_str()));
    assert!(body["message"].as_str().is_some_and(|message| !message.is_empty()));
    (reply.status, kind)
}

fn error(status: u16, kind: &str) -> (u16, String) {
    (status, kind.to_owned())
}

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
            r#"send nobody 410 None 6 Some("Gone")"#.into(),
            r#"none  404 None 0 Some("UnknownPath")"#.into(),
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

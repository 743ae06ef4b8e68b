//! The API over real sockets, in front of a backplane that records what reaches it.
//!
//! A fake backplane rather than a hub: these tests are about HTTP, and what a hub does has tests where it is.

#![allow(clippy::unwrap_used, clippy::panic)] // tests fail by panicking

mod calls;
mod fake;
mod refusals;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt as _;
use futures_util::future::ready;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use self::fake::Fake;
use super::*;

const MAX_BODY_BYTES: usize = 1000;

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

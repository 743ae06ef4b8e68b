//! A REST service that records every request exactly and answers from a script, also in the ways no
//! decent service would.
//!
//! Raw sockets and not a server library, since half of the script is what libraries prevent: never
//! answering, resets, headers with bare CR, a gigabyte nobody asked for. The script is a closure from
//! the request to an [`Answer`], so a test says at its top what its app does.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::received::{Buffer, Received, read_request};
use super::within;

/// What the app does with one request.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// A decent answer with a `Content-Length`.
    Http { status: u16, headers: Vec<(String, String)>, body: Vec<u8> },
    /// These bytes; the connection stays open.
    Raw(Vec<u8>),
    /// These bytes, then the end of the connection.
    RawThenClose(Vec<u8>),
    /// Not a byte; the connection stays open.
    Never,
    /// The connection ends with a reset.
    Reset,
    /// 200 and so many bytes in chunks, for as long as somebody takes them.
    Flood(u64),
    /// The answer waits until the gate is opened.
    Gated(Gate, Box<Answer>),
}

impl Answer {
    pub(crate) fn status(status: u16) -> Self {
        Self::Http { status, headers: Vec::new(), body: Vec::new() }
    }

    pub(crate) fn json(body: &str) -> Self {
        Self::status(200).header("Content-Type", "application/json").body(body)
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        match &mut self {
            Self::Http { headers, .. } => headers.push((name.to_owned(), value.to_owned())),
            Self::Gated(_, answer) => **answer = answer.as_ref().clone().header(name, value),
            other => panic!("{other:?} has no headers"),
        }
        self
    }

    pub(crate) fn body(mut self, bytes: impl AsRef<[u8]>) -> Self {
        match &mut self {
            Self::Http { body, .. } => *body = bytes.as_ref().to_vec(),
            other => panic!("{other:?} has no body"),
        }
        self
    }

    pub(crate) fn after(self, gate: &Gate) -> Self {
        Self::Gated(gate.clone(), Box::new(self))
    }
}

/// Holds answers back until the test says so. Takes the place of a slow app and a sleep.
#[derive(Debug, Clone)]
pub(crate) struct Gate(watch::Sender<bool>);

impl Gate {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    pub(crate) fn open(&self) {
        self.0.send_replace(true);
    }

    async fn opened(&self) {
        // Cannot fail: `self` keeps a sender.
        let _ = self.0.subscribe().wait_for(|open| *open).await;
    }
}

type Script = dyn Fn(&Received) -> Answer + Send + Sync;

/// The running app. Dropping it closes its listener and every connection.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) address: SocketAddr,
    requests: mpsc::Receiver<Received>,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Shared {
    connections: AtomicUsize,
    ended: AtomicUsize,
    flooded_bytes: AtomicU64,
}

impl App {
    pub(crate) async fn start(script: impl Fn(&Received) -> Answer + Send + Sync + 'static) -> Self {
        Self::at(SocketAddr::from(([127, 0, 0, 1], 0)), script).await
    }

    /// At an address that another app had before.
    pub(crate) async fn at(address: SocketAddr, script: impl Fn(&Received) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(address).await.expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        // More than any test sends: an app that waits for the test to look would not be an app.
        let (sender, requests) = mpsc::channel(8192);
        let shared = Arc::new(Shared::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, sender, Arc::new(script), Arc::clone(&shared)));
        Self { address, requests, shared, _tasks: tasks }
    }

    /// 200 to everything, with the request's body as JSON.
    pub(crate) async fn echo() -> Self {
        Self::start(|request| {
            let kind = request.header("content-type").unwrap_or("application/json");
            Answer::status(200).header("Content-Type", kind).body(&request.body)
        })
        .await
    }

    /// `$connect`s (`POST /connect`) get 200, and everything else what the script says.
    pub(crate) async fn accepting(script: impl Fn(&Received) -> Answer + Send + Sync + 'static) -> Self {
        Self::start(
            move |request| {
                if request.target.starts_with("/connect") { Answer::status(200) } else { script(request) }
            },
        )
        .await
    }

    pub(crate) async fn next_request(&mut self) -> Received {
        within("a request to the app", self.requests.recv()).await.expect("the app is running")
    }

    /// The next request that is not to `/connect`.
    pub(crate) async fn next_call(&mut self) -> Received {
        loop {
            let request = self.next_request().await;
            if !request.target.starts_with("/connect") {
                return request;
            }
        }
    }

    /// A request that is already there.
    pub(crate) fn try_request(&mut self) -> Option<Received> {
        self.requests.try_recv().ok()
    }

    /// Connections accepted so far.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Connections that ended so far.
    pub(crate) fn ended(&self) -> usize {
        self.shared.ended.load(Ordering::SeqCst)
    }

    /// Bytes of floods that went out so far.
    pub(crate) fn flooded_bytes(&self) -> u64 {
        self.shared.flooded_bytes.load(Ordering::SeqCst)
    }
}

async fn accept(listener: TcpListener, sender: mpsc::Sender<Received>, script: Arc<Script>, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let number = shared.connections.fetch_add(1, Ordering::SeqCst);
        let (sender, script, shared) = (sender.clone(), Arc::clone(&script), Arc::clone(&shared));
        connections.spawn(async move {
            serve(number, stream, sender, script, &shared).await;
            shared.ended.fetch_add(1, Ordering::SeqCst);
        });
    }
}

async fn serve(
    number: usize,
    mut stream: TcpStream,
    sender: mpsc::Sender<Received>,
    script: Arc<Script>,
    shared: &Shared,
) {
    let mut buffer = Buffer::default();
    while let Some(request) = read_request(number, &mut buffer, &mut stream).await {
        let mut answer = script(&request);
        if sender.send(request).await.is_err() {
            return;
        }
        while let Answer::Gated(gate, inner) = answer {
            gate.opened().await;
            answer = *inner;
        }
        let done = match answer {
            Answer::Http { status, headers, body } => stream.write_all(&encode(status, &headers, &body)).await,
            Answer::Raw(bytes) => stream.write_all(&bytes).await,
            Answer::RawThenClose(bytes) => {
                let _ = stream.write_all(&bytes).await;
                return;
            }
            Answer::Never => {
                buffer.rest(&mut stream).await;
                return;
            }
            Answer::Reset => {
                let _ = stream.set_zero_linger();
                return;
            }
            Answer::Flood(bytes) => {
                flood(&mut stream, bytes, shared).await;
                return;
            }
            Answer::Gated(..) => unreachable!("taken apart above"),
        };
        if done.is_err() {
            return;
        }
    }
}

fn encode(status: u16, headers: &[(String, String)], body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {status} Answer\r\n").into_bytes();
    for (name, value) in headers {
        bytes.extend(format!("{name}: {value}\r\n").into_bytes());
    }
    if status == 204 || status == 304 {
        bytes.extend(b"\r\n");
    } else {
        bytes.extend(format!("Content-Length: {}\r\n\r\n", body.len()).into_bytes());
        bytes.extend(body);
    }
    bytes
}

async fn flood(stream: &mut TcpStream, bytes: u64, shared: &Shared) {
    let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n";
    if stream.write_all(head).await.is_err() {
        return;
    }
    let mut chunk = b"10000\r\n".to_vec();
    chunk.extend(vec![b'x'; 0x10000]);
    chunk.extend(b"\r\n");
    while shared.flooded_bytes.load(Ordering::SeqCst) < bytes {
        if stream.write_all(&chunk).await.is_err() {
            return;
        }
        shared.flooded_bytes.fetch_add(0x10000, Ordering::SeqCst);
    }
    let _ = stream.write_all(b"0\r\n\r\n").await;
}

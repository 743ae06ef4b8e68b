//! The listener under a client that speaks TLS, as an API server does.

#![allow(clippy::unwrap_used)] // tests fail by panicking

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::RwLock;
use tokio::io::AsyncReadExt as _;
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;
use warp::{Filter as _, Reply as _};

use super::super::testing::{Client, Server, WITHIN, limits};
use super::*;
use crate::certs::Served;
use crate::certs::testing::Made;

fn hello() -> BoxedFilter<(Response,)> {
    warp::any().map(|| "hello".into_response()).boxed()
}

fn presenting() -> (Made, Arc<Served>) {
    let (made, served) = (Made::new(), Served::new());
    made.present(&served);
    (made, served)
}

/// A filter that says when it was asked and answers when told.
struct Gate {
    begun: Arc<Notify>,
    go: Arc<Notify>,
}

impl Gate {
    fn new() -> (Self, BoxedFilter<(Response,)>) {
        let (begun, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let gate = Self { begun: Arc::clone(&begun), go: Arc::clone(&go) };
        let filter = warp::any().then(move || {
            let (begun, go) = (Arc::clone(&begun), Arc::clone(&go));
            async move {
                begun.notify_one();
                go.notified().await;
                "done".into_response()
            }
        });
        (gate, filter.boxed())
    }
}

#[tokio::test]
async fn a_client_that_trusts_the_authority_is_served_one_request_a_connection() {
    let (made, served) = presenting();
    let server = Server::start(&served, hello(), limits()).await;
    for _ in 0..3 {
        let mut client = Client::connect(server.address, &made.bundle()).await.unwrap();
        assert_eq!(client.get().await.unwrap(), (200, "hello".into()));
        client.ended().await;
    }
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_trusts_another_authority_is_not_served() {
    let (_, served) = presenting();
    let server = Server::start(&served, hello(), limits()).await;
    assert!(Client::connect(server.address, &Made::new().bundle()).await.is_err());
}

#[tokio::test]
async fn without_a_certificate_a_handshake_fails_and_works_as_soon_as_there_is_one() {
    let (made, served) = (Made::new(), Served::new());
    let server = Server::start(&served, hello(), limits()).await;
    assert!(Client::connect(server.address, &made.bundle()).await.is_err());
    made.present(&served);
    Client::connect(server.address, &made.bundle()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_handshake_fails_while_certificates_and_authorities_rotate() {
    let (mut made, served) = presenting();
    let server = Server::start(&served, hello(), limits()).await;
    let published = Arc::new(RwLock::new(made.bundle()));
    let stop = Arc::new(AtomicBool::new(false));
    let tasks = TaskTracker::new();
    let (connected, mut counts) = tokio::sync::watch::channel(0_u32);
    for _ in 0..3 {
        let (published, stop, connected) = (Arc::clone(&published), Arc::clone(&stop), connected.clone());
        let address = server.address;
        tasks.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let bundle = published.read().clone();
                let mut client = Client::connect(address, &bundle).await.unwrap();
                assert_eq!(client.get().await.unwrap().0, 200);
                connected.send_modify(|count| *count += 1);
            }
        });
    }
    tasks.close();
    // Clients take the bundle before they connect, so each stage lasts until everybody has seen it.
    let mut stage = async || {
        let target = *counts.borrow() + 12;
        timeout(WITHIN, counts.wait_for(|count| *count >= target)).await.unwrap().unwrap();
    };
    for _ in 0..3 {
        made = made.with_new_authority();
        *published.write() = made.bundle();
        stage().await;
        made = made.with_new_certificate();
        made.present(&served);
        stage().await;
        made = made.without_old_authority();
        *published.write() = made.bundle();
        stage().await;
    }
    stop.store(true, Ordering::Relaxed);
    timeout(WITHIN, tasks.wait()).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn a_request_in_flight_outlives_the_certificate_it_began_with() {
    let (made, served) = presenting();
    let (gate, filter) = Gate::new();
    let server = Server::start(&served, filter, limits()).await;
    let mut client = Client::connect(server.address, &made.bundle()).await.unwrap();
    let swapped = async {
        gate.begun.notified().await;
        Made::new().present(&served);
        gate.go.notify_one();
    };
    let (answer, ()) = timeout(WITHIN, async { tokio::join!(client.get(), swapped) }).await.unwrap();
    assert_eq!(answer.unwrap(), (200, "done".into()));
}

#[tokio::test]
async fn requests_in_flight_are_finished_and_then_their_connections_closed() {
    let (made, served) = presenting();
    let (gate, filter) = Gate::new();
    let server = Server::start(&served, filter, limits()).await;
    let mut client = Client::connect(server.address, &made.bundle()).await.unwrap();
    let stopped = async {
        gate.begun.notified().await;
        server.shutdown.cancel();
        gate.go.notify_one();
    };
    let (answer, ()) = timeout(WITHIN, async { tokio::join!(client.get(), stopped) }).await.unwrap();
    assert_eq!(answer.unwrap(), (200, "done".into()));
    server.stop().await;
    client.ended().await;
}

#[tokio::test]
async fn a_connection_whose_request_has_not_come_yet_is_served_in_the_shutdown_too() {
    let (made, served) = presenting();
    let server = Server::start(&served, hello(), limits()).await;
    let mut client = Client::connect(server.address, &made.bundle()).await.unwrap();
    server.shutdown.cancel();
    // Once the listener refuses, the shutdown has reached its connections.
    let refused = async { while TcpStream::connect(server.address).await.is_ok() {} };
    timeout(WITHIN, refused).await.unwrap();
    assert_eq!(client.get().await.unwrap(), (200, "hello".into()));
    server.stop().await;
}

#[tokio::test]
async fn a_request_that_outlasts_the_shutdown_is_cut_off() {
    let (made, served) = presenting();
    let (gate, filter) = Gate::new();
    let limits = TlsLimits { finish_within: Duration::from_millis(20), ..limits() };
    let server = Server::start(&served, filter, limits).await;
    let mut client = Client::connect(server.address, &made.bundle()).await.unwrap();
    let stopped = async {
        gate.begun.notified().await;
        server.stop().await;
    };
    let (answer, ()) = timeout(WITHIN, async { tokio::join!(client.get(), stopped) }).await.unwrap();
    assert!(answer.is_err());
}

#[tokio::test]
async fn connections_are_accepted_until_the_endpoint_is_gone() {
    let (made, served) = presenting();
    // Longer than the test takes, so that its end proves nothing about time.
    let server = Server::start(&served, hello(), TlsLimits { linger: WITHIN, ..limits() }).await;
    server.shutdown.cancel();
    let mut client = Client::connect(server.address, &made.bundle()).await.unwrap();
    assert_eq!(client.get().await.unwrap().0, 200);
}

#[tokio::test]
async fn a_handshake_that_does_not_come_is_ended_and_leaves_its_place_to_others() {
    let (made, served) = presenting();
    let limits = TlsLimits { max_connections: 1, handshake_timeout: Duration::from_millis(50), ..limits() };
    let server = Server::start(&served, hello(), limits).await;
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    let mut client = Client::connect(server.address, &made.bundle()).await.unwrap();
    assert_eq!(client.get().await.unwrap().0, 200);
    assert_eq!(timeout(WITHIN, silent.read(&mut [0; 1])).await.unwrap().unwrap(), 0);
}

#[tokio::test]
async fn garbage_instead_of_a_handshake_does_no_harm() {
    use tokio::io::AsyncWriteExt as _;

    let (made, served) = presenting();
    let server = Server::start(&served, hello(), limits()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    // An alert or a reset, but an end.
    drop(timeout(WITHIN, stream.read_to_end(&mut answer)).await.unwrap());
    assert!(!answer.starts_with(b"HTTP"));
    Client::connect(server.address, &made.bundle()).await.unwrap();
}

#[tokio::test]
async fn a_connection_without_a_request_ends() {
    let (made, served) = presenting();
    let limits = TlsLimits { header_timeout: Duration::from_millis(50), ..limits() };
    let server = Server::start(&served, hello(), limits).await;
    let client = Client::connect(server.address, &made.bundle()).await.unwrap();
    client.ended().await;
}

//! Probes and metrics, as answers and over a socket.

#![allow(clippy::unwrap_used)] // tests fail by panicking

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::*;
use crate::certs::testing::Made;

#[derive(Default)]
struct Fake {
    stale: Mutex<Vec<String>>,
    unsynced: Mutex<Vec<String>>,
}

impl Watches for Fake {
    fn stale(&self) -> Vec<String> {
        self.stale.lock().clone()
    }
    fn unsynced(&self) -> Vec<String> {
        self.unsynced.lock().clone()
    }
}

fn facts() -> (Arc<Fake>, Facts) {
    let (watches, mut registry) = (Arc::new(Fake::default()), Registry::with_prefix("moorline_operator"));
    registry.register("things", "Counted", Counter::<u64>::default());
    let facts =
        Facts { watches: Arc::<Fake>::clone(&watches), certificate: Served::new(), registry: Arc::new(registry) };
    (watches, facts)
}

fn status(facts: &Facts, path: &str) -> u16 {
    answer(facts, &Method::GET, path).status().as_u16()
}

async fn ask(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(Duration::from_secs(30), stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    answer
}

#[test]
fn live_means_that_no_watch_is_stale() {
    let (watches, facts) = facts();
    assert_eq!(status(&facts, "/livez"), 200);
    watches.stale.lock().push("services".to_owned());
    assert_eq!(status(&facts, "/livez"), 503);
}

#[test]
fn ready_means_a_certificate_and_everything_listed() {
    let (watches, facts) = facts();
    watches.unsynced.lock().push("routes".to_owned());
    assert_eq!(status(&facts, "/readyz"), 503);
    Made::new().present(&facts.certificate);
    assert_eq!(status(&facts, "/readyz"), 503);
    watches.unsynced.lock().clear();
    assert_eq!(status(&facts, "/readyz"), 200);
    watches.stale.lock().push("routes".to_owned());
    assert_eq!(status(&facts, "/readyz"), 200, "a stale watch is for the other probe");
}

#[test]
fn only_get_is_served_and_only_on_known_paths() {
    let (_, facts) = facts();
    assert_eq!(answer(&facts, &Method::POST, "/livez").status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(status(&facts, "/"), 404);
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    let (watches, facts) = facts();
    *watches.stale.lock() = vec!["pods".to_owned(), "services".to_owned()];
    *watches.unsynced.lock() = vec!["routes".to_owned()];
    let health = start("127.0.0.1:0".parse().unwrap(), facts).await.unwrap();
    assert!(ask(health.address(), "/livez").await.ends_with("these watches are stale: pods, services\n"));
    let ready = ask(health.address(), "/readyz").await;
    assert!(ready.ends_with("the webhook has no certificate\nnot yet listed: routes\n"), "{ready}");
    health.stop().await;
}

#[tokio::test]
async fn metrics_are_in_the_open_format() {
    let (_, facts) = facts();
    let health = start("127.0.0.1:0".parse().unwrap(), facts).await.unwrap();
    let answer = ask(health.address(), "/metrics").await;
    assert!(answer.contains("application/openmetrics-text"), "{answer}");
    assert!(answer.contains("moorline_operator_things_total 0\n"), "{answer}");
    assert!(answer.ends_with("# EOF\n"));
    health.stop().await;
}

#[tokio::test]
async fn probes_are_answered_while_the_other_runtime_stands_still() {
    let (_, facts) = facts();
    let health = start("127.0.0.1:0".parse().unwrap(), facts).await.unwrap();
    // Blocks this test's only worker, as a bug on the operator's runtime would.
    let mut stream = std::net::TcpStream::connect(health.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    std::io::Write::write_all(&mut stream, b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut stream, &mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    health.stop().await;
}

#[tokio::test]
async fn a_port_that_is_taken_is_said_at_the_start() {
    let (_, facts) = facts();
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let error = start(taken.local_addr().unwrap(), facts).await.err().unwrap();
    assert_eq!(error.reason(), "BindHealth");
}

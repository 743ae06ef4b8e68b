//! Measures what the pool costs above bare hyper: calls per second against a trivial app.
//!
//! `cargo run --release -p moorline-sidecar --example pool_bench`. Read the ratios and not the numbers:
//! both sides run in one process, in turns, and share the machine with whatever else runs. The bare side
//! is the least a caller could do with hyper: one connection per task for good, its future spawned, no
//! deadline, no limit, no queue. The app has a thread of its own and limits the calls per second, so the
//! processor time of the calling threads per call is the finer measure; it is read from `/proc` (Linux).

#![allow(clippy::unwrap_used)] // a benchmark fails by panicking

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use moorline_sidecar::upstream::{CallClass, CallOptions, Pool, PoolSettings};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::{Builder, Runtime},
    time::Instant,
};
use tokio_util::task::TaskTracker;

const ROUND: Duration = Duration::from_millis(700);
const ROUNDS: usize = 9;
const CALLER: &str = "caller";

fn main() {
    let app = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let tasks = TaskTracker::new();
    let address = app.block_on(serve(tasks.clone()));

    println!("threads tasks connections | bare/s pool/s ratio (min-max) | bare us pool us ratio (min-max)");
    for (threads, callers, connections) in [(1, 64, 64), (2, 64, 64), (1, 64, 32), (1, 1, 64), (1, 1000, 64)] {
        let runtime =
            Builder::new_multi_thread().worker_threads(threads).thread_name(CALLER).enable_all().build().unwrap();
        let mut bare = Vec::new();
        let mut pooled = Vec::new();
        for _ in 0..ROUNDS {
            bare.push(measure_bare(&runtime, address, callers));
            pooled.push(measure_pool(&runtime, address, callers, connections));
        }
        print!("{threads:7} {callers:5} {connections:11}");
        report(&bare, &pooled, |measured| measured.per_second);
        report(&bare, &pooled, |measured| measured.cpu_us);
        println!();
    }
}

/// What a round showed.
struct Measured {
    per_second: f64,
    cpu_us: f64,
}

fn report(bare: &[Measured], pooled: &[Measured], of: impl Fn(&Measured) -> f64) {
    let mut ratios: Vec<_> = bare.iter().zip(pooled).map(|(bare, pool)| of(pool) / of(bare)).collect();
    let median_of = |all: &[Measured]| median(&mut all.iter().map(&of).collect::<Vec<_>>());
    let ratio = median(&mut ratios);
    let (least, most) = (ratios[0], ratios[ratios.len() - 1]);
    print!(" | {:8.1} {:8.1} {ratio:.2} ({least:.2}-{most:.2})", median_of(bare), median_of(pooled));
}

/// Processor time of all calling threads so far.
fn caller_cpu() -> Duration {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let nanos = threads.flatten().filter_map(|thread| {
        let path = thread.path();
        let name = std::fs::read_to_string(path.join("comm")).ok()?;
        let times = std::fs::read_to_string(path.join("schedstat")).ok()?;
        (name.trim() == CALLER).then(|| times.split(' ').next()?.parse::<u64>().ok()).flatten()
    });
    Duration::from_nanos(nanos.sum())
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// An app that echoes the body.
async fn serve(tasks: TaskTracker) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tasks.clone().spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let echo = service_fn(|request: Request<Incoming>| async {
                let body = request.into_body().collect().await.unwrap().to_bytes();
                Ok::<_, Infallible>(Response::new(Full::new(body)))
            });
            tasks.spawn(async move {
                let connection =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), echo);
                // An end in the middle of a call is how a round ends.
                let _ = connection.await;
            });
        }
    });
    address
}

/// A request such as the sidecar makes of a message.
fn request() -> Request<Bytes> {
    Request::builder()
        .method("POST")
        .uri("/orders/42/lines?limit=10")
        .header("content-type", "application/json")
        .header("authorization", "Bearer abcdefghijklmnopqrstuvwxyz")
        .header("user-agent", "pool-bench")
        .header("x-forwarded-for", "127.0.0.1")
        .header("x-request-id", "0123456789abcdef0123456789abcdef")
        .header("moorline-connection-id", "AAAAAAAAAAAAAAAAAAAAAA")
        .header("moorline-route-key", "orders")
        .header("moorline-event", "message")
        .body(Bytes::from_static(&[b'x'; 64]))
        .unwrap()
}

/// Counts calls while `callers` tasks call one after the other.
struct Round {
    tasks: TaskTracker,
    done: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

impl Round {
    fn new() -> Self {
        Self { tasks: TaskTracker::new(), done: Arc::default(), stop: Arc::default() }
    }

    async fn measure(self) -> Measured {
        // A warm-up, in which connections are opened.
        tokio::time::sleep(ROUND / 7).await;
        let (start, cpu) = (Instant::now(), caller_cpu());
        let before = self.done.load(Ordering::Relaxed);
        tokio::time::sleep(ROUND).await;
        let calls = self.done.load(Ordering::Relaxed) - before;
        let (seconds, cpu) = (start.elapsed().as_secs_f64(), caller_cpu().saturating_sub(cpu));
        self.stop.store(true, Ordering::Relaxed);
        self.tasks.close();
        self.tasks.wait().await;
        #[allow(clippy::cast_precision_loss)] // a few million at most
        let calls = calls as f64;
        Measured { per_second: calls / seconds, cpu_us: cpu.as_secs_f64() * 1e6 / calls }
    }
}

fn measure_bare(runtime: &Runtime, address: SocketAddr, callers: usize) -> Measured {
    runtime.block_on(async {
        let round = Round::new();
        let drivers = TaskTracker::new();
        for _ in 0..callers {
            let stream = TcpStream::connect(address).await.unwrap();
            stream.set_nodelay(true).unwrap();
            let (mut sender, driver) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
            drivers.spawn(driver);
            let (done, stop) = (Arc::clone(&round.done), Arc::clone(&round.stop));
            let host = http::HeaderValue::from_str(&address.to_string()).unwrap();
            round.tasks.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let mut request = request().map(Full::new);
                    request.headers_mut().insert("host", host.clone());
                    sender.ready().await.unwrap();
                    let answer = sender.send_request(request).await.unwrap();
                    let body = answer.into_body().collect().await.unwrap().to_bytes();
                    assert_eq!(body.len(), 64);
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        round.measure().await
    })
}

fn measure_pool(runtime: &Runtime, address: SocketAddr, callers: usize, connections: usize) -> Measured {
    runtime.block_on(async {
        let round = Round::new();
        let mut settings = PoolSettings::new(address.to_string());
        settings.max_connections = connections;
        let pool = Pool::new(settings, TaskTracker::new());
        for _ in 0..callers {
            let pool = pool.clone();
            let (done, stop) = (Arc::clone(&round.done), Arc::clone(&round.stop));
            round.tasks.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let options = CallOptions {
                        deadline: Instant::now() + Duration::from_secs(29),
                        answer_bytes: 1024 * 1024,
                        class: CallClass::Message,
                    };
                    let answer = pool.call(request(), options).await.unwrap();
                    assert_eq!(answer.body.len(), 64);
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        round.measure().await
    })
}

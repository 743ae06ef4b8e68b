//! The pool against real sockets, one table of app behaviours per file.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests fail by panicking

mod answers;
mod app;
mod bounds;
mod cancel;
mod elsewhere;
mod keep_alive;
mod repeats;

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;

use self::app::{App, PATIENCE};
use super::{Answer, CallClass, CallError, CallOptions, Pool, PoolSettings};

/// Long enough that no test needs it, short enough that a test that hangs ends.
const LONG: Duration = PATIENCE;
/// For what is meant to time out.
const SHORT: Duration = Duration::from_millis(60);

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A pool that looks at a connection before every reuse, and a client for it.
struct Client {
    pool: Pool,
    tasks: TaskTracker,
}

impl Client {
    fn new(app: &App) -> Self {
        Self::with(app, |_| {})
    }

    fn with(app: &App, change: impl FnOnce(&mut PoolSettings)) -> Self {
        let mut settings = PoolSettings::new(app.address.to_string());
        settings.max_idle = LONG;
        change(&mut settings);
        let tasks = TaskTracker::new();
        let pool = Pool::with_look_after(settings, tasks.clone(), Duration::ZERO);
        Self { pool, tasks }
    }

    async fn get(&self) -> Result<Answer, CallError> {
        self.call(Method::GET, "").await
    }

    async fn post(&self) -> Result<Answer, CallError> {
        self.call(Method::POST, "body").await
    }

    async fn call(&self, method: Method, body: &'static str) -> Result<Answer, CallError> {
        let call = self.pool.call(request(method, body), options(LONG));
        timeout(PATIENCE * 2, call).await.expect("the call ends")
    }
}

fn request(method: Method, body: &'static str) -> Request<Bytes> {
    let request = Request::builder().method(method).uri("/orders?limit=2");
    request.body(Bytes::from_static(body.as_bytes())).unwrap()
}

fn options(within: Duration) -> CallOptions {
    CallOptions { deadline: Instant::now() + within, answer_bytes: 1024 * 1024, class: CallClass::Message }
}

fn disconnect() -> CallOptions {
    CallOptions { class: CallClass::Disconnect, ..options(LONG) }
}

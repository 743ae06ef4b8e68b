//! The admin listener: health, report and metrics, for the kubelet, the operator and Prometheus.
//!
//! Reachable from the pod network, so it only answers GET and nothing on it changes anything; what does is on the
//! loopback callback listener. A connection serves one request and lives a few seconds, so that whoever holds
//! connections open cannot keep the probes out for long; the few that wait for the end of a drain are counted. It runs
//! on a thread of its own ([`AdminThread`]), so that a busy data plane is not taken for a dead one.

mod thread;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Method, StatusCode, header};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use warp::filters::BoxedFilter;
use warp::reply::Response;
use warp::{Filter as _, Reply as _};

pub use self::thread::AdminThread;

use crate::gateway::DrainPhase;
use crate::metrics::{self, Metrics};
use crate::report::Report;
use crate::serve::{self, ServeLimits};

/// Where the end of a drain is waited for.
const DRAINED: &str = "/drained";
/// How many may wait there at a time: the containers of a pod, each in its `preStop`, and some more. Far below the
/// bound on connections, so that the probes always find a place.
const MAX_WAITING: usize = 32;
/// How long a drain is waited for to begin. In a pod that ends, all `preStop` begin together. A container that its own
/// liveness probe ends has its `preStop` called too, and there is no drain then to wait for.
const BEGINS_WITHIN: Duration = Duration::from_secs(5);

const LIMITS: ServeLimits = ServeLimits {
    max_connections: 128,
    header_timeout: Duration::from_secs(5),
    max_head_bytes: 16 * 1024,
    keep_alive: false,
    lifetime: Some(Duration::from_secs(10)),
    lasting: Some(DRAINED),
    finish_within: Duration::from_secs(2),
};

/// What the listener tells of the process.
pub trait AdminState: Send + Sync + fmt::Debug {
    /// How far its drain is.
    fn drain(&self) -> watch::Receiver<DrainPhase>;
    /// The hash over all documents in use.
    fn config_hash(&self) -> String;
    /// What is served, and what is not.
    fn report(&self) -> Report;
    /// The numbers.
    fn metrics(&self) -> Arc<Metrics>;
}

/// Serves until `shutdown` is cancelled, then finishes the requests in flight.
pub async fn serve(listener: TcpListener, state: Arc<dyn AdminState>, shutdown: CancellationToken) {
    serve::serve(listener, filter(state), LIMITS, shutdown).await;
}

fn filter(state: Arc<dyn AdminState>) -> BoxedFilter<(Response,)> {
    let places = Arc::new(Semaphore::new(MAX_WAITING));
    // Boxed because warp's nested types otherwise defeat the compiler's proof that the future is `Send`.
    warp::method()
        .and(warp::path::full())
        .then(move |method: Method, path: warp::path::FullPath| {
            let (state, places) = (Arc::clone(&state), Arc::clone(&places));
            async move {
                if path.as_str() == DRAINED && method == Method::GET {
                    return drained(&*state, &places, BEGINS_WITHIN).await;
                }
                answer(&*state, &method, path.as_str())
            }
        })
        .boxed()
}

/// Answers when the drain is over. For the `preStop` of an app beside the sidecar, which must outlast the drain.
async fn drained(state: &dyn AdminState, places: &Semaphore, begins_within: Duration) -> Response {
    let Ok(_place) = places.try_acquire() else {
        return with_status(StatusCode::SERVICE_UNAVAILABLE, text("too many wait already\n"));
    };
    let mut phase = state.drain();
    if timeout(begins_within, phase.wait_for(|phase| *phase != DrainPhase::NotBegun)).await.is_err() {
        return text("no drain has begun\n");
    }
    // An error means that the gateway is gone, and with it every connection.
    let _ = phase.wait_for(|phase| *phase == DrainPhase::Ended).await;
    text("drained\n")
}

fn answer(state: &dyn AdminState, method: &Method, path: &str) -> Response {
    let page = match path {
        "/lb" if *state.drain().borrow() != DrainPhase::NotBegun => {
            with_status(StatusCode::SERVICE_UNAVAILABLE, text("draining\n"))
        }
        // Alive means that this code runs: anything more would have the kubelet restart a pod whose app is at fault.
        // Ready means that the listeners are bound, which they are before this one is served. In a pod it is the REST
        // service's readiness too, so it depends on nothing and stays as it is while connections drain.
        // Started means ready: there is nothing to wait for in between.
        "/livez" | "/readyz" | "/startupz" | "/lb" => text("ok\n"),
        "/metrics" => typed(metrics::CONTENT_TYPE, state.metrics().encode()),
        "/config" => typed("application/json", serde_json::to_string(&state.report()).unwrap_or_default()),
        "/config/hash" => {
            let body = serde_json::json!({ "hash": state.config_hash() });
            typed("application/json", body.to_string())
        }
        // Only a wrong method comes here.
        DRAINED => text("drained\n"),
        _ => return with_status(StatusCode::NOT_FOUND, text("not found\n")),
    };
    if *method == Method::GET {
        return page;
    }
    let mut refused = with_status(StatusCode::METHOD_NOT_ALLOWED, text("only GET\n"));
    refused.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET"));
    refused
}

fn text(body: &'static str) -> Response {
    typed("text/plain; charset=utf-8", body.to_owned())
}

fn typed(media_type: &'static str, body: String) -> Response {
    let mut response = body.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

fn with_status(status: StatusCode, mut response: Response) -> Response {
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // tests fail by panicking
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;
    use tokio_util::task::TaskTracker;

    use super::*;
    use crate::budget::Budget;

    const LONG: Duration = Duration::from_hours(1);

    #[derive(Debug)]
    struct Fake {
        phase: watch::Sender<DrainPhase>,
        metrics: Arc<Metrics>,
    }

    impl AdminState for Fake {
        fn drain(&self) -> watch::Receiver<DrainPhase> {
            self.phase.subscribe()
        }
        fn config_hash(&self) -> String {
            "abc".to_owned()
        }
        fn report(&self) -> Report {
            Report::new(false, 12)
        }
        fn metrics(&self) -> Arc<Metrics> {
            Arc::clone(&self.metrics)
        }
    }

    fn state() -> Arc<Fake> {
        Arc::new(Fake { phase: watch::Sender::new(DrainPhase::NotBegun), metrics: Metrics::new(Budget::new(1)) })
    }

    fn status(state: &Fake, method: &Method, path: &str) -> u16 {
        answer(state, method, path).status().as_u16()
    }

    #[test]
    fn only_the_answer_for_load_balancers_changes_while_draining() {
        let state = state();
        for path in ["/livez", "/readyz", "/startupz", "/lb"] {
            assert_eq!(status(&state, &Method::GET, path), 200, "{path}");
        }
        state.phase.send_replace(DrainPhase::Begun);
        assert_eq!(status(&state, &Method::GET, "/livez"), 200);
        assert_eq!(status(&state, &Method::GET, "/readyz"), 200);
        assert_eq!(status(&state, &Method::GET, "/startupz"), 200);
        assert_eq!(status(&state, &Method::GET, "/lb"), 503);
    }

    #[test]
    fn nothing_but_get_of_a_known_path_is_answered() {
        let state = state();
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::HEAD, Method::OPTIONS] {
            for path in ["/livez", "/readyz", "/startupz", "/lb", "/metrics", "/config", "/config/hash", "/drained"] {
                let refused = answer(&*state, &method, path);
                assert_eq!(refused.status(), 405, "{method} {path}");
                assert_eq!(refused.headers()[header::ALLOW], "GET");
            }
        }
        for path in ["/", "", "/drain", "/@drain", "/@all", "/livez/", "/metrics/x"] {
            assert_eq!(status(&state, &Method::GET, path), 404, "{path}");
            assert_eq!(status(&state, &Method::POST, path), 404, "{path}");
        }
    }

    #[tokio::test]
    async fn metrics_and_hash_are_served_over_a_socket() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (shutdown, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn(serve(listener, state(), shutdown.clone()));
        tasks.close();
        for (path, media_type, part) in [
            ("/metrics", "content-type: text/plain; version=0.0.4", "moorline_build_info"),
            ("/config/hash", "content-type: application/json", r#"{"hash":"abc"}"#),
            ("/config", "content-type: application/json", r#""draining":false,"connections":12,"services":[]}"#),
        ] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await.unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).await.unwrap();
            assert!(text.starts_with("HTTP/1.1 200") && text.contains(media_type) && text.contains(part), "{text}");
        }
        shutdown.cancel();
        tasks.wait().await;
    }

    #[tokio::test]
    async fn the_end_of_a_drain_is_waited_for_by_a_bounded_number() {
        let (state, places) = (state(), Semaphore::new(2));
        let mut waiting: Vec<_> = (0..2).map(|_| Box::pin(drained(&*state, &places, LONG))).collect();
        for one in &mut waiting {
            assert!(futures_util::poll!(one).is_pending());
        }
        assert_eq!(drained(&*state, &places, LONG).await.status(), 503);
        state.phase.send_replace(DrainPhase::Begun);
        for one in &mut waiting {
            assert!(futures_util::poll!(one).is_pending());
        }
        state.phase.send_replace(DrainPhase::Ended);
        for one in waiting {
            assert_eq!(one.await.status(), 200);
        }
        assert_eq!(drained(&*state, &places, LONG).await.status(), 200);
    }

    #[tokio::test]
    async fn a_drain_that_nobody_begins_is_not_waited_for_for_ever() {
        let answer = drained(&*state(), &Semaphore::new(1), Duration::from_millis(1)).await;
        assert_eq!(answer.status(), 200);
    }
}

//! A client that counts its calls, and notes when the server last answered.
//!
//! A layer below the typed API, so that no caller can forget to count, and so that a watch shows signs of life that
//! kube's watcher swallows: it ends and begins a watch again without an event, at least once a minute, and the answer to
//! that is the proof that the watch works.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::{Request, Response, StatusCode, header};
use kube::Client;
use kube::client::Body;
use tower::service_fn;

use super::call::Call;
use crate::metrics::Metrics;

/// When something last gave a sign of life.
#[derive(Debug)]
pub(crate) struct Pulse {
    started: Instant,
    /// Milliseconds since then.
    last_ms: AtomicU64,
}

impl Default for Pulse {
    fn default() -> Self {
        Self { started: Instant::now(), last_ms: AtomicU64::new(0) }
    }
}

impl Pulse {
    /// Gives one now.
    pub(crate) fn beat(&self) {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_ms.fetch_max(now, Ordering::Relaxed);
    }

    /// How long ago the last one was. Before the first, since when it is waited for.
    pub(crate) fn age(&self) -> Duration {
        self.started.elapsed().saturating_sub(Duration::from_millis(self.last_ms.load(Ordering::Relaxed)))
    }
}

/// The client, counted.
pub(crate) fn metered(client: Client, metrics: Arc<Metrics>, pulse: Option<Arc<Pulse>>) -> Client {
    let namespace = client.default_namespace().to_owned();
    let service = service_fn(move |request: Request<Body>| {
        let (client, metrics, pulse) = (client.clone(), Arc::clone(&metrics), pulse.clone());
        async move {
            let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
            let call = Call::of(request.method(), request.uri(), content_type);
            let answer = client.send(request).await;
            let is_well = answer.as_ref().is_ok_and(|response| response.status().is_success());
            metrics.called(call.verb, call.resource, result(&answer));
            if let Some(pulse) = pulse.filter(|_| is_well) {
                pulse.beat();
            }
            answer
        }
    });
    Client::new(service, namespace)
}

fn result(answer: &Result<Response<Body>, kube::Error>) -> &'static str {
    let Ok(response) = answer else { return "error" };
    match response.status() {
        status if status.is_success() => "ok",
        StatusCode::FORBIDDEN => "forbidden",
        StatusCode::NOT_FOUND => "not_found",
        StatusCode::CONFLICT => "conflict",
        StatusCode::GONE => "gone",
        StatusCode::UNPROCESSABLE_ENTITY => "invalid",
        StatusCode::TOO_MANY_REQUESTS => "throttled",
        status if status.is_server_error() => "server_error",
        _ => "refused",
    }
}

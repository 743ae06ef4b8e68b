//! An API server for tests that knows one Secret and one webhook configuration, with versions, over real HTTP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode, header};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use kube::Client;
use moorline_serve::ServeLimits;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use warp::reply::Response;
use warp::{Filter as _, Reply as _};

pub(super) const NAMESPACE: &str = "moorline-system";
pub(super) const SECRET: &str = "moorline-webhook-certificate";
pub(super) const CONFIGURATION: &str = "moorline";

const LIMITS: ServeLimits = ServeLimits {
    max_connections: 64,
    header_timeout: Duration::from_secs(30),
    max_head_bytes: 16 * 1024,
    keep_alive: true,
    lifetime: None,
    lasting: None,
    finish_within: Duration::ZERO,
};

/// What is stored, and what was asked.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) secret: Option<Value>,
    pub(super) configuration: Option<Value>,
    /// What the clock of the API server says, when not the time.
    pub(super) clock: Option<Timestamp>,
    /// `METHOD resource` of every request.
    pub(super) calls: Vec<String>,
    /// Calls of this kind are refused.
    pub(super) forbidden: Option<&'static str>,
    version: u64,
}

/// The running server. It ends with the test's runtime.
pub(super) struct FakeApi {
    pub(super) state: Arc<Mutex<State>>,
    address: SocketAddr,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

impl FakeApi {
    /// With the configuration that a chart makes, and no Secret.
    pub(super) async fn start() -> Self {
        let state = Arc::new(Mutex::new(State { configuration: Some(configuration()), ..State::default() }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::clone(&state);
        let filter = warp::method()
            .and(warp::path::full())
            .and(warp::body::bytes())
            .map(move |method, path: warp::path::FullPath, body: bytes::Bytes| {
                shared.lock().answer(&method, path.as_str(), &body)
            })
            .boxed();
        let (tasks, shutdown) = (TaskTracker::new(), CancellationToken::new());
        tasks.spawn(moorline_serve::serve(listener, filter, LIMITS, shutdown.clone()));
        Self { state, address, tasks, shutdown }
    }

    pub(super) fn client(&self) -> Client {
        let mut config = kube::Config::new(format!("http://{}", self.address).parse().unwrap());
        config.default_retry = false;
        Client::try_from(config).unwrap()
    }

    /// The bundle that an API server trusts; empty when the webhooks do not agree.
    pub(super) fn published(&self) -> String {
        use base64::Engine as _;

        let state = self.state.lock();
        let webhooks = state.configuration.as_ref().unwrap()["webhooks"].as_array().unwrap();
        let mut bundles: Vec<_> = webhooks.iter().map(|webhook| &webhook["clientConfig"]["caBundle"]).collect();
        bundles.dedup();
        let [Value::String(bundle)] = bundles[..] else { return String::new() };
        String::from_utf8(base64::engine::general_purpose::STANDARD.decode(bundle).unwrap()).unwrap()
    }

    pub(super) async fn stop(self) {
        self.shutdown.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

fn configuration() -> Value {
    let webhook = |name| {
        json!({
            "name": name,
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "clientConfig": { "service": { "name": "moorline-webhook", "namespace": NAMESPACE, "path": "/inject/pod" } },
        })
    };
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": { "name": CONFIGURATION, "resourceVersion": "1" },
        "webhooks": [webhook("namespace.inject.moorline.dev"), webhook("pod.inject.moorline.dev")],
    })
}

impl State {
    fn answer(&mut self, method: &Method, path: &str, body: &[u8]) -> Response {
        let resource = if path.contains("/secrets") { "secrets" } else { "mutatingwebhookconfigurations" };
        let call = format!("{method} {resource}");
        let is_forbidden = self.forbidden == Some(call.as_str());
        self.calls.push(call);
        let outcome = if is_forbidden {
            Err((StatusCode::FORBIDDEN, "Forbidden"))
        } else {
            self.carry_out(method, resource, serde_json::from_slice(body).unwrap_or_default())
        };
        let (status, json) = outcome.map_or_else(
            |(status, reason)| {
                let code = status.as_u16();
                (
                    status,
                    json!({ "kind": "Status", "status": "Failure", "reason": reason, "message": reason, "code": code }),
                )
            },
            |object| (StatusCode::OK, object),
        );
        let mut response = json.to_string().into_response();
        *response.status_mut() = status;
        if let Some(clock) = &self.clock {
            let date = DateTimePrinter::new().timestamp_to_rfc9110_string(clock).unwrap();
            response.headers_mut().insert(header::DATE, date.parse().unwrap());
        }
        response
    }

    fn carry_out(&mut self, method: &Method, resource: &str, sent: Value) -> Result<Value, (StatusCode, &'static str)> {
        self.version += 1;
        let version = json!(format!("{}", self.version + 1));
        let stored = if resource == "secrets" { &mut self.secret } else { &mut self.configuration };
        if *method == Method::POST {
            if stored.is_some() {
                return Err((StatusCode::CONFLICT, "AlreadyExists"));
            }
            let object = stored.insert(sent);
            object["metadata"]["resourceVersion"] = version;
            return Ok(object.clone());
        }
        let object = stored.as_mut().ok_or((StatusCode::NOT_FOUND, "NotFound"))?;
        if *method == Method::PATCH {
            if sent["metadata"]["resourceVersion"] != object["metadata"]["resourceVersion"] {
                return Err((StatusCode::CONFLICT, "Conflict"));
            }
            merge(object, &sent);
            object["metadata"]["resourceVersion"] = version;
        }
        Ok(object.clone())
    }
}

/// A merge in which entries of a list belong together by their names, as in a server-side apply of webhooks.
fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (Value::Array(into), Value::Array(from)) => {
            for value in from {
                match into.iter_mut().find(|known| known["name"] == value["name"]) {
                    Some(known) => merge(known, value),
                    None => into.push(value.clone()),
                }
            }
        }
        (into, from) => *into = from.clone(),
    }
}

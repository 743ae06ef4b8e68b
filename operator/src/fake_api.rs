//! An API server for tests: objects with versions, answers that go wrong on demand, and a record of what was asked.
//!
//! In memory and without a socket, so that tests can run on a clock that they set. Only for what a real server cannot be
//! brought to do at will; the rest is tested against a real one.

#![allow(clippy::unwrap_used)] // tests fail by panicking

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use kube::Client;
use kube::client::Body;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tower::service_fn;

/// What came in.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) body: Value,
}

impl Call {
    pub(crate) fn is_watch(&self) -> bool {
        self.query.contains("watch=true")
    }

    fn title(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// What goes out.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// A status and a body.
    Json(u16, Value),
    /// The lines of a watch, which then ends.
    Lines(Vec<Value>),
    /// Nothing, ever.
    Silence,
    /// As the store of objects answers.
    Stored,
}

type Script = Box<dyn FnMut(&Call) -> Answer + Send>;

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Value>,
    version: u64,
    calls: Vec<Call>,
    script: Option<Script>,
}

/// The server.
#[derive(Clone, Default)]
pub(crate) struct FakeApi(Arc<Mutex<State>>);

impl FakeApi {
    pub(crate) fn client(&self) -> Client {
        let server = self.clone();
        let service = service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move { server.answer(request).await }
        });
        Client::new(service, "default")
    }

    /// Says what to answer from now on.
    pub(crate) fn script(&self, script: impl FnMut(&Call) -> Answer + Send + 'static) {
        self.0.lock().script = Some(Box::new(script));
    }

    /// Puts an object at its path.
    pub(crate) fn put(&self, path: &str, object: Value) {
        let mut state = self.0.lock();
        let stored = state.stamp(object);
        state.objects.insert(path.to_owned(), stored);
    }

    pub(crate) fn get(&self, path: &str) -> Option<Value> {
        self.0.lock().objects.get(path).cloned()
    }

    /// Changes an object as somebody else would.
    pub(crate) fn change(&self, path: &str, change: impl FnOnce(&mut Value)) {
        let mut state = self.0.lock();
        let mut object = state.objects.get(path).unwrap().clone();
        change(&mut object);
        let stored = state.stamp(object);
        state.objects.insert(path.to_owned(), stored);
    }

    pub(crate) fn remove(&self, path: &str) {
        self.0.lock().objects.remove(path);
    }

    /// How often this was asked, as `PATCH /api/v1/...`.
    pub(crate) fn count(&self, title: &str) -> usize {
        self.0.lock().calls.iter().filter(|call| call.title() == title).count()
    }

    /// What was sent last with this.
    pub(crate) fn sent(&self, title: &str) -> Option<Value> {
        self.0.lock().calls.iter().rfind(|call| call.title() == title).map(|call| call.body.clone())
    }

    /// Everything that was asked and writes.
    pub(crate) fn writes(&self) -> Vec<String> {
        self.0.lock().calls.iter().filter(|call| call.method != Method::GET).map(Call::title).collect()
    }

    async fn answer(&self, request: Request<Body>) -> Result<Response<Full<Bytes>>, std::convert::Infallible> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let call = Call {
            method: parts.method,
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            body: serde_json::from_slice(&body).unwrap_or(Value::Null),
        };
        let answer = {
            let mut state = self.0.lock();
            state.calls.push(call.clone());
            let mut script = state.script.take();
            let answer = script.as_mut().map_or(Answer::Stored, |script| script(&call));
            state.script = script;
            match answer {
                Answer::Stored => state.stored(&call),
                other => other,
            }
        };
        let (status, text) = match answer {
            Answer::Json(status, body) => (status, body.to_string()),
            Answer::Lines(lines) => (200, lines.iter().flat_map(|line| [line.to_string(), "\n".to_owned()]).collect()),
            Answer::Silence | Answer::Stored => std::future::pending().await,
        };
        Ok(Response::builder().status(status).body(Full::from(text)).unwrap())
    }
}

impl State {
    fn stamp(&mut self, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!((self.version + 100).to_string());
        object
    }

    /// Get, create, replace, patch and delete by path. A patch replaces what it names; that is enough of an apply here.
    fn stored(&mut self, call: &Call) -> Answer {
        match call.method {
            Method::GET => match self.objects.get(&call.path) {
                Some(object) => Answer::Json(200, object.clone()),
                None => failure(404, "NotFound"),
            },
            Method::POST => {
                let name = call.body["metadata"]["name"].as_str().unwrap_or_default();
                let path = format!("{}/{name}", call.path);
                if self.objects.contains_key(&path) {
                    return failure(409, "AlreadyExists");
                }
                let stored = self.stamp(call.body.clone());
                self.objects.insert(path, stored.clone());
                Answer::Json(201, stored)
            }
            Method::PUT => {
                let Some(known) = self.objects.get(&call.path) else { return failure(404, "NotFound") };
                if known["metadata"]["resourceVersion"] != call.body["metadata"]["resourceVersion"] {
                    return failure(409, "Conflict");
                }
                let stored = self.stamp(call.body.clone());
                self.objects.insert(call.path.clone(), stored.clone());
                Answer::Json(200, stored)
            }
            Method::PATCH => {
                let path = call.path.trim_end_matches("/status").to_owned();
                let mut object = self.objects.get(&path).cloned().unwrap_or_else(|| json!({}));
                if call.path.ends_with("/status") {
                    object["status"] = call.body["status"].clone();
                } else {
                    merge(&mut object, &call.body);
                }
                let stored = self.stamp(object);
                self.objects.insert(path, stored.clone());
                Answer::Json(200, stored)
            }
            Method::DELETE => match self.objects.remove(&call.path) {
                Some(object) => Answer::Json(200, object),
                None => failure(404, "NotFound"),
            },
            _ => failure(405, "MethodNotAllowed"),
        }
    }
}

/// A failure as the API server words it.
pub(crate) fn failure(code: u16, reason: &str) -> Answer {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": reason, "code": code,
    });
    Answer::Json(code, body)
}

fn merge(into: &mut Value, from: &Value) {
    let (Value::Object(known), Value::Object(new)) = (&mut *into, from) else {
        *into = from.clone();
        return;
    };
    for (key, value) in new {
        merge(known.entry(key.clone()).or_insert(Value::Null), value);
    }
}

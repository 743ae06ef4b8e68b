//! Puts each pod to `moorline-inject` and answers, whatever happens.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use json_patch::Patch;
use moorline_inject::{Asked, InjectSettings, Outcome, Request, RoutedService, inject, labels};
use warp::filters::BoxedFilter;
use warp::reply::Response;
use warp::{Filter as _, Reply as _};

use super::body::{Room, Short};
use super::metrics::Metrics;
use super::review::{Question, admit, salvage_uid};

/// What is known of routed Services.
pub trait Routed: Send + Sync + 'static {
    /// The Services of the namespace that routes name and whose selector fits the labels.
    fn services_of(&self, namespace: &str, labels: &BTreeMap<String, String>) -> Vec<RoutedService>;
    /// Whether everything has been listed; before, an answer would be wrong.
    fn is_synced(&self) -> bool;
}

/// Answers about pods.
pub struct Webhook {
    routed: Arc<dyn Routed>,
    settings: InjectSettings,
    metrics: Metrics,
    room: Room,
}

impl Webhook {
    /// Over an index of routed Services.
    pub fn new(routed: Arc<dyn Routed>, settings: InjectSettings, metrics: Metrics) -> Arc<Self> {
        Arc::new(Self { routed, settings, metrics, room: Room::default() })
    }
}

/// What is answered about a pod.
struct Verdict {
    /// One of a fixed set.
    outcome: &'static str,
    patch: Option<Patch>,
    warnings: Vec<String>,
    services: String,
}

impl Verdict {
    /// The pod is admitted as it is, and whoever made it is told why.
    fn unpatched(outcome: &'static str, why: &str) -> Self {
        let warning = format!("the pod starts without the Moorline sidecar: {why}");
        Self { outcome, patch: None, warnings: vec![warning], services: String::new() }
    }
}

/// The filter of the webhook. It never rejects.
pub fn filter(webhook: Arc<Webhook>) -> BoxedFilter<(Response,)> {
    warp::method()
        .and(warp::path::full())
        .and(warp::header::headers_cloned())
        .and(warp::body::stream())
        .then(move |method: Method, path: warp::path::FullPath, headers: HeaderMap, stream| {
            let webhook = Arc::clone(&webhook);
            async move {
                let asked = match path.as_str() {
                    "/inject/namespace" => Asked::Namespace,
                    "/inject/pod" => Asked::Pod,
                    _ => return StatusCode::NOT_FOUND.into_response(),
                };
                if method != Method::POST {
                    return StatusCode::METHOD_NOT_ALLOWED.into_response();
                }
                let began = Instant::now();
                let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
                let body = webhook.room.read(length, stream).await;
                webhook.answer(asked, &body.bytes, body.short, began)
            }
        })
        .boxed()
}

impl Webhook {
    fn answer(&self, asked: Asked, body: &[u8], short: Option<Short>, began: Instant) -> Response {
        let (uid, verdict) = match short {
            Some(short) => (salvage_uid(body), unread(short)),
            None => match Question::read(body) {
                Ok(question) => {
                    let verdict = self.decide(asked, &question);
                    tracing::info!(
                        namespace = question.namespace,
                        pod = question.pod_name(),
                        outcome = verdict.outcome,
                        services = verdict.services,
                        dry_run = question.is_dry_run(),
                        "looked at a pod"
                    );
                    (Some(question.uid), verdict)
                }
                Err(error) => {
                    tracing::warn!(%error, "a review cannot be read");
                    (salvage_uid(body), Verdict::unpatched("UnreadableReview", "the webhook cannot read the review"))
                }
            },
        };
        self.metrics.answered(asked, verdict.outcome, began.elapsed());
        let Some(uid) = uid else {
            // Nothing says what an answer would be the answer to.
            return StatusCode::BAD_REQUEST.into_response();
        };
        let Ok(json) = admit(&uid, verdict.patch.as_ref(), verdict.warnings) else {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        };
        let mut response = json.into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }

    fn decide(&self, asked: Asked, question: &Question) -> Verdict {
        if !question.is_new_pod() {
            let why = "the webhook was asked about something that is no new pod; check its rules";
            return Verdict::unpatched("NotANewPod", why);
        }
        if !self.routed.is_synced() {
            return Verdict::unpatched("NotSynced", "the operator has just started and does not know the routes yet");
        }
        // A bug must cost this pod its sidecar and no more, also where the failure policy is `Fail`.
        let injected = catch_unwind(AssertUnwindSafe(|| {
            let services = self.routed.services_of(&question.namespace, &labels(&question.object));
            let names: Vec<&str> = services.iter().map(|service| service.name.as_str()).collect();
            let names = names.join(",");
            let request = Request { asked, namespace: question.namespace.clone(), services };
            (inject(&question.object, &request, &self.settings), names)
        }));
        let Ok((outcome, services)) = injected else {
            tracing::error!(namespace = question.namespace, pod = question.pod_name(), "the injection has panicked");
            return Verdict::unpatched("Panicked", "the webhook has a bug; see the log of the operator");
        };
        let (name, warnings) = (outcome.name(), outcome.notices());
        let patch = match outcome {
            Outcome::Injected { patch, .. } => Some(patch),
            Outcome::Skipped { .. } | Outcome::Unchanged => None,
        };
        Verdict { outcome: name, patch, warnings, services }
    }
}

fn unread(short: Short) -> Verdict {
    tracing::warn!(why = ?short, "the review of a pod was not read");
    match short {
        Short::TooLarge => Verdict::unpatched("TooLarge", "its manifest is too large for the webhook"),
        Short::Busy => Verdict::unpatched("Busy", "the webhook was too busy with other pods"),
        Short::Slow => Verdict::unpatched("Slow", "the review did not arrive in time"),
    }
}

#[cfg(test)]
mod tests;

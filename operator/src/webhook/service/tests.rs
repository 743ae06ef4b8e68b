//! Reviews as the API server sends them, over TLS, and what is made of broken ones.

#![allow(clippy::unwrap_used, clippy::panic)] // tests fail by panicking

use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine as _;
use bytes::Bytes;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use prometheus_client::registry::Registry;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::body::MAX_BYTES;
use super::*;
use crate::certs::Served;
use crate::certs::testing::Made;
use crate::serve::testing::{Client, Server, limits};

const UID: &str = "705ab4f5-6393-11e8-b7cc-42010a800002";

/// As the API server writes it; a `Value` would sort its keys.
const REVIEW: &str = include_str!("../testdata/review.json");

fn review() -> Value {
    serde_json::from_str(REVIEW).unwrap()
}

/// One routed Service, which selects `app: orders` in the namespace `shop`.
#[derive(Default)]
struct Index {
    is_listing: AtomicBool,
    is_broken: AtomicBool,
}

impl Routed for Index {
    fn services_of(&self, namespace: &str, labels: &BTreeMap<String, String>) -> Vec<RoutedService> {
        assert!(!self.is_broken.load(Ordering::Relaxed), "broken on purpose");
        let is_selected = namespace == "shop" && labels.get("app").is_some_and(|app| app == "orders");
        let service =
            RoutedService { name: "orders".to_owned(), target_ports: vec![IntOrString::String("http".to_owned())] };
        is_selected.then_some(service).into_iter().collect()
    }

    fn is_synced(&self) -> bool {
        !self.is_listing.load(Ordering::Relaxed)
    }
}

struct Ground {
    index: Arc<Index>,
    registry: Registry,
    webhook: Arc<Webhook>,
}

impl Ground {
    fn new() -> Self {
        let (index, mut registry) = (Arc::new(Index::default()), Registry::default());
        let metrics = Metrics::register(&mut registry);
        let routed: Arc<dyn Routed> = Arc::<Index>::clone(&index);
        let webhook = Webhook::new(routed, InjectSettings::default(), metrics);
        Self { index, registry, webhook }
    }

    fn decide(&self, asked: Asked, review: &Value) -> Verdict {
        let question = Question::read(review.to_string().as_bytes()).unwrap();
        self.webhook.decide(asked, &question)
    }

    async fn serve(&self) -> Asker {
        let (made, served) = (Made::new(), Served::new());
        made.present(&served);
        let server = Server::start(&served, filter(Arc::clone(&self.webhook)), limits()).await;
        Asker { server, bundle: made.bundle() }
    }

    fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text
    }
}

/// Asks as an API server does, each time on a new connection.
struct Asker {
    server: Server,
    bundle: String,
}

impl Asker {
    async fn ask(&self, path: &str, body: impl Into<Bytes>) -> (u16, Value) {
        self.send(Method::POST, path, body.into()).await
    }

    async fn send(&self, method: Method, path: &str, body: Bytes) -> (u16, Value) {
        let mut client = Client::connect(self.server.address, &self.bundle).await.unwrap();
        let (status, body) = client.send(method, path, body).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }
}

/// The pod that the API server stores after `answer`.
fn patched(review: &Value, answer: &Value) -> Value {
    assert_eq!(answer["response"]["patchType"], "JSONPatch");
    let patch = answer["response"]["patch"].as_str().unwrap();
    let patch = base64::engine::general_purpose::STANDARD.decode(patch).unwrap();
    let patch: Patch = serde_json::from_slice(&patch).unwrap();
    let mut pod = review["request"]["object"].clone();
    json_patch::patch(&mut pod, &patch).unwrap();
    pod
}

#[tokio::test]
async fn a_pod_of_a_routed_service_gets_the_sidecar() {
    let ground = Ground::new();
    let client = ground.serve().await;
    // The API server adds the time it will wait.
    let (status, answer) = client.ask("/inject/namespace?timeout=5s", review().to_string()).await;
    assert_eq!((status, &answer["kind"]), (200, &json!("AdmissionReview")));
    assert_eq!(answer["apiVersion"], "admission.k8s.io/v1");
    assert_eq!(answer["response"]["uid"], UID);
    assert_eq!(answer["response"]["allowed"], true);
    let pod = patched(&review(), &answer);
    assert_eq!(pod["spec"]["initContainers"][0]["name"], "moorline");
    assert_eq!(pod["metadata"]["annotations"]["moorline.dev/services"], "orders");
    assert_eq!(pod["metadata"]["labels"]["moorline.dev/injected"], "true");
    client.server.stop().await;
}

#[tokio::test]
async fn fields_that_are_newer_than_we_are_stay_as_they_are() {
    let ground = Ground::new();
    let client = ground.serve().await;
    let (_, answer) = client.ask("/inject/pod", review().to_string()).await;
    let (before, after) = (review(), patched(&review(), &answer));
    let field = "/spec/containers/0/fieldOfALaterKubernetes";
    assert_eq!(after.pointer(field), before["request"]["object"].pointer(field));
}

#[test]
fn a_pod_that_no_routed_service_selects_is_injected_only_when_it_asks_for_it() {
    let (ground, mut review) = (Ground::new(), review());
    review["request"]["object"]["metadata"]["labels"]["app"] = json!("other");
    let verdict = ground.decide(Asked::Namespace, &review);
    assert_eq!((verdict.outcome, verdict.patch.is_none()), ("NotSelected", true));
    assert!(verdict.warnings.is_empty(), "nobody asked for it");
    let verdict = ground.decide(Asked::Pod, &review);
    assert_eq!((verdict.outcome, verdict.patch.is_some()), ("Injected", true));
}

#[test]
fn the_namespace_is_that_of_the_request_since_the_pod_need_not_say() {
    let (ground, mut review) = (Ground::new(), review());
    assert_eq!(ground.decide(Asked::Namespace, &review).outcome, "Injected");
    review["request"]["namespace"] = json!("elsewhere");
    assert_eq!(ground.decide(Asked::Namespace, &review).outcome, "NotSelected");
}

#[tokio::test]
async fn before_everything_is_listed_pods_are_admitted_as_they_are_with_a_warning() {
    let ground = Ground::new();
    ground.index.is_listing.store(true, Ordering::Relaxed);
    let client = ground.serve().await;
    for path in ["/inject/namespace", "/inject/pod"] {
        let (status, answer) = client.ask(path, review().to_string()).await;
        assert_eq!((status, &answer["response"]["allowed"]), (200, &json!(true)));
        assert_eq!(answer["response"]["patch"], Value::Null);
        let warning = answer["response"]["warnings"][0].as_str().unwrap();
        assert!(warning.contains("starts without the Moorline sidecar"), "{warning}");
    }
    ground.index.is_listing.store(false, Ordering::Relaxed);
    let (_, answer) = client.ask("/inject/pod", review().to_string()).await;
    assert!(answer["response"]["patch"].is_string());
}

#[test]
fn a_dry_run_is_answered_like_a_run() {
    let (ground, mut review) = (Ground::new(), review());
    let run = ground.decide(Asked::Namespace, &review);
    review["request"]["dryRun"] = json!(true);
    let dry = ground.decide(Asked::Namespace, &review);
    assert_eq!((dry.outcome, dry.patch, dry.warnings), (run.outcome, run.patch, run.warnings));
}

#[test]
fn what_stands_in_the_way_is_a_warning_that_names_it() {
    let (ground, mut review) = (Ground::new(), review());
    review["request"]["object"]["spec"]["containers"][0]["ports"][0]["containerPort"] = json!(8800);
    let verdict = ground.decide(Asked::Namespace, &review);
    assert_eq!((verdict.outcome, verdict.patch.is_none()), ("PortTaken", true));
    assert!(verdict.warnings[0].contains("8800"), "{:?}", verdict.warnings);
}

#[test]
fn what_was_injected_is_not_injected_again() {
    let (ground, mut review) = (Ground::new(), review());
    let verdict = ground.decide(Asked::Namespace, &review);
    json_patch::patch(&mut review["request"]["object"], &verdict.patch.unwrap()).unwrap();
    for asked in [Asked::Pod, Asked::Namespace] {
        let again = ground.decide(asked, &review);
        assert!(again.patch.is_none() && again.warnings.is_empty(), "{}", again.outcome);
    }
}

#[test]
fn only_new_pods_are_looked_at() {
    let ground = Ground::new();
    for (field, value) in [
        ("/request/operation", json!("UPDATE")),
        ("/request/resource/resource", json!("deployments")),
        ("/request/resource/group", json!("example.com")),
    ] {
        let mut review = review();
        *review.pointer_mut(field).unwrap() = value;
        let verdict = ground.decide(Asked::Pod, &review);
        assert_eq!((verdict.outcome, verdict.patch.is_none()), ("NotANewPod", true), "{field}");
    }
    let mut review = review();
    review["request"]["subResource"] = json!("ephemeralcontainers");
    assert_eq!(ground.decide(Asked::Pod, &review).outcome, "NotANewPod");
}

#[tokio::test]
async fn a_bug_admits_the_pod_with_a_warning_and_the_next_one_is_answered() {
    let ground = Ground::new();
    ground.index.is_broken.store(true, Ordering::Relaxed);
    let client = ground.serve().await;
    let (status, answer) = client.ask("/inject/pod", review().to_string()).await;
    assert_eq!((status, &answer["response"]["allowed"]), (200, &json!(true)));
    assert_eq!(answer["response"]["patch"], Value::Null);
    ground.index.is_broken.store(false, Ordering::Relaxed);
    let (_, answer) = client.ask("/inject/pod", review().to_string()).await;
    assert!(answer["response"]["patch"].is_string());
}

#[tokio::test]
async fn a_review_that_is_too_large_admits_its_pod() {
    let ground = Ground::new();
    let client = ground.serve().await;
    let mut review = review();
    review["request"]["object"]["metadata"]["annotations"]["example.com/large"] = json!("x".repeat(MAX_BYTES));
    // As the API server writes it: the uid first.
    let body = review.to_string().replacen("\"request\":{", &format!("\"request\":{{\"uid\":\"{UID}\","), 1);
    let (status, answer) = client.ask("/inject/pod", body).await;
    assert_eq!((status, &answer["response"]["uid"]), (200, &json!(UID)));
    assert_eq!(answer["response"]["allowed"], true);
    assert!(answer["response"]["warnings"][0].as_str().unwrap().contains("too large"));
    assert!(ground.metrics().contains("outcome=\"TooLarge\""));
}

#[tokio::test]
async fn a_pod_as_large_as_the_api_server_takes_is_injected() {
    let ground = Ground::new();
    let client = ground.serve().await;
    let mut review = review();
    review["request"]["object"]["metadata"]["annotations"]["example.com/large"] = json!("x".repeat(3 * 1024 * 1024));
    let (_, answer) = client.ask("/inject/namespace", review.to_string()).await;
    assert!(answer["response"]["patch"].is_string());
}

#[tokio::test]
async fn garbage_is_refused_and_a_broken_review_admits_its_pod() {
    let ground = Ground::new();
    let client = ground.serve().await;
    for garbage in ["", "garbage", "{}", "[]", "null", "{\"request\":{\"uid\":7}}"] {
        assert_eq!(client.ask("/inject/pod", garbage).await.0, 400, "{garbage}");
    }
    let broken = format!("{{\"kind\":\"AdmissionReview\",\"request\":{{\"uid\":\"{UID}\",\"object\":{{\"spec\":");
    let version = REVIEW.replace("admission.k8s.io/v1", "admission.k8s.io/v2");
    let deep = format!("{broken}{}", "[".repeat(10_000));
    for body in [broken, version, deep] {
        let (status, answer) = client.ask("/inject/pod", body).await;
        assert_eq!((status, &answer["response"]["uid"]), (200, &json!(UID)));
        assert_eq!(answer["response"]["allowed"], true);
    }
}

#[tokio::test]
async fn other_paths_and_methods_are_not_served() {
    let ground = Ground::new();
    let client = ground.serve().await;
    for path in ["/", "/inject", "/inject/pods", "/inject/pod/", "/metrics"] {
        assert_eq!(client.ask(path, review().to_string()).await.0, 404, "{path}");
    }
    let (status, _) = client.send(Method::GET, "/inject/pod", Bytes::new()).await;
    assert_eq!(status, 405);
}

#[tokio::test]
async fn answers_are_counted_by_their_outcome() {
    let ground = Ground::new();
    let client = ground.serve().await;
    client.ask("/inject/namespace", review().to_string()).await;
    client.ask("/inject/pod", "garbage").await;
    let metrics = ground.metrics();
    assert!(metrics.contains("admissions_total{path=\"namespace\",outcome=\"Injected\"} 1"), "{metrics}");
    assert!(metrics.contains("admissions_total{path=\"pod\",outcome=\"UnreadableReview\"} 1"), "{metrics}");
    assert!(metrics.contains("admission_seconds_count 2"), "{metrics}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Bytes flipped, cut out and put in: an answer admits, or there is nothing to answer to.
    #[test]
    fn whatever_arrives_no_pod_is_denied(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..400, any::<Vec<u8>>()), 0..4),
    ) {
        let mut body = REVIEW.as_bytes().to_vec();
        for (at, length, bytes) in edits {
            if body.is_empty() {
                break;
            }
            let at = at.index(body.len());
            body.splice(at..(at + length).min(body.len()), bytes);
        }
        let ground = Ground::new();
        let response = ground.webhook.answer(Asked::Namespace, &body, None, Instant::now());
        match response.status() {
            StatusCode::OK => {
                let body = futures_util::FutureExt::now_or_never(http_body_util::BodyExt::collect(response.into_body()));
                let answer: Value = serde_json::from_slice(&body.unwrap().unwrap().to_bytes()).unwrap();
                prop_assert_eq!(&answer["response"]["allowed"], &json!(true));
                prop_assert!(answer["response"]["uid"].is_string());
            }
            status => prop_assert_eq!(status, StatusCode::BAD_REQUEST),
        }
    }
}

#![allow(clippy::unwrap_used, clippy::panic)] // tests fail by panicking

use serde_json::{Value, json};

use super::*;
use crate::fake_api::{Answer, Call, FakeApi, failure};
use crate::metrics::Metrics;
use crate::store::Store;
use crate::view::Settings;

const SERVICES: &str = "/api/v1/services";
const LISTS: [&str; 6] = [
    "/apis/moorline.dev/v1alpha1/websocketroutes",
    SERVICES,
    "/apis/discovery.k8s.io/v1/endpointslices",
    "/api/v1/pods",
    "/api/v1/configmaps",
    "/api/v1/namespaces",
];

fn service(name: &str, version: u64) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "namespace": "shop", "uid": name, "resourceVersion": version.to_string()},
        "spec": {"selector": {"app": name}, "ports": [{"port": 80}]},
    })
}

fn list(items: &[Value], version: u64) -> Answer {
    let body = json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": version.to_string()}, "items": items});
    Answer::Json(200, body)
}

/// Empty lists, and watches that bring nothing.
fn quiet(call: &Call) -> Answer {
    if call.is_watch() { Answer::Silence } else { list(&[], 1) }
}

fn start(api: &FakeApi) -> (Arc<Store>, Watches) {
    let metrics = Metrics::register(&mut prometheus_client::registry::Registry::default());
    let store = Store::new(Settings::default(), metrics);
    let clients = Clients { calls: api.client(), watches: api.client() };
    let watches = Watches::start(&store, &clients, Scope::All, false);
    (store, watches)
}

async fn synced(store: &Store) {
    store.synced().wait_for(|synced| *synced).await.unwrap();
}

fn names(store: &Store) -> Vec<String> {
    store.read(|index| index.service_names(None)).into_iter().map(|(_, name)| name).collect()
}

/// Waits until the Services are these.
async fn services_are(store: &Store, expected: &[&str]) {
    for _ in 0..2000 {
        if names(store) == expected {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("{:?} and not {expected:?}", names(store));
}

#[tokio::test(start_paused = true)]
async fn everything_is_synced_when_every_kind_was_listed() {
    let api = FakeApi::default();
    api.script(|call| if call.path == SERVICES { failure(503, "ServiceUnavailable") } else { quiet(call) });
    let (store, watches) = start(&api);
    sleep(Duration::from_secs(5)).await;
    assert_eq!(store.unsynced(), ["services"]);
    assert!(!*store.synced().borrow());
    api.script(quiet);
    synced(&store).await;
    assert!(store.unsynced().is_empty());
    watches.finish().await;
    assert!(LISTS.iter().all(|path| api.count(&format!("GET {path}")) >= 1));
}

#[tokio::test(start_paused = true)]
async fn an_object_that_cannot_be_decoded_is_left_out_and_the_others_are_not() {
    let api = FakeApi::default();
    let mut odd = service("odd", 3);
    odd["spec"]["ports"][0]["port"] = json!("eighty");
    let mut late = service("late", 5);
    late["spec"]["selector"] = json!(7);
    api.script(move |call| match (call.path.as_str(), call.is_watch()) {
        (SERVICES, false) => list(&[service("a", 2), odd.clone(), service("b", 4)], 4),
        (SERVICES, true) if call.query.contains("resourceVersion=4") => Answer::Lines(vec![
            json!({"type": "ADDED", "object": late}),
            json!({"type": "ADDED", "object": service("c", 6)}),
        ]),
        _ => quiet(call),
    });
    let (store, watches) = start(&api);
    services_are(&store, &["a", "b", "c"]).await;
    synced(&store).await;
    watches.finish().await;
}

#[tokio::test(start_paused = true)]
async fn what_went_while_the_watch_was_too_old_is_taken_out() {
    let api = FakeApi::default();
    let mut lists = 0;
    api.script(move |call| match (call.path.as_str(), call.is_watch()) {
        (SERVICES, false) => {
            lists += 1;
            if lists == 1 { list(&[service("a", 2), service("b", 3)], 3) } else { list(&[service("b", 3), service("c", 9)], 9) }
        }
        (SERVICES, true) if lists == 1 => Answer::Lines(vec![json!({
            "type": "ERROR",
            "object": {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Expired", "message": "too old", "code": 410},
        })]),
        _ => quiet(call),
    });
    let (store, watches) = start(&api);
    services_are(&store, &["a", "b"]).await;
    services_are(&store, &["b", "c"]).await;
    watches.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_refused_is_tried_again_in_growing_pauses_and_holds_up_no_other() {
    let api = FakeApi::default();
    api.script(|call| {
        if call.path == "/api/v1/pods" {
            failure(403, "Forbidden")
        } else if call.path == SERVICES && !call.is_watch() {
            list(&[service("a", 2)], 2)
        } else {
            quiet(call)
        }
    });
    let (store, watches) = start(&api);
    services_are(&store, &["a"]).await;
    sleep(Duration::from_mins(1)).await;
    let tries = api.count("GET /api/v1/pods");
    assert!((8..=20).contains(&tries), "{tries}");
    assert_eq!(store.unsynced(), ["pods"]);
    // It fails, and knows it: nothing that a restart would cure.
    assert!(store.dead(Duration::from_secs(30)).is_empty());
    watches.finish().await;
}

#[tokio::test(start_paused = true)]
async fn in_some_namespaces_each_has_its_watches_and_is_read_by_its_name() {
    let api = FakeApi::default();
    api.script(|call| match call.path.strip_prefix("/api/v1/namespaces/") {
        Some(name) if !name.contains('/') => {
            Answer::Json(200, json!({"metadata": {"name": name, "labels": {"moorline.dev/inject": "enabled"}}}))
        }
        _ => quiet(call),
    });
    let metrics = Metrics::register(&mut prometheus_client::registry::Registry::default());
    let store = Store::new(Settings::default(), metrics);
    let clients = Clients { calls: api.client(), watches: api.client() };
    let scope = Scope::new(vec!["a".to_owned(), "b".to_owned()]);
    let watches = Watches::start(&store, &clients, scope, false);
    synced(&store).await;
    for namespace in ["a", "b"] {
        assert_eq!(api.count(&format!("GET /api/v1/namespaces/{namespace}")), 1);
        assert!(api.count(&format!("GET /api/v1/namespaces/{namespace}/pods")) >= 1);
    }
    assert_eq!(api.count("GET /api/v1/namespaces"), 0);
    assert_eq!(api.count("GET /api/v1/pods"), 0);
    watches.finish().await;
}

#[tokio::test(start_paused = true)]
async fn what_exposes_routes_is_watched_once_the_cluster_has_it() {
    const GATEWAY: &str = "/apis/gateway.networking.k8s.io/v1";
    let api = FakeApi::default();
    let has_gateway = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&has_gateway);
    api.script(move |call| {
        let resources = |names: &[&str]| {
            let resources: Vec<Value> = names
                .iter()
                .map(|name| json!({"name": name, "singularName": "", "namespaced": true, "kind": "K", "verbs": []}))
                .collect();
            Answer::Json(200, json!({"kind": "APIResourceList", "groupVersion": "g/v1", "resources": resources}))
        };
        match call.path.as_str() {
            "/apis/networking.k8s.io/v1" => resources(&["ingresses", "networkpolicies"]),
            GATEWAY if seen.load(std::sync::atomic::Ordering::Relaxed) => resources(&["httproutes"]),
            GATEWAY => failure(404, "NotFound"),
            _ => quiet(call),
        }
    });
    let metrics = Metrics::register(&mut prometheus_client::registry::Registry::default());
    let store = Store::new(Settings::default(), metrics);
    let clients = Clients { calls: api.client(), watches: api.client() };
    let watches = Watches::start(&store, &clients, Scope::All, true);
    synced(&store).await;
    assert!(store.settings().has_ingress && !store.settings().has_http_route);
    sleep(Duration::from_secs(1)).await;
    assert!(api.count("GET /apis/networking.k8s.io/v1/ingresses") >= 1);
    assert_eq!(api.count(&format!("GET {GATEWAY}/httproutes")), 0);
    has_gateway.store(true, std::sync::atomic::Ordering::Relaxed);
    sleep(Duration::from_secs(61)).await;
    assert!(store.settings().has_http_route);
    assert!(api.count(&format!("GET {GATEWAY}/httproutes")) >= 1);
    watches.finish().await;
}

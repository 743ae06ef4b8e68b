//! What acting does when the API server does not do what it should.

#![allow(clippy::unwrap_used, clippy::panic)] // tests fail by panicking

mod repair;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::sleep;

use super::*;
use crate::fake_api::{Answer, Call, FakeApi, failure};
use crate::store::index::Index;
use crate::store::objects;
use crate::view::Settings;

const DOCUMENT: &str = "/api/v1/namespaces/shop/configmaps/orders-moorline";
const STATUS: &str = "/apis/moorline.dev/v1alpha1/namespaces/shop/websocketroutes/orders/status";
const ROUTE: &str = "/apis/moorline.dev/v1alpha1/namespaces/shop/websocketroutes/orders";
const EVENTS: &str = "/apis/events.k8s.io/v1/namespaces/shop/events";

/// An actor that leads, over an index that no watch fills.
struct Shop {
    api: FakeApi,
    store: Arc<Store>,
    leader: watch::Sender<bool>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Shop {
    /// With a Service and one route of it.
    fn open(api: FakeApi) -> Self {
        let metrics = Metrics::register(&mut prometheus_client::registry::Registry::default());
        let store = Store::new(Settings { rollout_allowed: true, ..Settings::default() }, Arc::clone(&metrics));
        let route = manifest();
        api.put(ROUTE, route.clone());
        let service: objects::Service = serde_json::from_value(json!({
            "metadata": {"name": "orders", "namespace": "shop", "uid": "service-uid", "resourceVersion": "1"},
            "spec": {"selector": {"app": "orders"}, "ports": [{"name": "http", "port": 80, "targetPort": 3000}]},
        }))
        .unwrap();
        store.update(|index| {
            index.put_namespace("shop", true);
            index.put_service("shop", "orders", service);
            index.put_route(serde_json::from_value(route).unwrap(), None);
        });
        store.sync();
        let (leader, leadership) = Leadership::held();
        let settings = ActSettings { instance: "m-0".to_owned(), inject: Arc::default(), nudges_per_second: 100 };
        let actor = Actor::new(&store, &api.client(), &metrics, &leadership, settings);
        let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
        tasks.spawn(actor.run(stop.clone()));
        Self { api, store, leader, stop, tasks }
    }

    /// Waits until this was asked so often.
    async fn asked(&self, title: &str, count: usize) {
        for _ in 0..6000 {
            if self.api.count(title) >= count {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("{title}: {} and not {count}; writes: {:?}", self.api.count(title), self.api.writes());
    }

    fn condition(&self, kind: &str) -> Option<Value> {
        let route = self.api.get(ROUTE)?;
        let conditions = route["status"]["conditions"].as_array()?.clone();
        conditions.into_iter().find(|condition| condition["type"] == kind)
    }

    async fn close(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

fn manifest() -> Value {
    json!({
        "apiVersion": "moorline.dev/v1alpha1", "kind": "WebSocketRoute",
        "metadata": {
            "name": "orders", "namespace": "shop", "uid": "route-uid", "generation": 1, "resourceVersion": "1",
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": {
            "serviceRef": {"name": "orders", "port": "http"}, "path": "/ws",
            "routes": [{"key": "get", "request": {"method": "GET", "path": "/"}}],
        },
    })
}

/// Answers everything but what `special` takes.
fn but(mut special: impl FnMut(&Call) -> Option<Answer> + Send + 'static) -> impl FnMut(&Call) -> Answer + Send {
    move |call| special(call).unwrap_or(Answer::Stored)
}

#[tokio::test(start_paused = true)]
async fn a_route_becomes_a_document_two_services_and_a_status_and_then_nothing_more_is_written() {
    let shop = Shop::open(FakeApi::default());
    shop.asked(&format!("POST {EVENTS}"), 1).await;
    sleep(Duration::from_secs(30)).await;
    let writes = shop.api.writes();
    assert_eq!(
        writes.iter().map(|write| write.rsplit('/').next().unwrap()).collect::<Vec<_>>(),
        ["orders-moorline", "orders-ws", "orders-peers", "status", "events"],
        "{writes:?}"
    );
    let document = shop.api.get(DOCUMENT).unwrap();
    assert_eq!(document["metadata"]["ownerReferences"][0]["uid"], "service-uid");
    assert_eq!(shop.condition("Accepted").unwrap()["status"], "True");
    shop.close().await;
}

#[tokio::test(start_paused = true)]
async fn an_object_of_somebody_else_is_not_taken_over() {
    let api = FakeApi::default();
    api.put(DOCUMENT, json!({"metadata": {"name": "orders-moorline", "namespace": "shop"}, "data": {"a": "b"}}));
    let shop = Shop::open(api);
    shop.asked(&format!("PATCH {STATUS}"), 1).await;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(shop.api.count(&format!("PATCH {DOCUMENT}")), 0);
    assert_eq!(shop.api.count(&format!("PATCH {STATUS}")), 1, "it is not accepted first and refused then");
    let accepted = shop.condition("Accepted").unwrap();
    assert_eq!(accepted["reason"], "NameTaken", "{accepted}");
    // Nobody tells when it is gone, so it is looked for.
    shop.api.remove(DOCUMENT);
    shop.asked(&format!("PATCH {DOCUMENT}"), 1).await;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(shop.condition("Accepted").unwrap()["status"], "True");
    shop.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_the_server_refuses_is_told_and_tried_again_ever_more_rarely() {
    let api = FakeApi::default();
    api.script(but(|call| {
        (call.path == DOCUMENT && call.method == http::Method::PATCH).then(|| failure(422, "Invalid"))
    }));
    let shop = Shop::open(api);
    sleep(Duration::from_mins(2)).await;
    let tries = shop.api.count(&format!("PATCH {DOCUMENT}"));
    assert!((4..=12).contains(&tries), "{tries}");
    let id = ServiceId { namespace: "shop".to_owned(), name: "orders".to_owned() };
    let view = shop.store.read(|index| index.view(&id, &shop.store.settings(), Timestamp::now()));
    assert_eq!(view.apply_errors.into_values().collect::<Vec<_>>(), ["Invalid"]);
    assert!(view.routes[0].status.is_some(), "the status is told all the same");
    shop.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_asks_to_wait_is_waited_for() {
    let api = FakeApi::default();
    let start = Instant::now();
    api.script(but(move |call| {
        let is_write = call.method != http::Method::GET;
        (is_write && start.elapsed() < Duration::from_mins(1)).then(|| failure(429, "TooManyRequests"))
    }));
    let shop = Shop::open(api);
    sleep(Duration::from_mins(1)).await;
    // Three children and a status for each of a few attempts.
    assert!(shop.api.writes().len() <= 40, "{}", shop.api.writes().len());
    shop.asked(&format!("POST {EVENTS}"), 1).await;
    assert_eq!(shop.condition("Accepted").unwrap()["status"], "True");
    shop.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_route_that_was_made_anew_meanwhile_does_not_get_the_status_of_the_old_one() {
    let api = FakeApi::default();
    api.script(but(|call| (call.path == STATUS).then(|| failure(409, "Conflict"))));
    let shop = Shop::open(api);
    shop.asked(&format!("PATCH {STATUS}"), 1).await;
    sleep(Duration::from_mins(1)).await;
    assert!(shop.api.count(&format!("PATCH {STATUS}")) <= 2, "the watch brings the new one");
    assert_eq!(shop.api.count(&format!("POST {EVENTS}")), 0);
    shop.close().await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_without_the_lease_and_everything_when_it_comes() {
    let api = FakeApi::default();
    let shop = Shop::open(api);
    shop.leader.send_replace(false);
    sleep(Duration::from_secs(1)).await;
    let before = shop.api.writes().len();
    shop.store.update(|index| {
        let mut route = manifest();
        route["metadata"]["generation"] = json!(2);
        route["metadata"]["resourceVersion"] = json!("999");
        route["spec"]["path"] = json!("/changed");
        index.put_route(serde_json::from_value(route).unwrap(), None);
    });
    sleep(Duration::from_mins(1)).await;
    assert_eq!(shop.api.writes().len(), before);
    shop.leader.send_replace(true);
    shop.asked(&format!("PATCH {STATUS}"), 1).await;
    let text = shop.api.get(DOCUMENT).unwrap()["data"]["document.json"].as_str().unwrap().to_owned();
    assert!(text.contains("changed"), "{text}");
    shop.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_service_whose_last_route_goes_gets_an_empty_document_and_loses_its_children() {
    let shop = Shop::open(FakeApi::default());
    shop.asked(&format!("POST {EVENTS}"), 1).await;
    let routes: Vec<_> = shop.store.read(|index: &Index| index.route_names(None));
    shop.store.update(|index| index.remove_route(&routes[0], crate::store::index::Version::default()));
    shop.asked(&format!("PATCH {DOCUMENT}"), 2).await;
    let sent = shop.api.sent(&format!("PATCH {DOCUMENT}")).unwrap();
    let document: Value = serde_json::from_str(sent["data"]["document.json"].as_str().unwrap()).unwrap();
    assert_eq!(document["routes"], json!([]));
    shop.asked("DELETE /api/v1/namespaces/shop/services/orders-ws", 1).await;
    shop.close().await;
}

#[tokio::test(start_paused = true)]
async fn stopping_ends_a_worker_that_waits_for_the_server() {
    let api = FakeApi::default();
    api.script(|_| Answer::Silence);
    let shop = Shop::open(api);
    shop.asked(&format!("GET {DOCUMENT}"), 1).await;
    let start = Instant::now();
    shop.close().await;
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}

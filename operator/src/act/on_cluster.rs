//! Acting on a real API server: what only it knows is who owns which field of an object, and what goes with its owner.
//!
//! `moorline-cluster run -- cargo test -p moorline-operator --lib on_cluster -- --ignored` runs them.

#![allow(clippy::unwrap_used, clippy::panic)] // tests fail by panicking

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Service};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use moorline_crds::WebSocketRoute;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::*;
use crate::api::Clients;
use crate::store::{Scope, Watches};
use crate::view::{ChildKind, ChildRef, Settings};

const WITHIN: Duration = Duration::from_mins(1);
const CRD: &str = "websocketroutes.moorline.dev";

/// A namespace with a Service and a route, and the operator's watches and acting over it.
struct Shop {
    client: Client,
    store: Arc<Store>,
    name: String,
    watches: Watches,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Shop {
    async fn open(purpose: &str) -> Self {
        let metrics = Metrics::register(&mut prometheus_client::registry::Registry::default());
        let clients = Clients::infer(&metrics).await.unwrap();
        let client = clients.calls.clone();
        let name = format!("{purpose}-{:08x}", rand::random::<u32>());
        let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
        Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &namespace).await.unwrap();
        let store = Store::new(Settings::default(), Arc::clone(&metrics));
        let watches = Watches::start(&store, &clients, Scope::new(vec![name.clone()]), false);
        let (leader, leadership) = Leadership::held();
        let settings = ActSettings { instance: "test".to_owned(), inject: Arc::default(), nudges_per_second: 100 };
        let actor = Actor::new(&store, &client, &metrics, &leadership, settings);
        let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
        let until_stopped = stop.clone();
        tasks.spawn(async move {
            actor.run(until_stopped).await;
            drop(leader);
        });
        let shop = Self { client, store, name, watches, stop, tasks };
        shop.apply(&json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "orders"},
            "spec": {"selector": {"app": "orders"}, "ports": [{"name": "http", "port": 80, "targetPort": 3000}]},
        }))
        .await;
        let route: WebSocketRoute = serde_json::from_value(json!({
            "apiVersion": "moorline.dev/v1alpha1", "kind": "WebSocketRoute", "metadata": {"name": "orders"},
            "spec": {
                "serviceRef": {"name": "orders", "port": "http"}, "path": "/ws",
                "routes": [{"key": "get", "request": {"method": "GET", "path": "/"}}],
            },
        }))
        .unwrap();
        shop.api::<WebSocketRoute>().create(&PostParams::default(), &route).await.unwrap();
        shop
    }

    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.name)
    }

    async fn apply(&self, service: &Value) {
        let services: Api<Service> = self.api();
        let name = service["metadata"]["name"].as_str().unwrap();
        services.patch(name, &PatchParams::apply("test").force(), &Patch::Apply(service)).await.unwrap();
    }

    async fn service(&self, name: &str) -> Option<Service> {
        self.api::<Service>().get_opt(name).await.unwrap()
    }

    async fn close(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
        self.watches.finish().await;
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        namespaces.delete(&self.name, &DeleteParams::background()).await.unwrap();
    }
}

async fn until<F: Future<Output = bool>>(what: &str, mut look: impl FnMut() -> F) {
    let end = Instant::now() + WITHIN;
    while !look().await {
        assert!(Instant::now() < end, "{what} did not happen");
        sleep(Duration::from_millis(50)).await;
    }
}

fn port_of(service: &Service) -> Option<i32> {
    service.spec.as_ref()?.ports.as_ref()?.first().map(|port| port.port)
}

/// One test and not four, because they share the CRD, which has to be gone before the chart is installed.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: run it through moorline-cluster"]
async fn children_are_kept_as_they_should_be() {
    let metrics = Metrics::register(&mut prometheus_client::registry::Registry::default());
    let client = Clients::infer(&metrics).await.unwrap().calls;
    let crd: Value = serde_json::to_value(<WebSocketRoute as kube::CustomResourceExt>::crd()).unwrap();
    let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
    crds.patch(CRD, &PatchParams::apply("test").force(), &Patch::Apply(&crd)).await.unwrap();
    let routes: Api<WebSocketRoute> = Api::all(client.clone());
    until("the CRD", || async { routes.list(&kube::api::ListParams::default()).await.is_ok() }).await;
    tokio::join!(
        a_child_is_put_right_and_what_others_add_to_it_stays(),
        a_child_that_is_deleted_comes_back(),
        children_go_with_their_service_and_come_with_the_next_one_of_its_name(),
        nothing_is_written_while_nothing_changes(),
    );
    crds.delete(CRD, &DeleteParams::default()).await.unwrap();
    until("the end of the CRD", || async { crds.get_opt(CRD).await.unwrap().is_none() }).await;
}

async fn a_child_is_put_right_and_what_others_add_to_it_stays() {
    let shop = Shop::open("drift").await;
    until("the child", || async { shop.service("orders-ws").await.is_some() }).await;
    // Else it would have to be patient for a minute: an object that is changed back and forth is not to be a loop.
    let child = ChildRef { kind: ChildKind::Service, name: "orders-ws".to_owned() };
    let long_ago = Timestamp::now().checked_sub(Duration::from_hours(1)).unwrap();
    shop.store.update(|index| index.applied(&shop.name, "orders", &child, long_ago));
    let services: Api<Service> = shop.api();
    let change = json!({
        "metadata": {"annotations": {"example.com/load-balancer": "internal"}},
        "spec": {"selector": {"app": "else"}},
    });
    services.patch("orders-ws", &PatchParams::default(), &Patch::Merge(&change)).await.unwrap();
    let has = |service: &Service, app: &str| {
        let selector = service.spec.as_ref().and_then(|spec| spec.selector.as_ref());
        selector.and_then(|selector| selector.get("app")).is_some_and(|found| found == app)
    };
    until("what was asked for", || async { has(&shop.service("orders-ws").await.unwrap(), "orders") }).await;
    let annotations = shop.service("orders-ws").await.unwrap().metadata.annotations.unwrap();
    assert_eq!(annotations.get("example.com/load-balancer").map(String::as_str), Some("internal"));
    shop.close().await;
}

async fn a_child_that_is_deleted_comes_back() {
    let shop = Shop::open("deleted").await;
    let maps: Api<ConfigMap> = shop.api();
    until("the document", || async { maps.get_opt("orders-moorline").await.unwrap().is_some() }).await;
    let before = maps.get("orders-moorline").await.unwrap();
    maps.delete("orders-moorline", &DeleteParams::default()).await.unwrap();
    until("another document", || async {
        let found = maps.get_opt("orders-moorline").await.unwrap();
        found.is_some_and(|found| found.metadata.uid != before.metadata.uid && found.data == before.data)
    })
    .await;
    let services: Api<Service> = shop.api();
    services.delete("orders-peers", &DeleteParams::default()).await.unwrap();
    until("another Service", || async { shop.service("orders-peers").await.as_ref().and_then(port_of) == Some(8803) })
        .await;
    shop.close().await;
}

async fn children_go_with_their_service_and_come_with_the_next_one_of_its_name() {
    let shop = Shop::open("owned").await;
    until("the child", || async { shop.service("orders-ws").await.is_some() }).await;
    let before = shop.service("orders-ws").await.unwrap().metadata.uid;
    let services: Api<Service> = shop.api();
    services.delete("orders", &DeleteParams::background()).await.unwrap();
    let routes: Api<WebSocketRoute> = shop.api();
    let reason = |route: &WebSocketRoute, kind: &str| {
        let conditions = route.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default();
        conditions.into_iter().find(|condition| condition.type_ == kind).map(|condition| condition.reason)
    };
    until("the garbage collector", || async { shop.service("orders-ws").await.is_none() }).await;
    until("the status", || async {
        reason(&routes.get("orders").await.unwrap(), "ResolvedRefs").as_deref() == Some("ServiceNotFound")
    })
    .await;
    shop.apply(&json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "orders"},
        "spec": {"selector": {"app": "orders"}, "ports": [{"name": "http", "port": 80, "targetPort": 3000}]},
    }))
    .await;
    until("another child", || async {
        shop.service("orders-ws").await.is_some_and(|found| found.metadata.uid != before)
    })
    .await;
    shop.close().await;
}

async fn nothing_is_written_while_nothing_changes() {
    let shop = Shop::open("quiet").await;
    let routes: Api<WebSocketRoute> = shop.api();
    until("the status", || async { routes.get("orders").await.unwrap().status.is_some() }).await;
    let versions = || async {
        let route = routes.get("orders").await.unwrap().metadata.resource_version;
        let (first, second) = (shop.service("orders-ws").await, shop.service("orders-peers").await);
        let map = shop.api::<ConfigMap>().get_opt("orders-moorline").await.unwrap();
        let versions =
            [first.map(|found| found.metadata), second.map(|found| found.metadata), map.map(|found| found.metadata)];
        (route, versions.map(|found| found.and_then(|found| found.resource_version)))
    };
    // As soon as it is quiet for a while it stays so: nothing here goes by the clock.
    let mut last = versions().await;
    let mut quiet = 0;
    let end = Instant::now() + WITHIN;
    while quiet < 30 {
        sleep(Duration::from_millis(100)).await;
        let now = versions().await;
        quiet = if now == last { quiet + 1 } else { 0 };
        last = now;
        assert!(Instant::now() < end, "it does not come to rest: {last:?}");
    }
    shop.close().await;
}

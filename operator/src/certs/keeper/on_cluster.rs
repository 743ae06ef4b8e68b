//! Certificates and the webhook with a real API server, which is the one client that matters.
//!
//! Here and not among the scenarios, because a rotation takes months unless the clock of its keeper is turned.
//! `moorline-cluster run -- cargo test -p moorline-operator --lib on_cluster -- --ignored` runs them.

#![allow(clippy::unwrap_used, clippy::panic)] // tests fail by panicking

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::{Node, Pod, Secret};
use kube::Api;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use moorline_crds::names::CERTIFICATES_MANAGER;
use moorline_inject::{InjectSettings, RoutedService};
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::*;
use crate::serve::tls::{TlsLimits, serve};
use crate::webhook::{self, Routed, Webhook};

const WITHIN: Duration = Duration::from_mins(1);
const CONFIGURATION: &str = "moorline-certs-test";
const SECRET: &str = "moorline-webhook-certificate";
const SERVICE: &str = "moorline-webhook";
/// What asks as the chart does.
const CHART: &str = "chart";

/// Every pod is one of `orders`.
struct Everything;

impl Routed for Everything {
    fn services_of(&self, _: &str, _: &BTreeMap<String, String>) -> Vec<RoutedService> {
        vec![RoutedService { name: "orders".to_owned(), target_ports: Vec::new() }]
    }
    fn is_synced(&self) -> bool {
        true
    }
}

/// A replica of the operator, as far as the webhook goes, on the node's network.
struct Replica {
    keeper: Keeper,
    port: u16,
    shutdown: CancellationToken,
    tasks: TaskTracker,
}

impl Replica {
    async fn start(client: &Client, namespace: &str) -> Self {
        let settings = SelfManaged {
            client: client.clone(),
            namespace: namespace.to_owned(),
            secret: SECRET.to_owned(),
            service: SERVICE.to_owned(),
            webhook_configuration: Some(CONFIGURATION.to_owned()),
        };
        let keeper = Keeper::new(settings, Served::new(), Metrics::default());
        let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let metrics = webhook::Metrics::register(&mut Registry::default());
        let filter = webhook::filter(Webhook::new(Arc::new(Everything), InjectSettings::default(), metrics));
        let (shutdown, tasks) = (CancellationToken::new(), TaskTracker::new());
        let config = keeper.served.server_config().unwrap();
        tasks.spawn(serve(listener, config, filter, TlsLimits::default(), shutdown.clone()));
        tasks.close();
        Self { keeper, port, shutdown, tasks }
    }
}

/// The objects of a chart, with the failure policy under which every failure shows.
struct Ground {
    client: Client,
    namespace: String,
    address: String,
}

impl Ground {
    async fn lay(namespace: &str) -> Self {
        let client = Client::try_default().await.unwrap();
        let nodes = Api::<Node>::all(client.clone()).list(&kube::api::ListParams::default()).await.unwrap();
        let addresses = nodes.items[0].status.as_ref().unwrap().addresses.as_ref().unwrap();
        let address = addresses.iter().find(|address| address.type_ == "InternalIP").unwrap().address.clone();
        let ground = Self { client, namespace: namespace.to_owned(), address };
        ground.clean().await;
        ground.apply("", "v1", "Namespace", namespace, json!({})).await;
        let account = Api::<k8s_openapi::api::core::v1::ServiceAccount>::namespaced(ground.client.clone(), namespace);
        eventually(async || account.get_opt("default").await.unwrap().is_some()).await;
        ground.apply("", "v1", "Service", SERVICE, json!({ "spec": { "ports": [{ "port": 443 }] } })).await;
        ground.configure().await;
        ground
    }

    /// What the chart renders; `helm upgrade` does it again.
    async fn configure(&self) {
        let webhook = |name: &str, path: &str| {
            json!({
                "name": name,
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "failurePolicy": "Fail",
                "timeoutSeconds": 5,
                "clientConfig": { "service": { "name": SERVICE, "namespace": self.namespace, "path": path } },
                "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": self.namespace } },
                "rules": [{ "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"] }],
            })
        };
        let webhooks = [
            webhook("namespace.inject.moorline.dev", "/inject/namespace"),
            webhook("pod.inject.moorline.dev", "/inject/pod"),
        ];
        let (group, kind) = ("admissionregistration.k8s.io", "MutatingWebhookConfiguration");
        self.apply(group, "v1", kind, CONFIGURATION, json!({ "webhooks": webhooks })).await;
    }

    /// Which replicas the Service leads to.
    async fn lead_to(&self, ports: &[u16]) {
        for port in ports {
            let slice = json!({
                "metadata": { "labels": { "kubernetes.io/service-name": SERVICE } },
                "addressType": "IPv4",
                "ports": [{ "port": port, "protocol": "TCP" }],
                "endpoints": [{ "addresses": [self.address], "conditions": { "ready": true } }],
            });
            self.apply("discovery.k8s.io", "v1", "EndpointSlice", &format!("webhook-{port}"), slice).await;
        }
    }

    async fn lead_no_longer_to(&self, port: u16) {
        let slices = self.api("discovery.k8s.io", "v1", "EndpointSlice");
        slices.delete(&format!("webhook-{port}"), &DeleteParams::default()).await.unwrap();
    }

    fn api(&self, group: &str, version: &str, kind: &str) -> Api<DynamicObject> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        if kind == "Namespace" || kind.ends_with("Configuration") {
            return Api::all_with(self.client.clone(), &resource);
        }
        Api::namespaced_with(self.client.clone(), &self.namespace, &resource)
    }

    async fn apply(&self, group: &str, version: &str, kind: &str, name: &str, mut object: Value) {
        let api_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
        object["apiVersion"] = json!(api_version);
        object["kind"] = json!(kind);
        object["metadata"]["name"] = json!(name);
        let params = PatchParams::apply(CHART);
        self.api(group, version, kind).patch(name, &params, &Patch::Apply(&object)).await.unwrap();
    }

    async fn configuration(&self) -> MutatingWebhookConfiguration {
        Api::all(self.client.clone()).get(CONFIGURATION).await.unwrap()
    }

    /// Creates a pod without storing it; the webhook is asked all the same.
    async fn try_pod(&self) -> kube::Result<Pod> {
        let params = PostParams { dry_run: true, ..PostParams::default() };
        Api::namespaced(self.client.clone(), &self.namespace).create(&params, &pod()).await
    }

    async fn clean(&self) {
        let configurations = Api::<MutatingWebhookConfiguration>::all(self.client.clone());
        let _ = configurations.delete(CONFIGURATION, &DeleteParams::default()).await;
        let namespaces = self.api("", "v1", "Namespace");
        let _ = namespaces.delete(&self.namespace, &DeleteParams::default()).await;
        eventually(async || namespaces.get_opt(&self.namespace).await.unwrap().is_none()).await;
    }
}

fn pod() -> Pod {
    let pod = json!({
        "metadata": { "generateName": "orders-", "labels": { "app": "orders" } },
        "spec": { "containers": [{ "name": "app", "image": "moorline.dev/pause:1", "imagePullPolicy": "Never" }] },
    });
    serde_json::from_value(pod).unwrap()
}

fn has_sidecar(pod: &Pod) -> bool {
    let containers = pod.spec.as_ref().and_then(|spec| spec.init_containers.as_ref());
    containers.is_some_and(|containers| containers.iter().any(|container| container.name == "moorline"))
}

async fn eventually(condition: impl AsyncFn() -> bool) {
    let attempts = async {
        while !condition().await {
            tokio::task::yield_now().await;
        }
    };
    timeout(WITHIN, attempts).await.unwrap();
}

/// Creates pods one after the other and counts them; the first failure ends it.
struct Creating {
    created: Arc<AtomicU32>,
    stop: Arc<AtomicBool>,
    tasks: TaskTracker,
}

impl Creating {
    fn start(ground: &Arc<Ground>) -> Self {
        let (created, stop, tasks) =
            (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)), TaskTracker::new());
        for _ in 0..3 {
            let (ground, created, stop) = (Arc::clone(ground), Arc::clone(&created), Arc::clone(&stop));
            tasks.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    // With `Fail`, a handshake or a request that fails is a pod that is refused.
                    if has_sidecar(&ground.try_pod().await.unwrap()) {
                        created.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        tasks.close();
        Self { created, stop, tasks }
    }

    /// Waits until more pods have been created. Each of them is two handshakes.
    async fn more(&self) {
        let target = self.created.load(Ordering::Relaxed) + 60;
        eventually(async || {
            assert!(!self.tasks.is_empty(), "a pod was refused");
            self.created.load(Ordering::Relaxed) >= target
        })
        .await;
    }

    async fn stop(self) {
        assert_eq!(self.tasks.len(), 3, "a pod was refused");
        self.stop.store(true, Ordering::Relaxed);
        timeout(WITHIN, self.tasks.wait()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: run it through moorline-cluster"]
async fn pods_are_injected_while_everything_rotates_and_replicas_come_and_go() {
    let ground = Arc::new(Ground::lay("moorline-certs-rotate").await);
    let mut leader = Replica::start(&ground.client, &ground.namespace).await;
    let mut follower = Replica::start(&ground.client, &ground.namespace).await;
    ground.lead_to(&[leader.port, follower.port]).await;
    leader.keeper.round(true).await.unwrap();
    follower.keeper.round(false).await.unwrap();
    // The API server and kube-proxy learn of it in their own time.
    eventually(async || ground.try_pod().await.is_ok_and(|pod| has_sidecar(&pod))).await;
    let creating = Creating::start(&ground);
    creating.more().await;

    // The key of the authority is lost, so there has to be a new one: the same steps as after eight months.
    let secrets = Api::<Secret>::namespaced(ground.client.clone(), &ground.namespace);
    let lost = json!({ "data": { "ca.key": null } });
    secrets.patch(SECRET, &PatchParams::default(), &Patch::Merge(&lost)).await.unwrap();
    let presented = leader.keeper.served.presented().unwrap();
    leader.keeper.round(true).await.unwrap();
    assert_eq!(leader.keeper.served.presented().unwrap().cert, presented.cert, "the bundle comes first");
    let both = ground.configuration().await.webhooks.unwrap()[0].client_config.ca_bundle.clone().unwrap();
    assert_eq!(String::from_utf8(both.0).unwrap().matches("BEGIN").count(), 2);
    creating.more().await;
    leader.keeper.settle();
    leader.keeper.round(true).await.unwrap();
    assert_ne!(leader.keeper.served.presented().unwrap().cert, presented.cert);
    creating.more().await;
    follower.keeper.round(false).await.unwrap();
    creating.more().await;

    // An upgrade of the chart, which knows no bundle, leaves it in place.
    ground.configure().await;
    creating.more().await;

    // A replica stops: its endpoint goes, and what it has begun is finished.
    leader.shutdown.cancel();
    ground.lead_no_longer_to(leader.port).await;
    timeout(WITHIN, leader.tasks.wait()).await.unwrap();
    creating.more().await;
    creating.stop().await;
    follower.shutdown.cancel();
    ground.clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: run it through moorline-cluster"]
async fn the_real_api_server_takes_the_bundle_and_refuses_the_second_of_two_leaders() {
    let ground = Ground::lay("moorline-certs-leaders").await;
    let mut one = Replica::start(&ground.client, &ground.namespace).await;
    let mut other = Replica::start(&ground.client, &ground.namespace).await;
    let _ = tokio::join!(one.keeper.round(true), other.keeper.round(true));
    one.keeper.round(true).await.unwrap();
    other.keeper.round(true).await.unwrap();
    let presented = one.keeper.served.presented().unwrap();
    assert_eq!(presented.cert, other.keeper.served.presented().unwrap().cert);

    let configuration = ground.configuration().await;
    let webhooks = configuration.webhooks.unwrap();
    assert_eq!(webhooks.len(), 2);
    for webhook in &webhooks {
        assert!(webhook.client_config.ca_bundle.is_some(), "{}", webhook.name);
        assert_eq!(webhook.failure_policy.as_deref(), Some("Fail"), "{}", webhook.name);
    }
    let owners = configuration.metadata.managed_fields.unwrap();
    let ours = owners.iter().find(|owner| owner.manager.as_deref() == Some(CERTIFICATES_MANAGER)).unwrap();
    let fields = serde_json::to_string(&ours.fields_v1).unwrap();
    assert!(fields.contains("caBundle") && !fields.contains("failurePolicy"), "{fields}");

    // A version that is not the newest is refused, for the Secret and for the configuration.
    let (found, _) = one.keeper.cluster.read().await.unwrap();
    let found = found.unwrap();
    let data = BTreeMap::from([CERTIFICATE, KEY].map(|part| (part, found.data[part].clone())));
    let stale = Found { version: Some("1".to_owned()), data: BTreeMap::new() };
    assert!(!one.keeper.cluster.write(Some(&stale), &data).await.unwrap());
    assert!(!one.keeper.cluster.write(None, &data).await.unwrap(), "it exists");
    for replica in [one, other] {
        replica.shutdown.cancel();
    }
    ground.clean().await;
}

//! A thousand routes over a hundred Services with five thousand pods, which exist for the API server only.
//!
//! The pods are never run: each has an address of a range that this machine answers for, where one small server says
//! what a sidecar would. So the operator polls, nudges and counts as in a large cluster.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::{ConfigMap, Node, Pod, Service};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use moorline_crds::WebSocketRoute;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::support::command::run;
use crate::support::ground::{Ground, alone_in_own_cluster};
use crate::support::install::NAMESPACE;
use crate::support::namespace::{Namespace, has_condition};
use crate::support::{figures, sidecars, wait};

const SERVICES: usize = 100;
const ROUTES: usize = 1000;
const PODS_OF_EACH: usize = 50;
const CHANGES: usize = 100;
/// Calls of the test itself at a time.
const AT_A_TIME: usize = 24;
/// The addresses of pods that are not there; nothing else in the cluster has any of them.
const RANGE: &str = "198.18.64.0/18";

#[test]
#[ignore = "needs a cluster: make e2e"]
fn a_thousand_routes_and_five_thousand_pods_are_served_within_bounds() {
    alone_in_own_cluster(async |ground, _control| -> Result<()> {
        let shop = Namespace::enabled(&ground, "scale").await?;
        // Addresses that are local to this machine although no interface has them.
        run("ip", &["route", "add", "local", RANGE, "dev", "lo"]).await?;
        let mut servers = JoinSet::new();
        let sidecars = Sidecars::serve(&shop, &mut servers).await?;

        ground.installation.scale(0).await?;
        fill(&ground, &shop).await?;
        let start = Instant::now();
        ground.installation.scale(1).await?;
        let routes: Api<WebSocketRoute> = shop.api();
        let accepted = count(&routes, "Accepted").await?;
        figures::tell(&format!(
            "{ROUTES} routes, {SERVICES} Services, {} pods, cold to all Accepted: {:.1} s (operator's start included)",
            SERVICES * PODS_OF_EACH,
            accepted.duration_since(start).as_secs_f64()
        ));
        let programmed = count(&routes, "Programmed").await?;
        figures::tell(&format!("the same to all Programmed: {:.1} s", programmed.duration_since(start).as_secs_f64()));

        let calls = |what: &'static str| {
            let ground = ground.clone();
            async move { metric(&ground, what).await }
        };
        let before = calls("moorline_operator_api_calls_total").await?;
        let polls = calls("moorline_operator_polls_total").await?;
        let mut times = Vec::new();
        for change in 0..CHANGES {
            let name = format!("route-{}", change * 7 % ROUTES);
            let start = Instant::now();
            let patch = json!({"spec": {"routeSelectionExpression": format!("${{request.body.action{change}}}")}});
            routes.patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await?;
            wait::until(
                &name,
                || async { Ok(routes.get(&name).await?) },
                |route| has_condition(route, "Programmed", "True", None),
            )
            .await?;
            times.push(start.elapsed());
        }
        figures::tell(&figures::spread(
            &format!("a change to Programmed, {PODS_OF_EACH} pods behind the Service"),
            times,
        ));
        let calls_made = calls("moorline_operator_api_calls_total").await? - before;
        figures::tell(&format!(
            "API calls for a change: {:.1}, of which nudges {PODS_OF_EACH}; polls {:.1}",
            calls_made / CHANGES as f64,
            (calls("moorline_operator_polls_total").await? - polls) / CHANGES as f64
        ));
        let memory = calls("process_resident_memory_bytes").await?;
        figures::tell(&format!("operator RSS: {:.0} MB", memory / 1e6));
        ensure!(sidecars.asked() > 0);
        drop(servers);

        for node in ["fake"] {
            let _ = Api::<Node>::all(ground.client.clone()).delete(node, &DeleteParams::default()).await;
        }
        let pods: Api<Pod> = shop.api();
        let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
        // Five thousand deletions take longer than a request may. What is left goes with the namespace and the cluster.
        if let Err(error) = pods.delete_collection(&now, &ListParams::default()).await {
            println!("not all pods deleted: {error}");
        }
        run("ip", &["route", "del", "local", RANGE, "dev", "lo"]).await?;
        shop.delete().await?;
        ground.installation.scale(2).await
    });
}

/// Makes all objects, as fast as the API server takes them.
async fn fill(ground: &Ground, shop: &Namespace) -> Result<()> {
    let node: Node = serde_json::from_value(json!({
        "metadata": {"name": "fake"}, "spec": {"unschedulable": true},
    }))?;
    let nodes: Api<Node> = Api::all(ground.client.clone());
    nodes.create(&PostParams::default(), &node).await?;
    let ready = json!({"status": {"conditions": [{"type": "Ready", "status": "True", "reason": "Fake", "message": "",
        "lastHeartbeatTime": null, "lastTransitionTime": null}]}});
    nodes.patch_status("fake", &PatchParams::default(), &Patch::Merge(ready)).await?;

    let (services, routes, pods): (Api<Service>, Api<WebSocketRoute>, Api<Pod>) = (shop.api(), shop.api(), shop.api());
    let create = PostParams::default();
    stream::iter(0..SERVICES)
        .map(|number| {
            let service = json!({"metadata": {"name": format!("service-{number}")}, "spec": {
                "selector": {"app": format!("service-{number}")}, "ports": [{"name": "http", "port": 80, "targetPort": 3000}]}});
            let (services, create) = (&services, &create);
            async move { services.create(create, &serde_json::from_value(service)?).await.context("a Service") }
        })
        .buffer_unordered(AT_A_TIME)
        .try_for_each(|_| async { Ok(()) })
        .await?;
    stream::iter(0..ROUTES)
        .map(|number| {
            let route = json!({"apiVersion": "moorline.dev/v1alpha1", "kind": "WebSocketRoute",
                "metadata": {"name": format!("route-{number}")},
                "spec": {"serviceRef": {"name": format!("service-{}", number % SERVICES), "port": "http"},
                    "path": format!("/ws/{number}"),
                    "routes": [{"key": "$default", "request": {"method": "POST", "path": "/messages"}}]}});
            let (routes, create) = (&routes, &create);
            async move { routes.create(create, &serde_json::from_value(route)?).await.context("a route") }
        })
        .buffer_unordered(AT_A_TIME)
        .try_for_each(|_| async { Ok(()) })
        .await?;
    stream::iter(0..SERVICES * PODS_OF_EACH)
        .map(|number| {
            let (pods, create) = (&pods, &create);
            async move {
                let (name, service) = (format!("pod-{number}"), format!("service-{}", number % SERVICES));
                let pod = json!({"metadata": {"name": name,
                    "labels": {"app": service, "moorline.dev/inject": "disabled", "moorline.dev/injected": "true"},
                    "annotations": {"moorline.dev/services": service, "moorline.dev/sidecar-version": env!("CARGO_PKG_VERSION")}},
                    "spec": {"nodeName": "fake", "containers": [{"name": "app", "image": "none"}],
                        "initContainers": [{"name": "moorline", "image": "none", "restartPolicy": "Always"}]}});
                pods.create(create, &serde_json::from_value(pod)?).await.context("a pod")?;
                let status = json!({"status": {"phase": "Running", "podIP": address(number), "podIPs": [{"ip": address(number)}],
                    "conditions": [{"type": "Ready", "status": "True"}],
                    "initContainerStatuses": [{"name": "moorline", "image": "none", "imageID": "none", "restartCount": 0,
                        "ready": true, "started": true, "state": {"running": {}}}]}});
                pods.patch_status(&name, &PatchParams::default(), &Patch::Merge(status)).await.context("its status")
            }
        })
        .buffer_unordered(AT_A_TIME)
        .try_for_each(|_| async { Ok(()) })
        .await
}

/// The address of a pod that is not there.
fn address(number: usize) -> String {
    format!("198.18.{}.{}", 64 + number / 250, 1 + number % 250)
}

/// Waits until all routes have a condition.
async fn count(routes: &Api<WebSocketRoute>, kind: &str) -> Result<Instant> {
    wait::within(
        Duration::from_mins(5),
        &format!("all {kind}"),
        || async {
            let all = routes.list(&ListParams::default()).await?.items;
            Ok(all.iter().filter(|route| has_condition(route, kind, "True", None)).count())
        },
        |count| *count == ROUTES,
    )
    .await?;
    Ok(Instant::now())
}

/// The sum of a metric over its labels, of the operator that runs.
async fn metric(ground: &Ground, name: &str) -> Result<f64> {
    let mut sum = 0.0;
    for pod in ground.installation.pods().await? {
        let (_, text) = sidecars::get(&format!("{}:8080", sidecars::ip(&pod)?), "/metrics").await?;
        for line in text.lines().filter(|line| line.starts_with(name)) {
            sum += line.rsplit(' ').next().unwrap_or_default().parse::<f64>().unwrap_or_default();
        }
    }
    ensure!(sum > 0.0, "the operator in {NAMESPACE} has no metric {name}");
    Ok(sum)
}

/// Answers as the sidecar of every pod would.
#[derive(Clone, Default)]
struct Sidecars {
    documents: Arc<Mutex<BTreeMap<String, Value>>>,
    asked: Arc<std::sync::atomic::AtomicU64>,
}

impl Sidecars {
    /// Starts the server, and the watch of the documents that it answers from.
    async fn serve(shop: &Namespace, tasks: &mut JoinSet<()>) -> Result<Self> {
        let this = Self::default();
        let listener = TcpListener::bind("0.0.0.0:8802").await?;
        let server = this.clone();
        let namespace = shop.name.clone();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                while connections.try_join_next().is_some() {}
                let (this, namespace) = (server.clone(), namespace.clone());
                connections.spawn(async move {
                    let mut request = [0; 1024];
                    let _ = stream.read(&mut request).await;
                    this.asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    let Ok(std::net::SocketAddr::V4(to)) = stream.local_addr() else { return };
                    let [_, _, third, fourth] = to.ip().octets();
                    let number = (usize::from(third).saturating_sub(64)) * 250 + usize::from(fourth).saturating_sub(1);
                    let body = this.report(&namespace, &format!("service-{}", number % SERVICES)).to_string();
                    let answer = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                    let _ = stream.write_all(answer.as_bytes()).await;
                });
            }
        });
        let (maps, documents): (Api<ConfigMap>, _) = (shop.api(), Arc::clone(&this.documents));
        tasks.spawn(async move {
            let watcher = kube::runtime::watcher(maps, kube::runtime::watcher::Config::default());
            let mut changes = std::pin::pin!(kube::runtime::WatchStreamExt::touched_objects(watcher));
            while let Some(change) = changes.next().await {
                let Ok(map) = change else { continue };
                let Some(text) = map.data.as_ref().and_then(|data| data.get("document.json")) else { continue };
                let Ok(document) = moorline_crds::decode(text.as_bytes()) else { continue };
                let routes: Vec<Value> = document
                    .routes
                    .iter()
                    .map(|route| json!({"name": route.id.name, "generation": route.generation}))
                    .collect();
                let served = json!({"hash": document.hash(), "routes": routes});
                documents.lock().insert(document.service.name.clone(), served);
            }
        });
        Ok(this)
    }

    fn report(&self, namespace: &str, service: &str) -> Value {
        let documents = self.documents.lock();
        let (hash, routes) = match documents.get(service) {
            Some(served) => (served["hash"].clone(), served["routes"].clone()),
            None => (Value::Null, json!([])),
        };
        json!({"version": env!("CARGO_PKG_VERSION"), "formats": [1], "draining": false, "connections": 0,
            "services": [{"namespace": namespace, "name": service, "hash": hash, "connections": 0, "routes": routes}]})
    }

    fn asked(&self) -> u64 {
        self.asked.load(std::sync::atomic::Ordering::Relaxed)
    }
}

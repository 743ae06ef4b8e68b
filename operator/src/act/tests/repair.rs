//! Pods without the sidecar.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use super::*;
use crate::plan::{Lack, Repair, RepairMode};
use crate::view::RepairNote;

const POD: &str = "/api/v1/namespaces/shop/pods/bare";
const SET: &str = "/apis/apps/v1/namespaces/shop/replicasets/orders-1";
const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/shop/deployments/orders";
const EVICTION: &str = "POST /api/v1/namespaces/shop/pods/bare/eviction";

/// A Service with a route, and a pod behind it that belongs to a Deployment and has no sidecar.
struct Bare {
    api: FakeApi,
    store: Arc<Store>,
    repairer: Repairer,
    id: ServiceId,
}

impl Bare {
    fn new() -> Self {
        let api = FakeApi::default();
        let owned = |kind: &str, name: &str| {
            let owner = OwnerReference {
                api_version: "apps/v1".to_owned(),
                kind: kind.to_owned(),
                name: name.to_owned(),
                uid: format!("uid-{name}"),
                controller: Some(true),
                ..OwnerReference::default()
            };
            serde_json::to_value([owner]).unwrap()
        };
        let template = json!({
            "metadata": {"labels": {"app": "orders"}},
            "spec": {"containers": [{"name": "app", "image": "orders", "ports": [{"containerPort": 3000}]}]},
        });
        api.put(
            POD,
            json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {
                    "name": "bare", "namespace": "shop", "uid": "uid-bare", "labels": {"app": "orders"},
                    "ownerReferences": owned("ReplicaSet", "orders-1"), "creationTimestamp": "2026-01-01T00:00:00Z",
                },
                "spec": template["spec"],
                "status": {"phase": "Running"},
            }),
        );
        let metadata = json!({
            "name": "orders-1", "namespace": "shop", "uid": "uid-orders-1", "ownerReferences": owned("Deployment", "orders"),
        });
        api.put(SET, json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata}));
        api.put(
            DEPLOYMENT,
            json!({
                "apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {"name": "orders", "namespace": "shop", "uid": "uid-orders", "generation": 1},
                "spec": {"replicas": 1, "template": template},
                "status": {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1, "readyReplicas": 1},
            }),
        );
        let metrics = Metrics::register(&mut prometheus_client::registry::Registry::default());
        let store = Store::new(Settings { rollout_allowed: true, ..Settings::default() }, Arc::clone(&metrics));
        let service: objects::Service = serde_json::from_value(json!({
            "metadata": {"name": "orders", "namespace": "shop", "uid": "service-uid", "resourceVersion": "1"},
            "spec": {"selector": {"app": "orders"}, "ports": [{"name": "http", "port": 80, "targetPort": 3000}]},
        }))
        .unwrap();
        let slice: objects::EndpointSlice = serde_json::from_value(json!({
            "metadata": {"name": "s", "labels": {"kubernetes.io/service-name": "orders"}},
            "endpoints": [{"targetRef": {"kind": "Pod", "name": "bare", "uid": "uid-bare"}}],
        }))
        .unwrap();
        store.update(|index| {
            index.put_namespace("shop", true);
            index.put_service("shop", "orders", service);
            index.put_slice("shop", "s", slice);
            index.put_route(serde_json::from_value(manifest()).unwrap(), None);
        });
        let events = Arc::new(Events::new("m-0".to_owned()));
        let repairer = Repairer::new(Arc::clone(&store), metrics, Arc::default(), events);
        Self { api, store, repairer, id: ServiceId { namespace: "shop".to_owned(), name: "orders".to_owned() } }
    }

    async fn repair(&self) -> Result<(), ActError> {
        let repair = Repair {
            pod: "bare".to_owned(),
            uid: "uid-bare".to_owned(),
            lack: Lack::Sidecar,
            mode: RepairMode::Automatic,
        };
        self.repairer.repair(&self.api.client(), &self.id, &repair).await
    }

    /// Another pod of the same ReplicaSet that has the sidecar: so the next one will have it, too.
    fn with_served_pod(self) -> Self {
        let pod: objects::Pod = serde_json::from_value(json!({
            "metadata": {
                "name": "served", "namespace": "shop", "uid": "uid-served", "labels": {"app": "orders"},
                "annotations": {"moorline.dev/services": "orders"},
                "ownerReferences": [{
                    "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "orders-1", "uid": "uid-orders-1", "controller": true,
                }],
            },
        }))
        .unwrap();
        self.store.update(|index| index.put_pod("shop", "served", pod));
        self
    }

    fn note(&self) -> Option<RepairNote> {
        let settings = self.store.settings();
        self.store.read(|index| index.view(&self.id, &settings, Timestamp::now())).bare_pods.remove(0).repair
    }
}

#[tokio::test]
async fn a_workload_none_of_whose_pods_has_the_sidecar_is_restarted_once() {
    let bare = Bare::new();
    bare.repair().await.unwrap();
    let patch = bare.api.sent(&format!("PATCH {DEPLOYMENT}")).unwrap();
    assert!(patch["spec"]["template"]["metadata"]["annotations"]["moorline.dev/restartedAt"].is_string(), "{patch}");
    assert_eq!(bare.api.count(&format!("POST {EVENTS}")), 1);
    assert_eq!(bare.api.sent(&format!("POST {EVENTS}")).unwrap()["reason"], "RestartedWorkload");
    assert!(bare.note().is_some());
    bare.api.change(DEPLOYMENT, |deployment| deployment["metadata"]["generation"] = json!(2));
    bare.repair().await.unwrap();
    assert_eq!(bare.api.count(&format!("PATCH {DEPLOYMENT}")), 1);
    assert_eq!(bare.api.count(EVICTION), 0);
}

#[tokio::test]
async fn a_pod_beside_others_that_have_the_sidecar_is_evicted_alone() {
    let bare = Bare::new().with_served_pod();
    bare.api
        .script(but(|call| call.path.ends_with("/eviction").then(|| Answer::Json(201, json!({"status": "Success"})))));
    bare.repair().await.unwrap();
    let eviction = bare.api.sent(EVICTION).unwrap();
    assert_eq!(eviction["deleteOptions"]["preconditions"]["uid"], "uid-bare", "{eviction}");
    assert_eq!(bare.api.count(&format!("PATCH {DEPLOYMENT}")), 0);
    assert_eq!(bare.api.sent(&format!("POST {EVENTS}")).unwrap()["reason"], "EvictedPod");
}

#[tokio::test]
async fn a_pod_that_a_budget_protects_is_left_alone_for_a_while_and_the_status_can_say_so() {
    let bare = Bare::new().with_served_pod();
    bare.api.script(but(|call| call.path.ends_with("/eviction").then(|| failure(429, "TooManyRequests"))));
    bare.repair().await.unwrap();
    let note = bare.note().unwrap();
    assert!(note.message.contains("PodDisruptionBudget"), "{note:?}");
    assert!(note.again > Timestamp::now());
    assert_eq!(bare.api.count(&format!("POST {EVENTS}")), 0, "nothing was done that one could tell of");
}

#[tokio::test]
async fn nothing_is_done_about_a_pod_that_is_gone_another_or_well_by_now() {
    let bare = Bare::new();
    bare.api.change(POD, |pod| pod["metadata"]["labels"]["moorline.dev/injected"] = json!("true"));
    bare.repair().await.unwrap();
    bare.api.change(POD, |pod| {
        pod["metadata"]["labels"] = json!({"app": "orders"});
        pod["metadata"]["uid"] = json!("another");
    });
    bare.repair().await.unwrap();
    bare.api.remove(POD);
    bare.repair().await.unwrap();
    assert_eq!(bare.api.writes(), Vec::<String>::new());
}

#[tokio::test]
async fn a_pod_that_would_not_be_injected_again_leads_to_an_event_and_no_restart() {
    let bare = Bare::new();
    bare.api.change(POD, |pod| pod["spec"]["hostNetwork"] = json!(true));
    bare.repair().await.unwrap();
    assert_eq!(bare.api.count(&format!("PATCH {DEPLOYMENT}")), 0);
    let event = bare.api.sent(&format!("POST {EVENTS}")).unwrap();
    assert_eq!(
        (event["reason"].as_str(), event["type"].as_str()),
        (Some("PodNotInjected"), Some("Warning")),
        "{event}"
    );
}

#[tokio::test]
async fn a_restart_that_is_refused_is_an_error_and_leaves_no_note() {
    let bare = Bare::new();
    bare.api.script(but(|call| {
        (call.path == DEPLOYMENT && call.method == http::Method::PATCH).then(|| failure(403, "Forbidden"))
    }));
    assert_eq!(bare.repair().await.unwrap_err().reason(), "restart");
    assert_eq!(bare.note(), None);
}

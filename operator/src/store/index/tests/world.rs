//! Makes objects and puts them into an index.

use serde_json::{Value, json};

use super::*;
use crate::store::objects;
use crate::view::ServiceView;

/// An index, and the versions that the API server would count up.
#[derive(Default)]
pub(super) struct World {
    pub(super) index: Index,
    version: u64,
}

pub(super) fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

impl World {
    pub(super) fn next_version(&mut self) -> u64 {
        self.version += 1;
        self.version + 100
    }

    /// Names of the Services that were marked since the last call.
    pub(super) fn marked(&mut self) -> Vec<String> {
        let mut names: Vec<String> = self.index.take_services().into_keys().map(|id| id.name).collect();
        names.sort();
        names
    }

    /// Names of the pods whose asking changed since the last call.
    pub(super) fn asked(&mut self) -> Vec<String> {
        self.index.take_pods().into_iter().map(|key| key.name).collect()
    }

    pub(super) fn view(&self, service: &str) -> ServiceView {
        let id = ServiceId { namespace: "shop".to_owned(), name: service.to_owned() };
        self.index.view(&id, &Arc::new(Settings::default()), Timestamp::UNIX_EPOCH)
    }

    pub(super) fn service(&mut self, name: &str, selector: &[(&str, &str)]) -> &mut Self {
        self.service_with(name, &json!({}), &json!({"selector": labels(selector)}))
    }

    pub(super) fn service_with(&mut self, name: &str, metadata: &Value, spec: &Value) -> &mut Self {
        let version = self.next_version();
        let mut object = json!({
            "metadata": {"name": name, "namespace": "shop", "uid": format!("uid-{name}"), "resourceVersion": version.to_string()},
            "spec": {"ports": [{"name": "http", "port": 80, "targetPort": 3000}, {"name": "other", "port": 81}]},
        });
        merge(&mut object["metadata"], metadata);
        merge(&mut object["spec"], spec);
        let service: objects::Service = serde_json::from_value(object).unwrap();
        self.index.put_service("shop", name, service);
        self
    }

    pub(super) fn route(&mut self, name: &str, service: &str, path: &str, generation: i64) -> &mut Self {
        let version = self.next_version();
        self.route_at(name, service, path, generation, version)
    }

    pub(super) fn route_at(
        &mut self,
        name: &str,
        service: &str,
        path: &str,
        generation: i64,
        version: u64,
    ) -> &mut Self {
        self.index.put_route(route("shop", name, service, path, generation, version), None);
        self
    }

    pub(super) fn changed_route(&mut self, name: &str, service: &str, path: &str, generation: i64) -> &mut Self {
        let version = self.next_version();
        self.index.put_route(route("shop", name, service, path, generation, version), Some(Instant::now()));
        self
    }

    pub(super) fn exposed_route(&mut self, namespace: &str, name: &str, service: &str, host: &str) -> &mut Self {
        let version = self.next_version();
        let mut route = route(namespace, name, service, "/ws", 1, version);
        route.spec.hosts = vec![host.to_owned()];
        route.spec.expose = serde_json::from_value(json!({"ingress": {}})).unwrap();
        self.index.put_route(route, None);
        self
    }

    /// A pod with a sidecar that has started.
    pub(super) fn pod(
        &mut self,
        name: &str,
        pod_labels: &[(&str, &str)],
        change: impl FnOnce(&mut Value),
    ) -> &mut Self {
        let version = self.next_version();
        let mut object = json!({
            "metadata": {
                "name": name, "namespace": "shop", "uid": format!("uid-{name}"), "resourceVersion": version.to_string(),
                "labels": labels(pod_labels),
                "annotations": {"moorline.dev/services": "orders", "moorline.dev/sidecar-version": "0.1.0"},
            },
            "status": {
                "phase": "Running", "podIP": "10.0.0.1",
                "conditions": [{"type": "Ready", "status": "True"}],
                "initContainerStatuses": [{"name": "moorline", "started": true, "restartCount": 0}],
            },
        });
        change(&mut object);
        let pod: objects::Pod = serde_json::from_value(object).unwrap();
        self.index.put_pod("shop", name, pod);
        self
    }

    /// A slice of a Service: names of pods and whether each is terminating.
    pub(super) fn slice(&mut self, name: &str, service: &str, pods: &[(&str, bool)]) -> &mut Self {
        let version = self.next_version();
        let endpoints: Vec<Value> = pods
            .iter()
            .map(|(pod, terminating)| {
                json!({
                    "addresses": ["10.0.0.1"], "conditions": {"terminating": terminating},
                    "targetRef": {"kind": "Pod", "name": pod, "uid": format!("uid-{pod}")},
                })
            })
            .collect();
        let slice: objects::EndpointSlice = serde_json::from_value(json!({
            "metadata": {"name": name, "labels": {"kubernetes.io/service-name": service}, "resourceVersion": version.to_string()},
            "endpoints": endpoints,
        }))
        .unwrap();
        self.index.put_slice("shop", name, slice);
        self
    }

    /// A stored document of a Service with one route; its hash.
    pub(super) fn document(&mut self, service: &str, path: &str, put_at: Option<Instant>) -> String {
        let id = ServiceId { namespace: "shop".to_owned(), name: service.to_owned() };
        let manifest = route("shop", "r", service, path, 1, 1);
        let backend = moorline_crds::compile::Backend::at("127.0.0.1:3000");
        let compiled = moorline_crds::compile::compile(&id, &[manifest], &|_| Ok(backend.clone()));
        let name = moorline_crds::names::Child::Document.name(service);
        let version = self.next_version();
        let map: objects::ConfigMap = serde_json::from_value(json!({
            "metadata": {
                "name": name, "namespace": "shop", "resourceVersion": version.to_string(),
                "labels": {"app.kubernetes.io/managed-by": "moorline", "moorline.dev/service": service},
                "annotations": {"moorline.dev/applied": "digest"},
            },
            "data": {"document.json": moorline_crds::codec::encode(&compiled.document)},
        }))
        .unwrap();
        self.index.put_document("shop", &name, Document::read(&map).unwrap(), put_at);
        compiled.document.hash()
    }
}

fn merge(into: &mut Value, from: &Value) {
    for (key, value) in from.as_object().unwrap() {
        into[key] = value.clone();
    }
}

pub(super) fn route(
    namespace: &str,
    name: &str,
    service: &str,
    path: &str,
    generation: i64,
    version: u64,
) -> WebSocketRoute {
    serde_json::from_value(json!({
        "apiVersion": "moorline.dev/v1alpha1", "kind": "WebSocketRoute",
        "metadata": {
            "name": name, "namespace": namespace, "uid": format!("uid-{name}"), "generation": generation,
            "resourceVersion": version.to_string(),
        },
        "spec": {
            "serviceRef": {"name": service, "port": "http"}, "path": path,
            "routes": [{"key": "get", "request": {"method": "GET", "path": "/"}}],
        },
    }))
    .unwrap()
}

//! Objects of the API as the operator reads them: with the fields it uses and no other.
//!
//! The client decodes straight into these, so that what is not used is never allocated: a pod is ten kilobytes in the
//! API and less than one here, and five thousand of them are listed at a start. Decoding the full types and trimming
//! them afterwards was rejected, because the allocator keeps the memory that the largest page once took.
//!
//! Every field but the name may be absent: a field that an API server of next year leaves out must not cost the object.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1 as discovery;
use k8s_openapi::api::networking::v1 as networking;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::Resource;
use kube::core::NamespaceResourceScope;
use moorline_crds::names;
use serde::{Deserialize, Deserializer};

/// A Service.
#[derive(Resource, Deserialize, Clone, Debug)]
#[resource(inherit = core::Service)]
pub(crate) struct Service {
    #[serde(deserialize_with = "metadata")]
    pub(crate) metadata: ObjectMeta,
    #[serde(default)]
    pub(crate) spec: ServiceSpec,
}

/// What is asked of a Service.
#[derive(Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServiceSpec {
    #[serde(default)]
    pub(crate) selector: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) r#type: Option<String>,
    // The API spells the abbreviation in capitals.
    #[serde(default, rename = "clusterIP")]
    pub(crate) cluster_ip: Option<String>,
    #[serde(default)]
    pub(crate) ports: Vec<ServicePort>,
}

/// A port of a Service.
#[derive(Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServicePort {
    #[serde(default)]
    pub(crate) name: Option<String>,
    pub(crate) port: i32,
    #[serde(default)]
    pub(crate) target_port: Option<IntOrString>,
    #[serde(default)]
    pub(crate) protocol: Option<String>,
}

/// A list of endpoints.
#[derive(Resource, Deserialize, Clone, Debug)]
#[resource(inherit = discovery::EndpointSlice)]
pub(crate) struct EndpointSlice {
    #[serde(deserialize_with = "metadata")]
    pub(crate) metadata: ObjectMeta,
    #[serde(default, deserialize_with = "nullable")]
    pub(crate) endpoints: Vec<Endpoint>,
}

/// An endpoint.
#[derive(Deserialize, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Endpoint {
    #[serde(default)]
    pub(crate) conditions: EndpointConditions,
    #[serde(default)]
    pub(crate) target_ref: Option<TargetRef>,
}

/// The state of an endpoint.
#[derive(Deserialize, Clone, Debug, Default)]
pub(crate) struct EndpointConditions {
    #[serde(default)]
    pub(crate) terminating: Option<bool>,
}

/// What is behind an endpoint.
#[derive(Deserialize, Clone, Debug)]
pub(crate) struct TargetRef {
    #[serde(default)]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) uid: String,
}

/// A pod.
#[derive(Resource, Deserialize, Clone, Debug)]
#[resource(inherit = core::Pod)]
pub(crate) struct Pod {
    #[serde(deserialize_with = "metadata")]
    pub(crate) metadata: ObjectMeta,
    #[serde(default)]
    pub(crate) status: PodStatus,
}

/// The state of a pod.
#[derive(Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PodStatus {
    #[serde(default)]
    pub(crate) phase: Option<String>,
    #[serde(default, rename = "podIP")]
    pub(crate) pod_ip: Option<String>,
    #[serde(default)]
    pub(crate) init_container_statuses: Vec<ContainerStatus>,
}

/// The state of a container.
#[derive(Deserialize, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ContainerStatus {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) started: Option<bool>,
    #[serde(default)]
    pub(crate) restart_count: i32,
}

/// A ConfigMap.
#[derive(Resource, Deserialize, Clone, Debug)]
#[resource(inherit = core::ConfigMap)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ConfigMap {
    #[serde(deserialize_with = "metadata")]
    pub(crate) metadata: ObjectMeta,
    #[serde(default)]
    pub(crate) data: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) binary_data: BTreeMap<String, ByteString>,
}

/// A namespace.
#[derive(Resource, Deserialize, Clone, Debug)]
#[resource(inherit = core::Namespace)]
pub(crate) struct Namespace {
    #[serde(deserialize_with = "metadata")]
    pub(crate) metadata: ObjectMeta,
}

/// An Ingress.
#[derive(Resource, Deserialize, Clone, Debug)]
#[resource(inherit = networking::Ingress)]
pub(crate) struct Ingress {
    #[serde(deserialize_with = "metadata")]
    pub(crate) metadata: ObjectMeta,
}

/// An `HTTPRoute`.
#[derive(Deserialize, Clone, Debug)]
pub(crate) struct HttpRoute {
    #[serde(deserialize_with = "metadata")]
    pub(crate) metadata: ObjectMeta,
}

// By hand: the type it could inherit from is in a crate that follows another version of the client.
impl Resource for HttpRoute {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        "HTTPRoute".into()
    }

    fn group((): &()) -> Cow<'_, str> {
        "gateway.networking.k8s.io".into()
    }

    fn version((): &()) -> Cow<'_, str> {
        "v1".into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        "httproutes".into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// The metadata that is used: no managed fields, and no annotations but ours, because those of other tools hold whole
/// manifests.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    namespace: Option<String>,
    #[serde(default)]
    uid: Option<String>,
    #[serde(default)]
    resource_version: Option<String>,
    #[serde(default)]
    generation: Option<i64>,
    #[serde(default)]
    creation_timestamp: Option<Timestamp>,
    #[serde(default)]
    deletion_timestamp: Option<Timestamp>,
    #[serde(default, deserialize_with = "nullable")]
    labels: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "ours")]
    annotations: BTreeMap<String, String>,
    #[serde(default)]
    owner_references: Option<Vec<OwnerReference>>,
}

fn metadata<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    let read = Metadata::deserialize(deserializer)?;
    Ok(ObjectMeta {
        name: read.name,
        namespace: read.namespace,
        uid: read.uid,
        resource_version: read.resource_version,
        generation: read.generation,
        creation_timestamp: read.creation_timestamp.map(Time),
        deletion_timestamp: read.deletion_timestamp.map(Time),
        labels: Some(read.labels),
        annotations: Some(read.annotations),
        owner_references: read.owner_references,
        ..ObjectMeta::default()
    })
}

/// Go writes an empty list as `null` unless told otherwise.
fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

fn ours<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    let mut annotations: BTreeMap<String, String> = nullable(deserializer)?;
    annotations.retain(|name, _| name.starts_with(names::PREFIX));
    Ok(annotations)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // tests fail by panicking
mod tests {
    use kube::core::DeserializeGuard;
    use kube::core::WatchEvent;
    use serde_json::json;

    use super::*;

    #[test]
    fn of_the_metadata_only_what_is_used_stays() {
        let service: Service = serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {
                "name": "orders", "namespace": "shop", "uid": "u", "resourceVersion": "7",
                "creationTimestamp": "2026-01-01T00:00:00Z",
                "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "moorline.dev/digest": "d"},
                "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}],
            },
            "spec": {"clusterIP": "None", "ports": [{"port": 80, "targetPort": "http"}]},
        }))
        .unwrap();
        assert_eq!(service.metadata.managed_fields, None);
        assert_eq!(
            service.metadata.annotations.unwrap().into_iter().collect::<Vec<_>>(),
            [("moorline.dev/digest".to_owned(), "d".to_owned())]
        );
        assert_eq!(service.spec.cluster_ip.as_deref(), Some("None"));
        assert_eq!(service.spec.ports[0].target_port, Some(IntOrString::String("http".to_owned())));
    }

    #[test]
    fn a_slice_without_endpoints_says_null() {
        let slice: EndpointSlice =
            serde_json::from_value(json!({"metadata": {"name": "a"}, "endpoints": null})).unwrap();
        assert!(slice.endpoints.is_empty());
    }

    #[test]
    fn an_object_that_cannot_be_decoded_keeps_its_name_for_the_log() {
        let event: WatchEvent<DeserializeGuard<Service>> = serde_json::from_value(json!({
            "type": "ADDED",
            "object": {
                "apiVersion": "v1", "kind": "Service",
                "metadata": {"name": "odd", "namespace": "shop"}, "spec": {"ports": [{"port": "eighty"}]},
            },
        }))
        .unwrap();
        let WatchEvent::Added(DeserializeGuard(Err(invalid))) = event else { unreachable!() };
        assert_eq!(invalid.metadata.name.as_deref(), Some("odd"));
    }

    #[test]
    fn a_pod_says_whether_its_sidecar_has_started() {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "a"},
            "status": {
                "phase": "Running", "podIP": "10.0.0.1",
                "initContainerStatuses": [{"name": "moorline", "started": true, "restartCount": 2, "image": "x"}],
            },
        }))
        .unwrap();
        assert_eq!(pod.status.init_container_statuses[0].started, Some(true));
        assert_eq!(pod.status.init_container_statuses[0].restart_count, 2);
    }
}

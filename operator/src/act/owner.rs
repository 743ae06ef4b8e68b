//! Finds what owns a pod: the workload whose restart brings new pods.
//!
//! Read along owner references when it is needed, instead of watching all workloads of a cluster: repairs are rare.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Client;
use kube::api::{Api, DynamicObject};
use kube::core::{ApiResource, GroupVersionKind};

use crate::api::is_not_found;
use crate::plan::{Owner, WorkloadFacts, WorkloadKind};

/// What owns a pod, and the uid of its direct controller.
pub(super) struct Found {
    pub(super) owner: Owner,
    pub(super) controller: String,
}

/// Follows the owner references of a pod.
pub(super) async fn find(
    client: &Client,
    namespace: &str,
    pod: &DynamicObject,
    has_served_pods: impl Fn(&str) -> bool,
) -> kube::Result<Found> {
    let Some(direct) = controller(pod) else {
        return Ok(Found { owner: Owner::Nobody, controller: String::new() });
    };
    let uid = direct.uid.clone();
    let has_served_pods = has_served_pods(&uid);
    let top = if direct.kind == "ReplicaSet" && direct.api_version.starts_with("apps/") {
        match read(client, namespace, "ReplicaSet", "replicasets", &direct.name).await? {
            Some(set) => controller(&set).cloned(),
            None => None,
        }
        // A ReplicaSet that nothing owns is one that a person made.
        .unwrap_or_else(|| direct.clone())
    } else {
        direct.clone()
    };
    let owner = match kind(&top) {
        Some((kind, plural)) => read(client, namespace, &top.kind, plural, &top.name)
            .await?
            .filter(|workload| workload.metadata.uid.as_deref() == Some(top.uid.as_str()))
            .and_then(|workload| serde_json::to_value(workload).ok())
            .and_then(|manifest| WorkloadFacts::read(kind, &manifest, has_served_pods))
            .map(Owner::Workload),
        None => None,
    };
    let other = || Owner::Other { kind: top.kind.clone(), name: top.name.clone() };
    Ok(Found { owner: owner.unwrap_or_else(other), controller: uid })
}

fn controller(object: &DynamicObject) -> Option<&OwnerReference> {
    object.metadata.owner_references.as_ref()?.iter().find(|owner| owner.controller == Some(true))
}

fn kind(owner: &OwnerReference) -> Option<(WorkloadKind, &'static str)> {
    if !owner.api_version.starts_with("apps/") {
        return None;
    }
    match owner.kind.as_str() {
        "Deployment" => Some((WorkloadKind::Deployment, "deployments")),
        "StatefulSet" => Some((WorkloadKind::StatefulSet, "statefulsets")),
        "DaemonSet" => Some((WorkloadKind::DaemonSet, "daemonsets")),
        _ => None,
    }
}

/// The resource of a kind of workload.
pub(super) fn resource(kind: WorkloadKind) -> ApiResource {
    let (kind, plural) = match kind {
        WorkloadKind::Deployment => ("Deployment", "deployments"),
        WorkloadKind::StatefulSet => ("StatefulSet", "statefulsets"),
        WorkloadKind::DaemonSet => ("DaemonSet", "daemonsets"),
    };
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("apps", "v1", kind), plural)
}

async fn read(
    client: &Client,
    namespace: &str,
    kind: &str,
    plural: &str,
    name: &str,
) -> kube::Result<Option<DynamicObject>> {
    let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("apps", "v1", kind), plural);
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    match api.get(name).await {
        Ok(found) => Ok(Some(found)),
        Err(error) if is_not_found(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

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
        let sets = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("apps", "v1", "ReplicaSet"), "replicasets");
        match read(client, namespace, &sets, &direct.name).await? {
            Some(set) => controller(&set).cloned(),
            None => None,
        }
        // A ReplicaSet that nothing owns is one that a person made.
        .unwrap_or_else(|| direct.clone())
    } else {
        direct.clone()
    };
    let owner = match WorkloadKind::of(&top.api_version, &top.kind) {
        Some(kind) => read(client, namespace, &resource(kind), &top.name)
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

/// The resource of a kind of workload.
pub(super) fn resource(kind: WorkloadKind) -> ApiResource {
    let plural = match kind {
        WorkloadKind::Deployment => "deployments",
        WorkloadKind::StatefulSet => "statefulsets",
        WorkloadKind::DaemonSet => "daemonsets",
    };
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("apps", "v1", kind.as_str()), plural)
}

async fn read(
    client: &Client,
    namespace: &str,
    resource: &ApiResource,
    name: &str,
) -> kube::Result<Option<DynamicObject>> {
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, resource);
    match api.get(name).await {
        Ok(found) => Ok(Some(found)),
        Err(error) if is_not_found(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

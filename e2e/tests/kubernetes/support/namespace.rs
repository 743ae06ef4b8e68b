//! A namespace of a scenario: made for it, deleted after it.

use anyhow::Result;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Event, Pod, Service};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use moorline_crds::WebSocketRoute;
use serde_json::json;

use super::command::apply;
use super::ground::Ground;
use super::wait::until;

/// A namespace with what scenarios do in it.
pub(crate) struct Namespace {
    pub(crate) ground: Ground,
    pub(crate) name: String,
}

impl Namespace {
    /// Makes one whose pods get the sidecar.
    pub(crate) async fn enabled(ground: &Ground, name: &str) -> Result<Self> {
        Self::labelled(ground, name, "moorline.dev/inject: enabled").await
    }

    /// Makes one as users have them before they know of us.
    pub(crate) async fn plain(ground: &Ground, name: &str) -> Result<Self> {
        Self::labelled(ground, name, "team: shop").await
    }

    /// Makes one with this label.
    pub(crate) async fn labelled(ground: &Ground, name: &str, labels: &str) -> Result<Self> {
        let name = format!("e2e-{name}");
        apply(&format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}, labels: {{{labels}}}}}\n")).await?;
        let namespace = Self { ground: ground.clone(), name };
        // A pod made before its ServiceAccount is refused.
        let accounts: Api<k8s_openapi::api::core::v1::ServiceAccount> = namespace.api();
        until("the default ServiceAccount", || async { Ok(accounts.get_opt("default").await?) }, Option::is_some)
            .await?;
        Ok(namespace)
    }

    /// Deletes it, without waiting: nothing else uses its name.
    pub(crate) async fn delete(self) -> Result<()> {
        let all: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(self.ground.client.clone());
        all.delete(&self.name, &DeleteParams::default()).await?;
        Ok(())
    }

    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.ground.client.clone(), &self.name)
    }

    /// Opts it in.
    pub(crate) async fn enable(&self) -> Result<()> {
        let all: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(self.ground.client.clone());
        let label = json!({"metadata": {"labels": {"moorline.dev/inject": "enabled"}}});
        all.patch(&self.name, &PatchParams::default(), &Patch::Merge(label)).await?;
        Ok(())
    }

    /// Applies manifests in it.
    pub(crate) async fn apply(&self, manifests: &str) -> Result<()> {
        super::command::feed("kubectl", &["apply", "--server-side", "-n", &self.name, "-f", "-"], manifests)
            .await
            .map(drop)
    }

    /// Pods with this `app` label that are not being deleted.
    pub(crate) async fn pods(&self, app: &str) -> Result<Vec<Pod>> {
        let pods: Api<Pod> = self.api();
        let list = pods.list(&ListParams::default().labels(&format!("app={app}"))).await?;
        Ok(list.items.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).collect())
    }

    /// Waits until a Deployment has all its pods ready and no old ones.
    pub(crate) async fn rolled_out(&self, name: &str) -> Result<()> {
        let deployments: Api<Deployment> = self.api();
        until(&format!("Deployment {name} rolled out"), || async { Ok(deployments.get(name).await?) }, is_rolled_out)
            .await
            .map(drop)
    }

    /// A route.
    pub(crate) async fn route(&self, name: &str) -> Result<WebSocketRoute> {
        Ok(self.api::<WebSocketRoute>().get(name).await?)
    }

    /// Waits until a condition of the newest generation of a route has this status, and gives the route.
    pub(crate) async fn condition(&self, route: &str, kind: &str, status: &str) -> Result<WebSocketRoute> {
        let what = format!("route {}/{route}: {kind}={status}", self.name);
        let found = until(&what, || self.route(route), |route| has_condition(route, kind, status, None)).await?;
        Ok(found.0)
    }

    /// Waits until a condition of the newest generation of a route has this status and reason, and gives its message.
    pub(crate) async fn reason(&self, route: &str, kind: &str, status: &str, reason: &str) -> Result<String> {
        let what = format!("route {}/{route}: {kind}={status}, {reason}", self.name);
        let done = |route: &WebSocketRoute| has_condition(route, kind, status, Some(reason));
        let (found, _) = until(&what, || self.route(route), done).await?;
        let conditions = found.status.unwrap_or_default().conditions;
        Ok(conditions.into_iter().find(|condition| condition.type_ == kind).map(|it| it.message).unwrap_or_default())
    }

    /// The address of a Service in the cluster, with its first port.
    pub(crate) async fn address(&self, service: &str) -> Result<String> {
        let services: Api<Service> = self.api();
        let (found, _) = until(
            &format!("Service {service}"),
            || async { Ok(services.get_opt(service).await?.and_then(|service| service.spec)) },
            |spec| spec.as_ref().is_some_and(|spec| spec.cluster_ip.is_some()),
        )
        .await?;
        let spec = found.unwrap_or_default();
        let port = spec.ports.unwrap_or_default().first().map(|port| port.port).unwrap_or_default();
        Ok(format!("{}:{port}", spec.cluster_ip.unwrap_or_default()))
    }

    /// Waits for an Event with this reason, and gives its message.
    pub(crate) async fn event(&self, reason: &str) -> Result<String> {
        let events: Api<Event> = self.api();
        let (found, _) = until(
            &format!("an Event {reason}"),
            || async {
                let all = events.list(&ListParams::default()).await?.items;
                Ok(all
                    .into_iter()
                    .find(|event| event.reason.as_deref() == Some(reason))
                    .and_then(|event| event.message))
            },
            Option::is_some,
        )
        .await?;
        Ok(found.unwrap_or_default())
    }
}

/// Whether a condition that is about the newest generation has a status, and a reason if one is asked for.
pub(crate) fn has_condition(route: &WebSocketRoute, kind: &str, status: &str, reason: Option<&str>) -> bool {
    route.status.as_ref().is_some_and(|all| {
        all.conditions.iter().any(|condition| {
            condition.type_ == kind
                && condition.status == status
                && reason.is_none_or(|reason| condition.reason == reason)
                && condition.observed_generation == route.metadata.generation
        })
    })
}

fn is_rolled_out(deployment: &Deployment) -> bool {
    let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    deployment.status.as_ref().is_some_and(|status| {
        status.observed_generation == deployment.metadata.generation
            && status.updated_replicas == Some(wanted)
            && status.ready_replicas == Some(wanted)
            && status.replicas == Some(wanted)
    })
}

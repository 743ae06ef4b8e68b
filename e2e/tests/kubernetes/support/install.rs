//! The installation of the chart that the scenarios share.

use anyhow::{Context as _, Result};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::{Api, ListParams};

use super::command::run;
use super::wait::until;

/// Where it is installed.
pub(crate) const NAMESPACE: &str = "moorline-system";
/// The name of the release.
pub(crate) const RELEASE: &str = "moorline";
/// The chart.
pub(crate) const CHART: &str = "charts/moorline";
/// Values for the images under test.
pub(crate) fn values() -> String {
    std::env::var("MOORLINE_E2E_VALUES").unwrap_or_else(|_| "e2e/kubernetes/values.yaml".to_owned())
}

/// The installed chart.
#[derive(Clone)]
pub(crate) struct Installation {
    client: Client,
    /// What helm said.
    pub(crate) notes: String,
}

impl Installation {
    /// Installs the chart and waits until it runs.
    pub(crate) async fn install(client: &Client) -> Result<Self> {
        let values = values();
        let mut arguments = vec!["upgrade", "--install", RELEASE, CHART, "--namespace", NAMESPACE];
        arguments.extend(["--create-namespace", "--values", &values, "--wait", "--timeout", "3m"]);
        let notes = run("helm", &arguments).await?;
        let installation = Self { client: client.clone(), notes };
        installation.working().await?;
        Ok(installation)
    }

    /// Waits until somebody leads: from then on routes are looked at.
    pub(crate) async fn working(&self) -> Result<()> {
        until("somebody holds the Lease", || self.leader(), Option::is_some).await.map(drop)
    }

    /// The pod that holds the Lease. A holder is a pod's name and what tells one start of it from the next.
    pub(crate) async fn leader(&self) -> Result<Option<String>> {
        let leases: Api<Lease> = Api::namespaced(self.client.clone(), NAMESPACE);
        let lease = leases.get_opt("moorline-operator").await?;
        let holder = lease.and_then(|lease| lease.spec).and_then(|spec| spec.holder_identity);
        Ok(holder.and_then(|holder| Some(holder.rsplit_once('-')?.0.to_owned())))
    }

    /// The operator's pods.
    pub(crate) async fn pods(&self) -> Result<Vec<Pod>> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), NAMESPACE);
        let selector = "app.kubernetes.io/component=operator";
        Ok(pods.list(&ListParams::default().labels(selector)).await?.items)
    }

    /// Sets the number of operators, and waits until it is so.
    pub(crate) async fn scale(&self, replicas: usize) -> Result<()> {
        let count = format!("--replicas={replicas}");
        run("kubectl", &["scale", "deployment", "moorline-operator", "-n", NAMESPACE, &count]).await?;
        until(
            &format!("{replicas} operators"),
            || self.pods(),
            |pods| pods.len() == replicas && pods.iter().all(is_ready),
        )
        .await
        .context("scale the operator")?;
        if replicas > 0 { self.working().await } else { Ok(()) }
    }
}

/// Whether a pod is ready.
pub(crate) fn is_ready(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_none()
        && pod.status.as_ref().and_then(|status| status.conditions.as_ref()).is_some_and(|conditions| {
            conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
        })
}

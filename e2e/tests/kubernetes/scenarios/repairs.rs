//! What the operator puts right by itself: workloads of every kind that ran before their route, and its own Secret.

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;

use crate::support::client::Client;
use crate::support::ground::{alone, alongside};
use crate::support::install::{NAMESPACE, is_ready};
use crate::support::namespace::Namespace;
use crate::support::{orders, wait};

#[test]
#[ignore = "needs a cluster: make e2e"]
fn statefulsets_and_daemonsets_that_ran_before_are_restarted_and_serve() {
    alongside(async |ground| {
        let shop = Namespace::plain(&ground, "kinds").await?;
        let deployment = |name| {
            orders::deployment(name, 1).replace("  strategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}\n", "")
        };
        shop.apply(&deployment("state").replace("kind: Deployment", "kind: StatefulSet")).await?;
        shop.apply(&deployment("each").replace("kind: Deployment", "kind: DaemonSet").replace("  replicas: 1\n", ""))
            .await?;
        for name in ["state", "each"] {
            wait::until(name, || shop.pods(name), |pods| pods.len() == 1 && pods.iter().all(is_ready)).await?;
            shop.apply(&orders::route(name, name, &format!("/{name}"), name)).await?;
        }
        shop.enable().await?;
        for name in ["state", "each"] {
            shop.condition(name, "Programmed", "True").await?;
            let address = shop.address(&format!("{name}-ws")).await?;
            let mut client = Client::connect_soon(&address, &format!("/{name}/acme")).await?;
            ensure!(orders::mark(&mut client).await? == name);
        }
        shop.delete().await
    });
}

#[test]
#[ignore = "needs a cluster: make e2e"]
fn a_certificate_that_somebody_spoiled_is_replaced() {
    alone(async |ground| -> Result<()> {
        let secrets: Api<Secret> = Api::namespaced(ground.client.clone(), NAMESPACE);
        let name = "moorline-webhook-certificate";
        let certificate =
            async || Ok(secrets.get(name).await?.data.unwrap_or_default().remove("tls.crt").map(|it| it.0));
        let before = certificate().await?;
        let spoiled = Patch::Merge(json!({"data": {"tls.crt": "c3BvaWxlZA=="}}));
        secrets.patch(name, &PatchParams::default(), &spoiled).await?;
        let whole =
            |now: &Option<Vec<u8>>| now.as_ref().is_some_and(|now| now.starts_with(b"-----BEGIN CERTIFICATE-----"));
        let (after, _) = wait::until("another certificate", certificate, whole).await?;
        ensure!(before != after, "one that was thrown away is not taken up again");
        Ok(())
    });
}

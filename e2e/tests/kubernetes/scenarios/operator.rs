//! The operator itself: who leads, and its certificate.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{Api, DeleteParams, PostParams};

use crate::support::ground::{Ground, alone, alone_in_own_cluster};
use crate::support::install::NAMESPACE;
use crate::support::namespace::Namespace;
use crate::support::{figures, orders, sidecars, wait};

#[test]
#[ignore = "needs a cluster: make e2e"]
fn another_replica_leads_at_once_after_a_graceful_stop() {
    alone(async |ground| {
        let shop = Namespace::enabled(&ground, "graceful").await?;
        orders::served(&shop, 1).await?;
        ground.installation.scale(2).await?;
        let leader = ground.installation.leader().await?.context("a leader")?;
        let operators: Api<Pod> = Api::namespaced(ground.client.clone(), NAMESPACE);
        operators.delete(&leader, &DeleteParams::default()).await?;
        let took = handed_over(&ground, &leader).await?;
        figures::tell(&format!("hand-over after a graceful stop: {} ms", took.as_millis()));
        ensure!(took < Duration::from_secs(2), "{took:?}");
        shop.apply(&orders::route("orders", "orders", "/ws", "after")).await?;
        shop.condition("orders", "Programmed", "True").await?;
        shop.delete().await
    });
}

#[test]
#[ignore = "needs a cluster: make e2e"]
fn another_replica_leads_after_a_kill() {
    alone_in_own_cluster(async |ground, _control| {
        ground.installation.scale(2).await?;
        let leader = ground.installation.leader().await?.context("a leader")?;
        let operators: Api<Pod> = Api::namespaced(ground.client.clone(), NAMESPACE);
        let pod = operators.get(&leader).await?;
        let others = ground.installation.pods().await?.len();
        ensure!(others == 2);
        sidecars::kill(&pod, "operator").await?;
        // The killed one may lead again after its restart; what counts is when somebody writes.
        let shop = Namespace::enabled(&ground, "kill").await?;
        let start = Instant::now();
        shop.apply(&orders::route("orders", "orders", "/ws", "x")).await?;
        shop.reason("orders", "ResolvedRefs", "False", "ServiceNotFound").await?;
        let took = start.elapsed();
        figures::tell(&format!("writes after the leader was killed: {} ms", took.as_millis()));
        ensure!(took < Duration::from_secs(20), "{took:?}");
        shop.delete().await
    });
}

#[test]
#[ignore = "needs a cluster: make e2e"]
fn a_lost_certificate_is_made_again_and_the_webhook_believed_again() {
    alone(async |ground| {
        let shop = Namespace::enabled(&ground, "rotation").await?;
        shop.apply(&orders::route("orders", "orders", "/ws", "first")).await?;
        shop.apply(&orders::service("orders")).await?;
        shop.condition("orders", "Accepted", "True").await?;
        let secrets: Api<Secret> = Api::namespaced(ground.client.clone(), NAMESPACE);
        let bundle = ca_bundles(&ground).await?;

        // The hardest rotation there is: another CA, at once. The gentle one, in which no handshake fails, takes minutes
        // by design and is tested beside the code (`certs/keeper/on_cluster.rs`), also by `make e2e`.
        let start = Instant::now();
        secrets.delete("moorline-webhook-certificate", &DeleteParams::default()).await?;
        wait::until("another CA", || ca_bundles(&ground), |now| *now != bundle).await?;
        // Replicas read the Secret every ten seconds, so the API server may meet the old certificate until then: pods
        // start all the same, without the sidecar.
        let (mut asked, mut missed, mut in_a_row) = (0, 0, 0);
        while in_a_row < 40 {
            asked += 1;
            if is_injected(&shop, asked).await? {
                in_a_row += 1;
            } else {
                (missed, in_a_row) = (missed + 1, 0);
            }
            ensure!(start.elapsed() < wait::LONG, "{missed} of {asked} pods were missed");
        }
        figures::tell(&format!(
            "certificate lost and made again: injecting again after {} s; {missed} of {asked} pods in the meantime started bare",
            start.elapsed().as_secs()
        ));
        shop.delete().await
    });
}

/// How long it takes until somebody else leads.
async fn handed_over(ground: &Ground, before: &str) -> Result<Duration> {
    let (_, took) = wait::until(
        "another leader",
        || ground.installation.leader(),
        |leader| leader.as_deref().is_some_and(|leader| leader != before),
    )
    .await?;
    Ok(took)
}

/// Whether a pod that is made now would be injected.
async fn is_injected(shop: &Namespace, number: usize) -> Result<bool> {
    let pods: Api<Pod> = shop.api();
    let pod = serde_json::from_value(serde_json::json!({
        "metadata": {"name": format!("probe-{number}"), "labels": {"app": "orders"}},
        "spec": {"containers": [{"name": "app", "image": orders::image()}]},
    }))?;
    let made = pods.create(&PostParams { dry_run: true, ..PostParams::default() }, &pod).await?;
    Ok(made.metadata.labels.is_some_and(|labels| labels.contains_key("moorline.dev/injected")))
}

async fn ca_bundles(ground: &Ground) -> Result<Vec<Vec<u8>>> {
    let configurations: Api<MutatingWebhookConfiguration> = Api::all(ground.client.clone());
    let webhooks = configurations.get("moorline").await?.webhooks.unwrap_or_default();
    Ok(webhooks.into_iter().map(|webhook| webhook.client_config.ca_bundle.unwrap_or_default().0).collect())
}

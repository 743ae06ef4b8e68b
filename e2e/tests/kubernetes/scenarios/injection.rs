//! Pods that get the sidecar, pods that do not, and how that is said.

use anyhow::{Result, ensure};
use k8s_openapi::api::batch::v1::Job;
use kube::api::Api;

use crate::support::client::Client;
use crate::support::ground::{alone, alongside};
use crate::support::namespace::Namespace;
use crate::support::{orders, sidecars, wait};

#[test]
#[ignore = "needs a cluster: make e2e"]
fn a_job_with_the_sidecar_completes() {
    alongside(async |ground| {
        let shop = Namespace::enabled(&ground, "job").await?;
        shop.apply(&format!(
            "apiVersion: batch/v1
kind: Job
metadata: {{name: import}}
spec:
  template:
    metadata: {{labels: {{app: import, moorline.dev/inject: enabled}}}}
    spec:
      restartPolicy: Never
      containers:
      - name: app
        image: {}
        imagePullPolicy: IfNotPresent
        args: [\"--exit-after=2s\"]
",
            orders::image()
        ))
        .await?;
        let (pods, _) = wait::until("the pod", || shop.pods("import"), |pods| !pods.is_empty()).await?;
        ensure!(pods[0].spec.as_ref().is_some_and(|spec| {
            spec.init_containers.iter().flatten().any(|container| container.name == "moorline")
        }));
        let jobs: Api<Job> = shop.api();
        let done = |job: &Job| job.status.as_ref().is_some_and(|status| status.succeeded == Some(1));
        wait::until("the Job complete", || async { Ok(jobs.get("import").await?) }, done).await?;
        shop.delete().await
    });
}

#[test]
#[ignore = "needs a cluster: make e2e"]
fn pods_that_cannot_or_must_not_be_injected_start_without_and_an_event_says_why() {
    alongside(async |ground| -> Result<()> {
        let shop = Namespace::enabled(&ground, "skipped").await?;
        shop.apply(&orders::route("orders", "orders", "/ws", "x").replace("  path:", "  rollout: Manual\n  path:"))
            .await?;
        // Its own port is the sidecar's.
        shop.apply(&orders::deployment("orders", 1).replace(
            "ports: [{name: http, containerPort: 3000}]",
            "ports: [{name: http, containerPort: 3000}, {name: extra, containerPort: 8800}]",
        ))
        .await?;
        shop.rolled_out("orders").await?;
        ensure!(shop.pods("orders").await?.iter().all(|pod| !sidecars::has_sidecar(pod)));
        let said = shop.event("PodNotInjected").await?;
        ensure!(said.contains("8800") && said.contains("app"), "names the port and the container: {said}");
        shop.reason("orders", "Programmed", "False", "RestartNeeded").await?;

        // Opted out by its team.
        let out = orders::deployment("quiet", 1)
            .replace("labels: {app: quiet}", "labels: {app: quiet, moorline.dev/inject: disabled}");
        shop.apply(&out).await?;
        shop.apply(&orders::route("quiet", "quiet", "/quiet", "x")).await?;
        shop.rolled_out("quiet").await?;
        ensure!(shop.pods("quiet").await?.iter().all(|pod| !sidecars::has_sidecar(pod)));
        shop.delete().await
    });
}

#[test]
#[ignore = "needs a cluster: make e2e"]
fn pods_of_no_routed_service_are_left_alone_in_an_enabled_namespace() {
    alongside(async |ground| -> Result<()> {
        let shop = Namespace::enabled(&ground, "bystander").await?;
        shop.apply(&orders::deployment("bystander", 1)).await?;
        shop.rolled_out("bystander").await?;
        ensure!(shop.pods("bystander").await?.iter().all(|pod| !sidecars::has_sidecar(pod)));
        shop.delete().await
    });
}

#[test]
#[ignore = "needs a cluster: make e2e"]
fn an_unknown_annotation_is_warned_of_with_the_nearest_name() {
    alongside(async |ground| -> Result<()> {
        let shop = Namespace::enabled(&ground, "typo").await?;
        shop.apply(&orders::route("orders", "orders", "/ws", "x")).await?;
        let typo = "      annotations: {moorline.dev/drain-windw: 3s}";
        shop.apply(&orders::deployment_with("orders", 1, typo)).await?;
        shop.rolled_out("orders").await?;
        let said = shop.event("UnknownAnnotation").await?;
        ensure!(said.contains("drain-windw") && said.contains("moorline.dev/drain-window"), "{said}");
        shop.delete().await
    });
}

#[test]
#[ignore = "needs a cluster: make e2e"]
fn pods_start_while_the_webhook_is_away_and_are_repaired_afterwards() {
    alone(async |ground| {
        let shop = Namespace::enabled(&ground, "webhook-down").await?;
        shop.apply(&orders::route("orders", "orders", "/ws", "first")).await?;
        shop.condition("orders", "Accepted", "True").await?;
        ground.installation.scale(0).await?;
        shop.apply(&orders::deployment("orders", 2)).await?;
        shop.rolled_out("orders").await?;
        ensure!(shop.pods("orders").await?.iter().all(|pod| !sidecars::has_sidecar(pod)), "bare, and running");

        ground.installation.scale(2).await?;
        shop.event("RestartedWorkload").await?;
        shop.condition("orders", "Programmed", "True").await?;
        let mut client = Client::connect_soon(&shop.address("orders-ws").await?, "/ws/acme").await?;
        ensure!(orders::mark(&mut client).await? == "first");
        shop.delete().await
    });
}

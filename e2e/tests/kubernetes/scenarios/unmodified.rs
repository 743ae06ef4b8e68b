//! The main job: a REST service that was there before us becomes real-time.

use anyhow::{Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::Api;
use serde_json::json;

use crate::support::client::Client;
use crate::support::ground::alongside;
use crate::support::namespace::Namespace;
use crate::support::{orders, sidecars, wait};

#[test]
#[ignore = "needs a cluster: make e2e"]
fn a_deployment_that_was_running_unmodified_becomes_reachable_by_websocket() {
    alongside(async |ground| {
        let shop = Namespace::plain(&ground, "unmodified").await?;
        shop.apply(&orders::deployment("orders", 3)).await?;
        shop.rolled_out("orders").await?;
        let deployments: Api<Deployment> = shop.api();
        let before = deployments.get("orders").await?;

        shop.apply(&orders::route("orders", "orders", "/ws", "first")).await?;
        let message = shop.reason("orders", "Programmed", "False", "NamespaceNotEnabled").await?;
        ensure!(message.contains("kubectl label namespace"), "says what to do: {message}");

        shop.enable().await?;
        let route = shop.condition("orders", "Programmed", "True").await?;
        let status = route.status.unwrap_or_default();
        ensure!(status.sidecars.as_ref().is_some_and(|count| count.summary == "3/3"), "{status:?}");
        ensure!(
            status.address.as_deref() == Some(&format!("ws://orders-ws.{}.svc/ws/{{tenant}}", shop.name)),
            "{status:?}"
        );
        shop.event("RestartedWorkload").await?;

        // Nothing of the app's was touched: its own containers, image and probes are as they were.
        let after = deployments.get("orders").await?;
        let containers = |it: &Deployment| it.spec.clone().map(|spec| spec.template.spec.map(|pod| pod.containers));
        ensure!(containers(&before) == containers(&after), "the template's containers changed");

        let address = shop.address("orders-ws").await?;
        let mut client = Client::connect_soon(&address, "/ws/acme").await?;
        let answer = client.ask("get", &json!({"id": 7})).await?;
        ensure!(answer["status"] == 200 && answer["body"]["id"] == 7, "{answer}");
        // REST goes on as before, through the same Service.
        let (status, _) = sidecars::get(&shop.address("orders").await?, "/orders/7").await?;
        ensure!(status == 200, "REST answered {status}");
        shop.delete().await
    });
}

#[test]
#[ignore = "needs a cluster: make e2e"]
fn a_reply_and_a_push_reach_everyone_of_a_group() {
    alongside(async |ground| {
        let shop = Namespace::enabled(&ground, "push").await?;
        let address = orders::served(&shop, 1).await?;
        let mut first = Client::connect_soon(&address, "/ws/acme").await?;
        let mut second = Client::connect_soon(&address, "/ws/acme").await?;
        let mut other = Client::connect_soon(&address, "/ws/globex").await?;

        first.send(&json!({"action": "create", "order": {"item": "tea", "quantity": 2}})).await?;
        for client in [&mut first, &mut second] {
            let created = client.next().await?;
            ensure!(created["item"] == "tea", "{created}");
        }

        // The app itself pushes, with a plain HTTP call to its own loopback.
        let pod = shop.pods("orders").await?.remove(0);
        let app = format!("{}:3000", sidecars::ip(&pod)?);
        let (status, said) = sidecars::request("POST", &app, "/tenants/acme/announce?text=closing").await?;
        ensure!(status < 300, "the app's push: {status} {said}");
        for client in [&mut first, &mut second] {
            let pushed = client.next().await?;
            ensure!(pushed.to_string().contains("closing"), "{pushed}");
        }
        // The other tenant got none of it: the next it sees is its own answer.
        let answer = other.ask("get", &json!({"id": 7})).await?;
        ensure!(answer["status"] == 200, "{answer}");
        shop.delete().await
    });
}

#[test]
#[ignore = "needs a cluster: make e2e"]
fn a_namespace_with_restricted_pod_security_takes_the_injected_pods() {
    alongside(async |ground| -> Result<()> {
        let labels = "moorline.dev/inject: enabled, pod-security.kubernetes.io/enforce: restricted";
        let shop = Namespace::labelled(&ground, "restricted", labels).await?;
        let address = orders::served(&shop, 1).await?;
        let mut client = Client::connect_soon(&address, "/ws/acme").await?;
        ensure!(orders::mark(&mut client).await? == "first");
        // The sidecar has no way to the API server.
        let pod = shop.pods("orders").await?.remove(0);
        let spec = pod.spec.clone().unwrap_or_default();
        let sidecar = spec.init_containers.iter().flatten().find(|container| container.name == "moorline");
        let mounts = sidecar.and_then(|container| container.volume_mounts.clone()).unwrap_or_default();
        let token = mounts.iter().find(|mount| mount.mount_path.contains("serviceaccount"));
        let (_, _) = wait::until("ready", || shop.pods("orders"), |pods| pods.len() == 1).await?;
        ensure!(
            token.is_none_or(|mount| mount.name == "moorline-no-token"),
            "a token is mounted into the sidecar: {token:?}"
        );
        shop.delete().await
    });
}

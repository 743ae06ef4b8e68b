//! Parts that die: an app, a sidecar, the API server.

use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;

use crate::support::client::Client;
use crate::support::ground::{alone_in_own_cluster, alongside};
use crate::support::load::Load;
use crate::support::namespace::Namespace;
use crate::support::{figures, orders, sidecars, wait};

#[test]
#[ignore = "needs a cluster: make e2e"]
fn when_the_app_of_one_pod_dies_its_calls_go_to_another_and_its_sockets_stay() {
    alongside(async |ground| {
        let shop = Namespace::enabled(&ground, "app-killed").await?;
        orders::served(&shop, 2).await?;
        let pod = shop.pods("orders").await?.remove(0);
        let ip = sidecars::ip(&pod)?;
        let load = Load::start(&format!("{ip}:8800"), "/ws/acme", 20, Duration::from_millis(50)).await?;
        // Several times: after a few the kubelet waits before it starts the app again, and the app is gone for long.
        for _ in 0..3 {
            let restarts = || async {
                let pods = shop.pods("orders").await?;
                let pod = pods.iter().find(|it| sidecars::name(it) == sidecars::name(&pod));
                Ok(pod.and_then(|pod| sidecars::container(pod, "app")).map_or(0, |status| status.restart_count))
            };
            let count = restarts().await?;
            let _ = sidecars::request("POST", &format!("{ip}:3000"), "/debug/exit").await;
            wait::until("the app started again", restarts, |now| *now > count).await?;
        }
        let (_, _) = wait::until(
            "the app serves again",
            || async { Ok(sidecars::get(&format!("{ip}:3000"), "/healthz").await?.0) },
            |status| *status == 200,
        )
        .await?;
        let tally = load.stop().await?;
        let sent = tally.sent.load(Ordering::Relaxed);
        figures::tell(&format!(
            "app killed 3 times under 20 clients: sent {sent}, answered {}, error frames {}, closes {:?}, slowest answer {} ms",
            tally.answered.load(Ordering::Relaxed),
            tally.errors.load(Ordering::Relaxed),
            tally.codes(),
            tally.slowest_ms.load(Ordering::Relaxed),
        ));
        ensure!(tally.codes().is_empty() && tally.broken.lock().is_empty(), "sockets stay: {tally:?}");
        // A request that had begun when the app died is not repeated, and a Service may lead to the dead app until it
        // knows: such a client gets an error frame. They are few.
        ensure!(tally.errors.load(Ordering::Relaxed) * 20 <= sent, "{tally:?}");
        ensure!(tally.answered.load(Ordering::Relaxed) + tally.errors.load(Ordering::Relaxed) == sent, "{tally:?}");
        shop.delete().await
    });
}

#[test]
#[ignore = "needs a cluster: make e2e"]
fn when_a_sidecar_dies_its_clients_come_back_and_others_notice_nothing() {
    alone_in_own_cluster(async |ground, _control| {
        let shop = Namespace::enabled(&ground, "sidecar-killed").await?;
        let address = orders::served(&shop, 2).await?;
        let mut pods = shop.pods("orders").await?;
        let (victim, other) = (pods.remove(0), pods.remove(0));
        let mut hit = Client::connect_soon(&format!("{}:8800", sidecars::ip(&victim)?), "/ws/acme").await?;
        let mut spared = Client::connect_soon(&format!("{}:8800", sidecars::ip(&other)?), "/ws/acme").await?;
        sidecars::kill(&victim, "moorline").await?;
        ensure!(hit.closed().await.is_err(), "no close frame comes from a process that was killed");
        let mut again = Client::connect_soon(&address, "/ws/acme").await?;
        ensure!(again.ask("get", &json!({"id": 7})).await?["status"] == 200);
        ensure!(spared.ask("get", &json!({"id": 7})).await?["status"] == 200);
        // The kubelet starts it again, with its document, and the app beside it was never touched.
        let mut back = Client::connect_soon(&format!("{}:8800", sidecars::ip(&victim)?), "/ws/acme").await?;
        ensure!(orders::mark(&mut back).await? == "first");
        let pods = shop.pods("orders").await?;
        let same = pods.iter().find(|pod| sidecars::name(pod) == sidecars::name(&victim));
        let app = same.and_then(|pod| sidecars::container(pod, "app"));
        ensure!(app.is_some_and(|app| app.restart_count == 0), "{app:?}");
        shop.delete().await
    });
}

#[test]
#[ignore = "needs a cluster: make e2e"]
fn traffic_and_restarts_of_containers_go_on_without_operator_and_api_server() {
    alone_in_own_cluster(async |ground, control| -> Result<()> {
        let shop = Namespace::enabled(&ground, "outage").await?;
        let address = orders::served(&shop, 2).await?;
        let pod = shop.pods("orders").await?.remove(0);
        let direct = format!("{}:8800", sidecars::ip(&pod)?);
        let load = Load::start(&address, "/ws/acme", 20, Duration::from_millis(100)).await?;
        ground.installation.scale(0).await?;
        control.stop("kube-apiserver")?;

        // A sidecar that starts again now serves the last document.
        sidecars::kill(&pod, "moorline").await?;
        let mut client = Client::connect_soon(&direct, "/ws/acme").await?;
        ensure!(orders::mark(&mut client).await? == "first");
        let sent = load.tally.answered.load(Ordering::Relaxed);
        wait::until(
            "traffic goes on",
            || async { Ok(load.tally.answered.load(Ordering::Relaxed)) },
            |answered| *answered > sent + 200,
        )
        .await?;

        control.start("kube-apiserver")?;
        wait::until("the API server", || shop.pods("orders"), |pods| pods.len() == 2).await?;
        ground.installation.scale(2).await?;
        // The same clients, some of whom were on the sidecar that was killed; all others stayed.
        let tally = load.stop().await?;
        ensure!(tally.codes().is_empty(), "{tally:?}");
        ensure!(tally.broken.lock().len() <= 20, "{tally:?}");
        shop.apply(&orders::route("orders", "orders", "/ws", "after")).await?;
        shop.condition("orders", "Programmed", "True").await?;
        ensure!(orders::mark(&mut client).await? == "after", "the connection outlived all of it");
        shop.delete().await
    });
}

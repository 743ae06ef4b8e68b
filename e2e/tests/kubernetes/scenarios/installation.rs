//! The chart: installed, upgraded, tested by itself, uninstalled.

use anyhow::{Result, ensure};
use serde_json::json;

use crate::support::client::Client;
use crate::support::command::run;
use crate::support::ground::{alone, alongside, repository};
use crate::support::install::{CHART, Installation, NAMESPACE, RELEASE, values};
use crate::support::namespace::Namespace;
use crate::support::orders;

/// What the older CRD of a scenario lacks.
const ADDRESS_COLUMN: &str =
    "    - jsonPath: .status.address\n      name: Address\n      priority: 1\n      type: string\n";

/// What somebody has to type next.
const NEXT: [&str; 3] = ["kubectl label namespace", "moorline.dev/inject=enabled", "kubectl get wsr"];

#[test]
#[ignore = "needs a cluster: make e2e"]
fn the_chart_installs_from_nothing_says_what_comes_next_and_passes_its_own_test() {
    alone(async |ground| {
        let notes = &ground.installation.notes;
        // On a cluster of somebody's it may have been there before.
        let parts = if notes.contains("is upgraded") { &[][..] } else { &NEXT };
        for part in parts {
            ensure!(notes.contains(part), "the notes do not say {part}:\n{notes}");
        }
        run("helm", &["test", RELEASE, "--namespace", NAMESPACE, "--timeout", "3m"]).await.map(drop)
    });
}

#[test]
#[ignore = "needs a cluster: make e2e"]
fn what_the_chart_renders_under_every_set_of_values_is_accepted_by_the_api_server() {
    alongside(async |_ground| run("hack/chart.sh", &["--server"]).await.map(drop));
}

#[test]
#[ignore = "needs a cluster: make e2e"]
fn an_upgrade_keeps_routes_and_sockets_and_brings_the_new_crd() {
    alone(async |ground| {
        let shop = Namespace::enabled(&ground, "upgrade").await?;
        let address = orders::served(&shop, 1).await?;
        let mut client = Client::connect_soon(&address, "/ws/acme").await?;
        // An older chart: its version, and a CRD that lacks a field.
        let folder = tempfile::tempdir()?;
        let old = folder.path().join("moorline");
        run("cp", &["-r", &repository().join(CHART).to_string_lossy(), &old.to_string_lossy()]).await?;
        let chart = old.join("Chart.yaml");
        let text = std::fs::read_to_string(&chart)?;
        let lines: Vec<String> = text
            .lines()
            .map(|line| if line.starts_with("version:") { "version: 0.0.9".to_owned() } else { line.to_owned() })
            .collect();
        std::fs::write(&chart, lines.join("\n"))?;
        let crd = old.join("files/websocketroutes.moorline.dev.yaml");
        let text = std::fs::read_to_string(&crd)?;
        let less = text.replacen(ADDRESS_COLUMN, "", 1);
        ensure!(less != text, "the CRD has no such column any more: choose another part");
        std::fs::write(&crd, less)?;
        let columns = async || {
            let path = "jsonpath={.spec.versions[0].additionalPrinterColumns[*].name}";
            run("kubectl", &["get", "crd", "websocketroutes.moorline.dev", "-o", path]).await
        };
        let install = |chart: String| async move {
            let arguments =
                ["upgrade", RELEASE, &chart, "-n", NAMESPACE, "--values", &values(), "--wait", "--timeout", "3m"];
            run("helm", &arguments).await
        };
        install(old.to_string_lossy().into_owned()).await?;
        ensure!(!columns().await?.contains("Address"), "the older CRD is there");
        install(CHART.to_owned()).await?;
        ensure!(columns().await?.contains("Address"), "the upgrade brings the newer CRD");
        ground.installation.working().await?;
        ensure!(orders::mark(&mut client).await? == "first", "the socket outlived two upgrades");
        shop.apply(&orders::route("orders", "orders", "/ws", "after")).await?;
        shop.condition("orders", "Programmed", "True").await?;
        ensure!(orders::mark(&mut client).await? == "after");
        shop.delete().await
    });
}

#[test]
#[ignore = "needs a cluster: make e2e"]
fn an_uninstall_leaves_apps_routes_and_sockets_and_a_new_install_takes_them_over() {
    alone(async |ground| -> Result<()> {
        let shop = Namespace::enabled(&ground, "uninstall").await?;
        let address = orders::served(&shop, 1).await?;
        let mut client = Client::connect_soon(&address, "/ws/acme").await?;
        run("helm", &["uninstall", RELEASE, "-n", NAMESPACE, "--wait", "--timeout", "2m"]).await?;

        ensure!(client.ask("get", &json!({"id": 7})).await?["status"] == 200, "the connection lives on");
        ensure!(shop.route("orders").await?.metadata.deletion_timestamp.is_none(), "the route is kept, and the CRD");
        // Nothing of ours stands in the way of a new pod.
        run("kubectl", &["rollout", "restart", "deployment/orders", "-n", &shop.name]).await?;
        shop.rolled_out("orders").await?;

        Installation::install(&ground.client).await?;
        shop.condition("orders", "Programmed", "True").await?;
        let mut client = Client::connect_soon(&shop.address("orders-ws").await?, "/ws/acme").await?;
        ensure!(orders::mark(&mut client).await? == "first");
        shop.delete().await
    });
}

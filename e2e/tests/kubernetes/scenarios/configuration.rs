//! Routes that change, break and collide while clients are connected.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use moorline_crds::WebSocketRoute;
use serde_json::json;

use crate::support::client::Client;
use crate::support::ground::alongside;
use crate::support::namespace::{Namespace, has_condition};
use crate::support::{figures, orders, sidecars, wait};

/// How many changes are timed.
const CHANGES: usize = 100;

#[test]
#[ignore = "needs a cluster: make e2e"]
fn a_changed_route_is_live_in_every_sidecar_soon_and_closes_no_socket() {
    alongside(async |ground| {
        let shop = Namespace::enabled(&ground, "reload").await?;
        orders::served(&shop, 3).await?;
        let mut clients = Vec::new();
        for pod in shop.pods("orders").await? {
            clients.push(Client::connect_soon(&format!("{}:8800", sidecars::ip(&pod)?), "/ws/acme").await?);
        }
        ensure!(clients.len() == 3);

        let routes: Api<WebSocketRoute> = shop.api();
        let (mut live, mut told) = (Vec::new(), Vec::new());
        for change in 0..CHANGES {
            let mark = format!("change-{change}");
            // A list of a custom resource is replaced as a whole, so the other entries are named again.
            let mut route = routes.get("orders").await?;
            for entry in &mut route.spec.routes {
                if entry.key == "mark" {
                    let reply = entry.reply.get_or_insert_default();
                    reply.body = Some(json!({"id": "${request.body.requestId}", "mark": mark}));
                }
            }
            route.metadata.managed_fields = None;
            let start = Instant::now();
            routes.replace("orders", &kube::api::PostParams::default(), &route).await?;
            for client in &mut clients {
                while orders::mark(client).await? != mark {
                    ensure!(start.elapsed() < wait::LONG, "{mark} is not live");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
            live.push(start.elapsed());
            shop.condition("orders", "Programmed", "True").await?;
            told.push(start.elapsed());
        }
        figures::tell(&figures::spread("a change of a route live in 3 of 3 sidecars", live));
        figures::tell(&figures::spread("the same change reported as Programmed", told));
        // The same sockets all along.
        for client in &mut clients {
            ensure!(client.ask("get", &json!({"id": 7})).await?["status"] == 200);
        }
        shop.delete().await
    });
}

#[test]
#[ignore = "needs a cluster: make e2e"]
fn a_broken_route_says_why_and_the_one_before_keeps_serving() {
    alongside(async |ground| {
        let shop = Namespace::enabled(&ground, "broken").await?;
        let address = orders::served(&shop, 1).await?;
        let mut client = Client::connect_soon(&address, "/ws/acme").await?;
        let served = shop.route("orders").await?.metadata.generation;

        let routes: Api<WebSocketRoute> = shop.api();
        let broken = json!({"spec": {"routeSelectionExpression": "${request.body.action"}});
        routes.patch("orders", &PatchParams::default(), &Patch::Merge(broken)).await?;
        let message = shop.reason("orders", "Accepted", "False", "Invalid").await?;
        ensure!(message.contains("routeSelectionExpression"), "names the field: {message}");
        ensure!(
            message.contains(&format!("generation {}", served.unwrap_or_default())),
            "names what is served: {message}"
        );
        ensure!(orders::mark(&mut client).await? == "first", "the old one serves open connections");
        let mut new = Client::connect(&address, "/ws/acme").await?;
        ensure!(orders::mark(&mut new).await? == "first", "and new ones");

        let repaired = json!({"spec": {"routeSelectionExpression": "${request.body.action}"}});
        routes.patch("orders", &PatchParams::default(), &Patch::Merge(repaired)).await?;
        shop.apply(&orders::route("orders", "orders", "/ws", "repaired")).await?;
        shop.condition("orders", "Programmed", "True").await?;
        ensure!(orders::mark(&mut client).await? == "repaired", "on the same connection");
        shop.delete().await
    });
}

#[test]
#[ignore = "needs a cluster: make e2e"]
fn the_older_of_two_routes_wins_and_the_other_takes_over_when_it_goes() {
    alongside(async |ground| {
        let shop = Namespace::enabled(&ground, "conflict").await?;
        let address = orders::served(&shop, 1).await?;
        // Creation times have seconds.
        tokio::time::sleep(Duration::from_millis(1100)).await;
        shop.apply(&orders::route("another", "orders", "/ws", "second")).await?;
        let message = shop.reason("another", "Accepted", "False", "Conflict").await?;
        ensure!(message.contains("orders"), "names the winner: {message}");
        let mut client = Client::connect_soon(&address, "/ws/acme").await?;
        ensure!(orders::mark(&mut client).await? == "first");

        shop.api::<WebSocketRoute>().delete("orders", &DeleteParams::default()).await?;
        ensure!(client.closed().await? == 1001, "a route that is gone closes its connections with 1001");
        shop.condition("another", "Programmed", "True").await?;
        let mut client = Client::connect_soon(&address, "/ws/acme").await?;
        ensure!(orders::mark(&mut client).await? == "second");
        shop.delete().await
    });
}

#[test]
#[ignore = "needs a cluster: make e2e"]
fn the_last_route_goes_with_its_connections_and_without_a_trace() {
    alongside(async |ground| -> Result<()> {
        let shop = Namespace::enabled(&ground, "last").await?;
        let address = orders::served(&shop, 1).await?;
        let mut client = Client::connect_soon(&address, "/ws/acme").await?;
        shop.api::<WebSocketRoute>().delete("orders", &DeleteParams::default()).await?;
        ensure!(client.closed().await? == 1001);
        let services: Api<k8s_openapi::api::core::v1::Service> = shop.api();
        let maps: Api<k8s_openapi::api::core::v1::ConfigMap> = shop.api();
        wait::until("no orders-ws", || async { Ok(services.get_opt("orders-ws").await?) }, Option::is_none).await?;
        wait::until("no orders-moorline", || async { Ok(maps.get_opt("orders-moorline").await?) }, Option::is_none)
            .await?;
        // The app is where it was.
        ensure!(sidecars::get(&shop.address("orders").await?, "/orders/7").await?.0 == 200);
        shop.delete().await
    });
}

#[test]
#[ignore = "needs a cluster: make e2e"]
fn references_that_lead_nowhere_and_names_that_are_taken_are_said() {
    alongside(async |ground| {
        let shop = Namespace::enabled(&ground, "refs").await?;
        shop.apply(&orders::route("lost", "nowhere", "/a", "x")).await?;
        shop.reason("lost", "ResolvedRefs", "False", "ServiceNotFound").await?;

        shop.apply(&orders::deployment("orders", 1)).await?;
        let wrong = orders::route("port", "orders", "/b", "x").replace("port: http", "port: grpc");
        shop.apply(&wrong).await?;
        let message = shop.reason("port", "ResolvedRefs", "False", "PortNotFound").await?;
        ensure!(message.contains("http"), "names the ports there are: {message}");

        // A Service of the user's has the name of a child.
        shop.apply(&orders::service("taken")).await?;
        shop.apply(&orders::service("taken-ws")).await?;
        shop.apply(&orders::route("taken", "taken", "/c", "x")).await?;
        let message = shop.reason("taken", "Accepted", "False", "NameTaken").await?;
        ensure!(message.contains("taken-ws"), "{message}");
        let services: Api<k8s_openapi::api::core::v1::Service> = shop.api();
        let theirs = services.get("taken-ws").await?.spec.unwrap_or_default();
        ensure!(theirs.selector.is_some_and(|selector| !selector.contains_key("moorline.dev/injected")), "left alone");

        // A status is written once for each change, not again and again.
        let version = |route: &WebSocketRoute| route.metadata.resource_version.clone();
        let first = shop.route("port").await?;
        shop.apply(&orders::route("other", "nowhere", "/d", "x")).await?;
        shop.reason("other", "ResolvedRefs", "False", "ServiceNotFound").await?;
        ensure!(version(&first) == version(&shop.route("port").await?));
        ensure!(!has_condition(&first, "Programmed", "True", None));
        shop.delete().await
    });
}

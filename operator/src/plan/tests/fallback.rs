//! Refused routes: what goes on being served of them, and who has a host and path.

use std::sync::Arc;

use crate::plan::plan;
use crate::plan::testing::*;
use crate::view::{LiveDocument, Neighbour, ServiceView};
use moorline_crds::compile::compile;
use moorline_crds::document::{Failover, ServiceId};
use moorline_crds::v1alpha1::WebSocketRoute;
use serde_json::json;

/// Another Service of the namespace with these routes, stored as they are.
fn neighbour(name: &str, routes: Vec<WebSocketRoute>) -> Neighbour {
    let id = ServiceId { namespace: "shop".to_owned(), name: name.to_owned() };
    let routes: Vec<WebSocketRoute> = routes
        .into_iter()
        .map(|mut route| {
            route.spec.service_ref.name = name.to_owned();
            route
        })
        .collect();
    let backend = moorline_crds::compile::Backend::at("127.0.0.1:1");
    let document = compile(&id, &routes, &|_| Ok(backend.clone())).document;
    let live = LiveDocument { hash: document.hash(), document: Some(Arc::new(document)) };
    Neighbour { id, routes: routes.into_iter().map(Arc::new).collect(), live: Some(live) }
}

#[test]
fn a_broken_route_goes_on_being_served_as_it_was_and_the_others_are_not_touched() {
    let mut world = World::settled(vec![route("a", 1, "/a"), route("b", 2, "/b")]);
    world.replace(broken(world.route("a")));
    world.settle();
    assert_eq!(world.served(), ["a@1 /a", "b@1 /b"]);
    assert_eq!(world.status("a").served_generation, Some(1));
    assert_eq!(world.status("a").observed_generation, Some(2));
    let accepted = world.says("a", "Accepted");
    assert!(accepted.starts_with("False Invalid: spec.routeSelectionExpression: "), "{accepted}");
    assert!(accepted.ends_with("; generation 1 goes on being served"), "{accepted}");
    assert_eq!(
        world.says("a", "Programmed"),
        "False NotAccepted: generation 2 is refused, see the condition Accepted; the sidecars go on serving generation 1"
    );
    assert_eq!(world.condition("b", "Accepted").observed_generation, Some(1));
}

#[test]
fn a_broken_route_goes_on_being_served_after_the_operator_restarted() {
    let mut world = World::settled(vec![route("a", 1, "/a")]);
    world.replace(broken(world.route("a")));
    world.settle();
    // A new process knows what the API server has, and no more.
    world.view.written.clear();
    world.view.pods.iter_mut().for_each(|pod| (pod.report, pod.nudged) = (None, None));
    let first = plan(&world.view);
    assert!(is_empty(&first), "{first:#?}");
    world.settle();
    assert_eq!(world.served(), ["a@1 /a"]);
}

#[test]
fn a_route_that_was_repaired_is_served_in_its_newest_generation() {
    let mut world = World::settled(vec![route("a", 1, "/a")]);
    let good = world.route("a").clone();
    world.replace(broken(&good));
    world.settle();
    let repaired = edited(&edited(&good, |_| {}), |route| route.status = world.status("a").clone().into());
    world.replace(repaired);
    world.settle();
    assert_eq!(world.served(), ["a@3 /a"]);
    assert_eq!(world.status("a").served_generation, None);
    assert_eq!(world.says("a", "Accepted"), "True Accepted: the route is valid");
}

#[test]
fn a_route_that_never_compiled_is_not_served_and_says_what_is_wrong() {
    let mut world = World::settled(vec![
        route("a", 1, "/a"),
        route_with("b", 2, "no-slash", &json!({"hosts": ["-"], "subprotocols": ["a b", "c d", "e f"]})),
    ]);
    assert_eq!(world.served(), ["a@1 /a"]);
    let accepted = world.says("b", "Accepted");
    assert!(accepted.contains("spec.path: \"no-slash\": starts with exactly one `/`"), "{accepted}");
    assert!(accepted.contains("spec.hosts[0]: ") && accepted.contains(" (and 2 more)"), "{accepted}");
    assert_eq!(world.says("b", "Programmed"), "False NotAccepted: generation 1 is refused, see the condition Accepted");
    assert_eq!((world.status("b").served_generation, &world.status("b").address), (None, &None));
    world.delete("a");
    world.settle();
    assert!(world.view.live.is_none());
}

#[test]
fn of_two_routes_for_one_path_the_older_is_served_and_the_younger_takes_over_when_it_goes() {
    let mut world = World::settled(vec![route("young", 2, "/x/{b}"), route("old", 1, "/x/{a}")]);
    assert_eq!(world.served(), ["old@1 /x/{a}"]);
    assert_eq!(
        world.says("young", "Accepted"),
        "False Conflict: the older route shop/old has path /x/{b}; this route takes over when that one goes"
    );
    world.delete("old");
    world.settle();
    assert_eq!(world.served(), ["young@1 /x/{b}"]);
    assert_eq!(world.says("young", "Programmed"), "True Programmed: all sidecars serve generation 1");
}

#[test]
fn of_two_routes_of_one_age_the_first_name_is_served() {
    let world = World::settled(vec![route("b", 1, "/x"), route("a", 1, "/x")]);
    assert_eq!(world.served(), ["a@1 /x"]);
}

#[test]
fn routes_for_different_hosts_share_a_path_and_equal_hosts_conflict_in_any_case() {
    let on = |name: &str, created: i64, hosts: &[&str]| route_with(name, created, "/x", &json!({ "hosts": hosts }));
    let world = World::settled(vec![
        on("one", 1, &["a.example.com"]),
        on("two", 2, &["b.example.com", "*.example.com"]),
        on("three", 3, &["c.example.com", "A.example.com"]),
    ]);
    assert_eq!(world.served(), ["one@1 /x", "two@1 /x"]);
    assert_eq!(
        world.says("three", "Accepted"),
        "False Conflict: the older route shop/one has path /x on a host of c.example.com, A.example.com; this route takes over when that one goes"
    );
}

#[test]
fn a_route_that_moves_onto_an_older_ones_path_goes_on_being_served_where_it_was() {
    let mut world = World::settled(vec![route("old", 1, "/x"), route("young", 2, "/y")]);
    world.replace(edited(world.route("young"), |route| route.spec.path = "/x".to_owned()));
    world.settle();
    assert_eq!(world.served(), ["old@1 /x", "young@1 /y"]);
    assert_eq!(world.status("young").served_generation, Some(1));
    assert_eq!(world.status("young").address.as_deref(), Some("ws://orders-ws.shop.svc/y"));
}

#[test]
fn an_older_route_that_moves_onto_a_younger_ones_path_takes_it() {
    let mut world = World::settled(vec![route("old", 1, "/x"), route("young", 2, "/y")]);
    world.replace(edited(world.route("old"), |route| route.spec.path = "/y".to_owned()));
    world.settle();
    assert_eq!(world.served(), ["old@2 /y"]);
    assert!(world.says("young", "Accepted").starts_with("False Conflict: the older route shop/old has path /y"));
}

#[test]
fn what_goes_on_being_served_of_a_broken_route_keeps_its_path_against_younger_ones() {
    let mut world = World::settled(vec![route("old", 1, "/x")]);
    world.replace(broken(world.route("old")));
    world.view.routes.push(Arc::new(route("young", 2, "/x")));
    world.settle();
    assert_eq!(world.served(), ["old@1 /x"]);
    assert!(world.says("young", "Accepted").starts_with("False Conflict: "));
}

#[test]
fn a_broken_route_loses_what_was_served_of_it_to_an_older_one() {
    let mut world = World::settled(vec![route("old", 1, "/x"), route("young", 2, "/y")]);
    world.replace(broken(world.route("young")));
    world.replace(edited(world.route("old"), |route| route.spec.path = "/y".to_owned()));
    world.settle();
    assert_eq!(world.served(), ["old@2 /y"]);
    assert_eq!((world.status("young").served_generation, &world.status("young").address), (None, &None));
}

#[test]
fn the_older_route_of_a_service_that_shares_pods_wins() {
    let mut world = World::new(vec![route("young", 2, "/x")]);
    world.view.neighbours = vec![neighbour("users", vec![route("old", 1, "/x")])];
    world.settle();
    assert_eq!(world.served(), [""; 0]);
    assert!(world.says("young", "Accepted").starts_with("False Conflict: the older route shop/old has path /x"));
    world.view.neighbours.clear();
    world.settle();
    assert_eq!(world.served(), ["young@1 /x"]);
}

#[test]
fn the_younger_route_of_a_service_that_shares_pods_changes_nothing() {
    let mut world = World::new(vec![route("old", 1, "/x")]);
    world.view.neighbours = vec![neighbour("users", vec![route("young", 2, "/x")])];
    world.settle();
    assert_eq!(world.served(), ["old@1 /x"]);
}

#[test]
fn a_neighbours_broken_route_holds_what_it_goes_on_serving() {
    let mut world = World::new(vec![route("young", 2, "/x")]);
    let mut users = neighbour("users", vec![route("old", 1, "/x")]);
    users.routes = vec![broken(&users.routes[0])];
    world.view.neighbours = vec![users.clone()];
    world.settle();
    assert!(world.says("young", "Accepted").starts_with("False Conflict: the older route shop/old"));
    // One that never was served holds nothing.
    world.view.neighbours = vec![Neighbour { live: None, ..users }];
    world.settle();
    assert_eq!(world.served(), ["young@1 /x"]);
}

#[test]
fn both_services_of_a_conflict_name_the_same_winner() {
    let [old, young] = [route("old", 1, "/x"), route("young", 2, "/x")];
    let mut ours = World::new(vec![old.clone()]);
    ours.view.neighbours = vec![neighbour("users", vec![young.clone()])];
    let mut theirs = World::new(vec![young]);
    theirs.view.neighbours = vec![neighbour("users", vec![old])];
    ours.settle();
    theirs.settle();
    assert_eq!((ours.served().len(), theirs.served().len()), (1, 0));
}

#[test]
fn a_lost_port_leaves_what_is_served_and_names_the_ports_there_are() {
    let mut world = World::settled(vec![route("a", 1, "/a")]);
    world.view.service.as_mut().unwrap().ports[0].name = Some("web".to_owned());
    world.settle();
    assert_eq!(world.served(), ["a@1 /a"]);
    assert_eq!(world.says("a", "Accepted"), "True Accepted: the route is valid");
    assert_eq!(
        world.says("a", "ResolvedRefs"),
        "False PortNotFound: Service shop/orders has no port http; it has 80 (web); generation 1 goes on being served"
    );
    assert_eq!(
        world.says("a", "Programmed"),
        "False RefsNotResolved: spec.serviceRef leads to no app, see the condition ResolvedRefs; the sidecars go on serving generation 1"
    );
}

#[test]
fn the_app_behind_a_port_that_moved_is_followed_without_a_new_generation() {
    let mut world = World::settled(vec![route("a", 1, "/a")]);
    let entry = |view: &ServiceView| view.live.as_ref().unwrap().document.as_ref().unwrap().routes[0].clone();
    assert_eq!(entry(&world.view).upstream, "127.0.0.1:3000");
    assert_eq!(entry(&world.view).failover, Some(Failover::Address("orders.shop.svc:80".to_owned())));
    world.view.service = Some(crate::view::ServiceFacts {
        ports: vec![port(
            Some("http"),
            8080,
            k8s_openapi::apimachinery::pkg::util::intstr::IntOrString::String("web".to_owned()),
        )],
        ..service()
    });
    world.settle();
    assert_eq!(entry(&world.view).upstream, "127.0.0.1:web");
    assert_eq!(entry(&world.view).failover, Some(Failover::Address("orders.shop.svc:8080".to_owned())));
    assert_eq!(world.served(), ["a@1 /a"]);
}

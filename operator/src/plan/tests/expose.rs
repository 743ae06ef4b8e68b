//! The way in from outside.

use std::sync::Arc;

use crate::plan::testing::*;
use crate::plan::{exposed_hosts, plan};
use crate::view::{ChildFacts, ChildKind, ChildRef};
use moorline_crds::v1alpha1::WebSocketRoute;
use serde_json::{Value, json};

fn exposed(name: &str, created: i64, path: &str, host: &str, expose: &Value) -> WebSocketRoute {
    route_with(name, created, path, &json!({ "hosts": [host], "expose": expose }))
}

/// A route of another Service in another namespace.
fn elsewhere(route: WebSocketRoute) -> Arc<WebSocketRoute> {
    let mut route = route;
    route.metadata.namespace = Some("other".to_owned());
    route.spec.service_ref.name = "users".to_owned();
    Arc::new(route)
}

fn object(world: &World, kind: ChildKind) -> Value {
    let plan = plan(&world.view);
    plan.apply.into_iter().find(|apply| apply.child.kind == kind).expect("is applied").object
}

fn at_child(kind: ChildKind, name: &str) -> ChildRef {
    ChildRef { kind, name: name.to_owned() }
}

#[test]
fn an_ingress_leads_to_the_service_for_clients_with_class_certificate_and_annotations() {
    let expose = json!({"ingress": {"className": "nginx", "tlsSecretName": "cert", "annotations": {"a": "b"}}});
    let mut world = World::new(vec![exposed("a", 1, "/ws/{tenant}/x", "Shop.example.com", &expose)]);
    let object = object(&world, ChildKind::Ingress);
    assert_eq!(object["apiVersion"], "networking.k8s.io/v1");
    assert_eq!((&object["metadata"]["name"], &object["metadata"]["annotations"]["a"]), (&json!("a-ws"), &json!("b")));
    let backend = json!({"service": {"name": "orders-ws", "port": {"number": 80}}});
    assert_eq!(
        object["spec"],
        json!({
            "ingressClassName": "nginx",
            "tls": [{"hosts": ["shop.example.com"], "secretName": "cert"}],
            "rules": [{"host": "shop.example.com", "http": {"paths": [{"path": "/ws", "pathType": "Prefix", "backend": backend}]}}],
        })
    );
    world.settle();
    assert_eq!(world.says("a", "Exposed"), "True Exposed: Ingress a-ws is in place");
    assert_eq!(world.status("a").address.as_deref(), Some("wss://shop.example.com/ws/{tenant}/x"));
}

#[test]
fn an_http_route_names_its_gateway_and_the_exact_path() {
    let expose = json!({"gateway": {"name": "public", "namespace": "infra", "sectionName": "web"}});
    let mut world = World::new(vec![exposed("a", 1, "/ws", "*.shop.example.com", &expose)]);
    let object = object(&world, ChildKind::HttpRoute);
    assert_eq!((&object["apiVersion"], &object["kind"]), (&json!("gateway.networking.k8s.io/v1"), &json!("HTTPRoute")));
    assert_eq!(
        object["spec"],
        json!({
            "parentRefs": [{"name": "public", "namespace": "infra", "sectionName": "web"}],
            "hostnames": ["*.shop.example.com"],
            "rules": [{
                "matches": [{"path": {"type": "Exact", "value": "/ws"}}],
                "backendRefs": [{"name": "orders-ws", "port": 80}],
            }],
        })
    );
    world.settle();
    assert_eq!(world.status("a").address.as_deref(), Some("ws://*.shop.example.com/ws"));
}

#[test]
fn a_path_that_starts_with_a_capture_takes_the_whole_host() {
    let world = World::new(vec![exposed("a", 1, "/{tenant}", "a.example.com", &json!({"ingress": {}}))]);
    let object = object(&world, ChildKind::Ingress);
    let path = &object["spec"]["rules"][0]["http"]["paths"][0];
    assert_eq!((&path["path"], &path["pathType"]), (&json!("/"), &json!("Prefix")));
}

#[test]
fn a_route_without_expose_has_no_condition_about_it() {
    let world = World::settled(vec![route("a", 1, "/a")]);
    assert!(world.status("a").conditions.iter().all(|condition| condition.type_ != "Exposed"));
    assert!(exposed_hosts(world.route("a")).is_empty());
}

/// Each row: what is changed in the world, and what the condition says.
#[test]
fn a_route_that_cannot_be_exposed_says_why_and_is_served_inside_all_the_same() {
    type Change = fn(&mut World);
    let rows: [(Change, &str); 4] = [
        (
            |world| Arc::make_mut(&mut world.view.settings).expose_hosts.clear(),
            "False ExposeDisabled: spec.expose is switched off in this cluster; its admin allows hosts with the chart value expose.hosts",
        ),
        (
            |world| {
                let allowed = moorline_crds::pattern::HostPattern::parse("*.elsewhere.org").unwrap();
                Arc::make_mut(&mut world.view.settings).expose_hosts = vec![allowed];
            },
            "False HostNotAllowed: a.example.com is not among the hosts that the admin allows: *.elsewhere.org",
        ),
        (
            |world| Arc::make_mut(&mut world.view.settings).has_ingress = false,
            "False APIMissing: the cluster has no Ingress (networking.k8s.io/v1)",
        ),
        (
            |world| {
                let old = exposed("old", 0, "/ws", "A.example.com", &json!({"ingress": {}}));
                world.view.exposed_neighbours = vec![elsewhere(old)];
            },
            "False Conflict: the older route other/old exposes a.example.com/ws; this route takes over when that one goes",
        ),
    ];
    for (change, says) in rows {
        let mut world = World::settled(vec![exposed("a", 1, "/ws", "a.example.com", &json!({"ingress": {}}))]);
        change(&mut world);
        world.settle();
        assert_eq!(world.says("a", "Exposed"), says);
        assert_eq!(world.says("a", "Accepted"), "True Accepted: the route is valid");
        assert_eq!(world.status("a").address.as_deref(), Some("ws://orders-ws.shop.svc/ws"));
        assert!(!world.view.children.contains_key(&at_child(ChildKind::Ingress, "a-ws")), "{says}");
    }
}

#[test]
fn a_foreign_ingress_is_not_taken_over() {
    let mut world = World::new(vec![exposed("a", 1, "/ws", "a.example.com", &json!({"ingress": {}}))]);
    world.view.children.insert(at_child(ChildKind::Ingress, "a-ws"), ChildFacts::Foreign);
    world.carry_out(&plan(&world.view));
    assert_eq!(
        world.says("a", "Exposed"),
        "False NameTaken: Ingress a-ws is there already, and Moorline neither made it nor touches it"
    );
    assert_eq!(world.served(), ["a@1 /ws"]);
}

#[test]
fn of_two_services_the_oldest_exposes_a_host_and_path_and_a_loser_holds_nobody_back() {
    let expose = || json!({"ingress": {}});
    let mut world = World::new(vec![exposed("c", 3, "/b/{x}", "a.example.com", &expose())]);
    // Outside, `/b/{y}` and `/b/{x}` are both `/b`; the oldest takes `/a` and `b` loses it, and with it all it wants.
    let mut b = exposed("b", 2, "/b/{y}", "a.example.com", &expose());
    b.spec.hosts.push("b.example.com".to_owned());
    let mut a = exposed("a", 1, "/b/{z}", "b.example.com", &expose());
    a.spec.service_ref.name = "another".to_owned();
    a.metadata.namespace = Some("third".to_owned());
    world.view.exposed_neighbours = vec![elsewhere(b), Arc::new(a)];
    world.settle();
    assert_eq!(world.says("c", "Exposed"), "True Exposed: Ingress c-ws is in place");
}

#[test]
fn a_neighbour_that_may_not_be_exposed_holds_nobody_back() {
    let mut world = World::new(vec![exposed("a", 2, "/ws", "a.example.com", &json!({"ingress": {}}))]);
    let mut other = exposed("old", 1, "/ws", "a.example.com", &json!({"ingress": {}}));
    other.spec.hosts.push("elsewhere.org".to_owned());
    world.view.exposed_neighbours = vec![elsewhere(other)];
    world.settle();
    assert!(world.says("a", "Exposed").starts_with("True "));
}

#[test]
fn routes_of_one_service_share_a_prefix() {
    let world = World::settled(vec![
        exposed("a", 1, "/ws/{x}/a", "a.example.com", &json!({"ingress": {}})),
        exposed("b", 2, "/ws/{x}/b", "a.example.com", &json!({"ingress": {}})),
    ]);
    assert!(world.says("b", "Exposed").starts_with("True "));
}

#[test]
fn what_is_exposed_no_more_is_removed() {
    let mut world = World::settled(vec![exposed("a", 1, "/ws", "a.example.com", &json!({"ingress": {}}))]);
    let gateway = json!({"gateway": {"name": "public"}});
    world.replace(edited(world.route("a"), |route| route.spec.expose = serde_json::from_value(gateway).unwrap()));
    world.settle();
    assert!(!world.view.children.contains_key(&at_child(ChildKind::Ingress, "a-ws")));
    assert!(world.view.children.contains_key(&at_child(ChildKind::HttpRoute, "a-ws")));
    world.replace(edited(world.route("a"), |route| route.spec.expose = None));
    world.settle();
    assert_eq!(world.view.children.len(), 3);
    assert!(world.status("a").conditions.iter().all(|condition| condition.type_ != "Exposed"));
}

#[test]
fn a_route_whose_edit_is_refused_stays_exposed_as_it_was() {
    let mut world = World::settled(vec![exposed("a", 1, "/ws", "a.example.com", &json!({"ingress": {}}))]);
    world.replace(broken(world.route("a")));
    world.settle();
    assert!(world.view.children.contains_key(&at_child(ChildKind::Ingress, "a-ws")));
    assert_eq!(
        world.says("a", "Exposed"),
        "False NotAccepted: the newest spec is not served, see the conditions Accepted and ResolvedRefs"
    );
    world.delete("a");
    world.settle();
    assert!(world.view.children.is_empty());
}

#[test]
fn hosts_are_found_in_any_case() {
    let route = exposed("a", 1, "/ws", "Shop.Example.com", &json!({"ingress": {}}));
    assert_eq!(exposed_hosts(&route), ["shop.example.com"]);
}

#[test]
fn an_object_that_the_api_server_refuses_is_said_and_tried_again_and_the_old_one_stays() {
    let mut world = World::settled(vec![exposed("a", 1, "/ws", "a.example.com", &json!({"ingress": {}}))]);
    world.replace(edited(world.route("a"), |route| route.spec.path = "/b".to_owned()));
    world.view.apply_errors.insert(at_child(ChildKind::Ingress, "a-ws"), "denied".to_owned());
    let plan = plan(&world.view);
    assert_eq!((plan.apply.len(), plan.delete.len()), (1, 0));
    let said = plan.statuses[0].status.conditions.iter().find(|condition| condition.type_ == "Exposed").unwrap();
    assert_eq!(
        (said.reason.as_str(), said.message.as_str()),
        ("ApplyFailed", "the API server refuses Ingress a-ws: denied")
    );
}

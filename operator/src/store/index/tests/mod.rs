//! The index: who is marked by what, and what a view holds.

#![allow(clippy::unwrap_used, clippy::panic)] // tests fail by panicking

mod children;
mod membership;
mod reports;
mod world;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::time::Instant;

use self::world::World;
use super::*;
use crate::view::Settings;

#[test]
fn a_route_marks_its_service_and_no_other() {
    let mut world = World::default();
    world.service("orders", &[("app", "orders")]).service("users", &[("app", "users")]);
    assert_eq!(world.marked(), Vec::<String>::new(), "nobody names them yet");
    world.route("orders", "orders", "/ws", 1);
    assert_eq!(world.marked(), ["orders"]);
    world.route("users", "users", "/ws", 1);
    assert_eq!(world.marked(), ["users"]);
}

#[test]
fn a_route_marks_the_services_that_share_pods_with_its_own() {
    let mut world = World::default();
    world.service("orders", &[("app", "shop")]).service("users", &[("app", "shop")]).service("else", &[("app", "x")]);
    world.route("a", "orders", "/a", 1).route("b", "users", "/b", 1).route("c", "else", "/c", 1);
    world.marked();
    world.route("a", "orders", "/changed", 2);
    assert_eq!(world.marked(), ["orders", "users"]);
    let neighbours = world.view("orders").neighbours;
    assert_eq!(neighbours.len(), 1);
    assert_eq!(neighbours[0].id.name, "users");
    assert_eq!(neighbours[0].routes[0].spec.path, "/b");
}

#[test]
fn services_share_pods_when_a_pod_is_behind_both_whatever_their_selectors() {
    let mut world = World::default();
    world.service("orders", &[("app", "shop")]).service("users", &[("tier", "web")]);
    world.route("a", "orders", "/a", 1).route("b", "users", "/b", 1);
    assert!(world.view("orders").neighbours.is_empty());
    world.marked();
    world.pod("p", &[("app", "shop"), ("tier", "web")], |_| {});
    assert_eq!(world.marked(), ["orders", "users"]);
    assert_eq!(world.view("users").neighbours[0].id.name, "orders");
}

#[test]
fn a_write_of_the_status_marks_no_neighbour_and_its_echo_nobody() {
    let mut world = World::default();
    world.service("orders", &[("app", "shop")]).service("users", &[("app", "shop")]);
    world.route("a", "orders", "/a", 1).route("b", "users", "/b", 1);
    world.marked();
    let version = world.next_version();
    world.route_at("a", "orders", "/a", 1, version);
    assert_eq!(world.marked(), ["orders"], "somebody may have written a wrong one");
    world.route_at("a", "orders", "/a", 1, version);
    assert_eq!(world.marked(), Vec::<String>::new());
    world.route_at("a", "orders", "/older", 7, version - 1);
    assert_eq!(world.marked(), Vec::<String>::new(), "what was before comes late");
    assert_eq!(world.view("orders").routes[0].spec.path, "/a");
}

#[test]
fn a_route_that_moves_to_another_service_marks_both() {
    let mut world = World::default();
    world.service("orders", &[("app", "o")]).service("users", &[("app", "u")]).route("a", "orders", "/a", 1);
    world.marked();
    world.route("a", "users", "/a", 2);
    assert_eq!(world.marked(), ["orders", "users"]);
    assert!(world.view("orders").routes.is_empty());
    assert_eq!(world.view("users").routes.len(), 1);
}

#[test]
fn a_deleted_route_is_gone_and_a_deletion_of_its_predecessor_is_not_its_own() {
    let mut world = World::default();
    world.service("orders", &[("app", "o")]).route("a", "orders", "/a", 1);
    world.marked();
    let id = RouteId { namespace: "shop".to_owned(), name: "a".to_owned() };
    world.index.remove_route(&id, Version::parse(Some("1")));
    assert_eq!(world.view("orders").routes.len(), 1);
    world.index.remove_route(&id, Version::default());
    assert_eq!(world.marked(), ["orders"]);
    assert!(world.view("orders").routes.is_empty());
}

#[test]
fn a_generation_is_told_once_when_it_was_seen_to_appear() {
    let mut world = World::default();
    world.route("a", "orders", "/a", 1);
    let id = RouteId { namespace: "shop".to_owned(), name: "a".to_owned() };
    assert_eq!(world.index.take_appeared(&id, 1), None, "it was there at the start");
    world.changed_route("a", "orders", "/b", 2);
    assert_eq!(world.index.take_appeared(&id, 1), None, "another generation");
    assert!(world.index.take_appeared(&id, 2).is_some());
    assert_eq!(world.index.take_appeared(&id, 2), None);
}

#[test]
fn opting_a_namespace_in_marks_what_is_in_it() {
    let mut world = World::default();
    world.service("orders", &[("app", "o")]).route("a", "orders", "/a", 1);
    world.marked();
    world.index.put_namespace("other", true);
    assert_eq!(world.marked(), Vec::<String>::new());
    world.index.put_namespace("shop", true);
    assert_eq!(world.marked(), ["orders"]);
    assert!(world.view("orders").namespace_enabled);
    world.index.put_namespace("shop", true);
    assert_eq!(world.marked(), Vec::<String>::new());
    world.index.remove_namespace("shop");
    assert!(!world.view("orders").namespace_enabled);
}

#[test]
fn exposed_routes_of_one_host_know_each_other_across_namespaces() {
    let mut world = World::default();
    world.exposed_route("shop", "a", "orders", "shop.test");
    world.marked();
    world.exposed_route("store", "b", "goods", "shop.test");
    world.exposed_route("store", "c", "goods", "other.test");
    assert_eq!(world.marked(), ["goods", "orders"]);
    let seen = world.view("orders").exposed_neighbours;
    assert_eq!(seen.iter().map(|route| route.metadata.name.as_deref().unwrap()).collect::<Vec<_>>(), ["b"]);
    let id = RouteId { namespace: "store".to_owned(), name: "b".to_owned() };
    world.index.remove_route(&id, Version::default());
    assert_eq!(world.marked(), ["goods", "orders"]);
    assert!(world.view("orders").exposed_neighbours.is_empty());
}

#[test]
fn the_webhook_is_told_of_routed_services_and_the_ports_that_routes_name() {
    let mut world = World::default();
    world.service("orders", &[("app", "shop")]).service("users", &[("app", "shop")]).service("none", &[]);
    world.route("a", "orders", "/a", 1).route("b", "none", "/b", 1);
    let labels = |pairs: &[(&str, &str)]| world::labels(pairs);
    let found = world.index.routed("shop", &labels(&[("app", "shop"), ("more", "x")]));
    assert_eq!(found.len(), 1, "no route names `users`, and `none` selects nothing: {found:?}");
    assert_eq!(found[0].name, "orders");
    assert_eq!(found[0].target_ports, [k8s_openapi::apimachinery::pkg::util::intstr::IntOrString::Int(3000)]);
    assert!(world.index.routed("shop", &labels(&[("app", "else")])).is_empty());
    assert!(world.index.routed("nowhere", &BTreeMap::new()).is_empty());
}

#[test]
fn a_service_that_comes_after_its_route_finds_its_pods() {
    let mut world = World::default();
    world.pod("p", &[("app", "orders")], |_| {});
    world.route("a", "orders", "/a", 1);
    assert!(world.view("orders").service.is_none());
    world.marked();
    world.service("orders", &[("app", "orders")]);
    assert_eq!(world.marked(), ["orders"]);
    assert_eq!(world.view("orders").pods.len(), 1);
    world.index.remove_service("shop", "orders", Version::default());
    assert_eq!(world.marked(), ["orders"]);
    let view = world.view("orders");
    assert!(view.service.is_none() && view.pods.is_empty());
}

#[test]
fn every_service_that_matters_is_marked_for_a_new_leader() {
    let mut world = World::default();
    world.service("orders", &[("app", "o")]).service("idle", &[("app", "i")]).route("a", "orders", "/a", 1);
    world.marked();
    world.index.mark_all(Reason::Leader);
    assert_eq!(world.marked(), ["orders"]);
}

//! Documents at the limit of a ConfigMap.

use std::sync::Arc;

use crate::plan::testing::*;
use moorline_crds::names;
use moorline_crds::v1alpha1::WebSocketRoute;
use serde_json::{Value, json};

/// A body of about this many kilobytes that do not compress well.
fn noise(seed: &str, kilobytes: usize) -> Value {
    // Two hexadecimal digits compress to one byte, and a hash has 64 of them.
    let text: String = (0..kilobytes * 32).map(|part| names::hex(format!("{seed} {part}").as_bytes())).collect();
    let request = json!({ "method": "POST", "path": "/messages", "body": { "noise": text } });
    json!({ "routes": [{ "key": "$default", "request": request }] })
}

fn large(name: &str, created: i64, kilobytes: usize) -> WebSocketRoute {
    route_with(name, created, &format!("/{name}"), &noise(name, kilobytes))
}

fn widened(route: &WebSocketRoute, kilobytes: usize) -> Arc<WebSocketRoute> {
    let name = route.metadata.name.clone().unwrap();
    edited(route, |route| route.spec = large(&name, 0, kilobytes).spec)
}

fn too_large(world: &World, name: &str) -> bool {
    world.condition(name, "Accepted").reason == "DocumentTooLarge"
}

/// These routes where a document may have 90 KiB.
fn small(routes: Vec<WebSocketRoute>) -> World {
    let mut world = World::new(routes);
    world.max_bytes = 90 * 1024;
    world.settle();
    world
}

#[test]
fn a_large_document_is_stored_compressed() {
    let world = World::settled(vec![large("a", 1, 300)]);
    assert_eq!(world.served(), ["a@1 /a"]);
}

#[test]
fn a_document_of_more_than_a_configmap_is_refused() {
    let mut world = World::new(vec![large("a", 1, 1000)]);
    world.carry_out(&world.plan());
    assert!(too_large(&world, "a"));
    assert!(world.view.live.is_none());
}

#[test]
fn the_change_that_makes_it_too_large_is_refused_and_the_one_beside_it_goes_through() {
    let mut world = small(vec![large("a", 1, 15), large("b", 2, 15), large("c", 3, 5)]);
    world.replace(widened(world.route("a"), 45));
    world.replace(widened(world.route("c"), 6));
    world.settle();
    assert_eq!(world.served(), ["a@1 /a", "b@1 /b", "c@2 /c"]);
    assert!(too_large(&world, "a") && !too_large(&world, "b") && !too_large(&world, "c"));
    assert_eq!(world.status("a").served_generation, Some(1));
    let accepted = world.says("a", "Accepted");
    assert!(accepted.ends_with("; generation 1 goes on being served"), "{accepted}");
    // Nothing is tried again while nothing changes.
    assert!(is_empty(&world.plan()));
}

#[test]
fn a_route_that_was_too_large_is_let_in_when_there_is_room() {
    let mut world = small(vec![large("a", 1, 30)]);
    world.view.routes.push(Arc::new(large("b", 2, 30)));
    world.settle();
    assert_eq!(world.served(), ["a@1 /a"]);
    assert!(too_large(&world, "b"));
    world.delete("a");
    world.settle();
    assert_eq!(world.served(), ["b@1 /b"]);
}

#[test]
fn of_two_changes_that_do_not_fit_together_the_older_route_has_its_own() {
    let mut world = small(vec![large("a", 1, 10), large("b", 2, 10)]);
    world.replace(widened(world.route("b"), 25));
    world.replace(widened(world.route("a"), 25));
    world.settle();
    assert_eq!(world.served(), ["a@2 /a", "b@1 /b"]);
}

#[test]
fn the_old_entry_of_a_refused_change_keeps_its_path() {
    let mut world = small(vec![large("a", 1, 15), large("b", 2, 15)]);
    let moved = edited(&widened(world.route("a"), 45), |route| route.spec.path = "/elsewhere".to_owned());
    world.replace(moved);
    world.view.routes.push(Arc::new(route("c", 3, "/a")));
    world.settle();
    assert_eq!(world.served(), ["a@1 /a", "b@1 /b"]);
    assert!(world.says("c", "Accepted").starts_with("False Conflict: the older route shop/a has path /a"));
}

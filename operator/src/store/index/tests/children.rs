//! Objects of ours, and what is in their place.

use serde_json::json;

use super::*;
use crate::view::{ChildFacts, ChildKind};

fn ours(service: &str, digest: &str) -> serde_json::Value {
    json!({
        "labels": {"app.kubernetes.io/managed-by": "moorline", "moorline.dev/service": service},
        "annotations": {"moorline.dev/applied": digest},
    })
}

fn child(kind: ChildKind, name: &str) -> ChildRef {
    ChildRef { kind, name: name.to_owned() }
}

#[test]
fn a_service_of_ours_is_a_child_and_one_of_somebody_else_is_foreign() {
    let mut world = World::default();
    world.service("orders", &[("app", "o")]).route("a", "orders", "/a", 1);
    world.marked();
    world.service_with("orders-ws", &ours("orders", "d1"), &json!({}));
    assert_eq!(world.marked(), ["orders"]);
    world.service("orders-peers", &[("app", "theirs")]);
    assert_eq!(world.marked(), ["orders"]);
    let children = world.view("orders").children;
    let Some(ChildFacts::Ours { digest, found, .. }) = children.get(&child(ChildKind::Service, "orders-ws")) else {
        panic!("{children:?}")
    };
    assert_eq!(digest.as_deref(), Some("d1"));
    assert!(found.is_some());
    assert_eq!(children.get(&child(ChildKind::Service, "orders-peers")), Some(&ChildFacts::Foreign));
}

#[test]
fn a_child_that_is_deleted_or_changed_marks_its_service() {
    let mut world = World::default();
    world.service("orders", &[("app", "o")]).route("a", "orders", "/a", 1);
    world.service_with("orders-ws", &ours("orders", "d1"), &json!({}));
    world.marked();
    world.service_with("orders-ws", &ours("orders", "d1"), &json!({"selector": {"app": "changed"}}));
    assert_eq!(world.marked(), ["orders"]);
    world.service_with("orders-ws", &ours("orders", "d1"), &json!({"selector": {"app": "changed"}}));
    assert_eq!(world.marked(), Vec::<String>::new());
    world.index.remove_service("shop", "orders-ws", Version::default());
    assert_eq!(world.marked(), ["orders"]);
    assert!(world.view("orders").children.is_empty());
}

#[test]
fn a_service_matters_as_long_as_a_child_of_it_is_there() {
    let mut world = World::default();
    world.service_with("orders-ws", &ours("orders", "d"), &json!({}));
    assert_eq!(world.marked(), ["orders"]);
    world.index.remove_service("shop", "orders-ws", Version::default());
    assert_eq!(world.marked(), ["orders"], "once more, to find that nothing is left");
    world.index.mark_all(Reason::Leader);
    assert_eq!(world.marked(), Vec::<String>::new());
}

#[test]
fn what_was_found_in_the_place_of_a_child_stays_known_until_it_is_asked_for_again() {
    let mut world = World::default();
    world.route("a", "orders", "/a", 1);
    world.marked();
    let document = child(ChildKind::ConfigMap, "orders-moorline");
    world.index.found_foreign("shop", "orders", &document, true);
    assert_eq!(world.marked(), ["orders"]);
    assert_eq!(world.view("orders").children.get(&document), Some(&ChildFacts::Foreign));
    assert_eq!(world.index.foreign_since("shop", "orders", Instant::now()), std::slice::from_ref(&document));
    world.index.found_foreign("shop", "orders", &document, true);
    assert_eq!(world.marked(), Vec::<String>::new());
    world.index.found_foreign("shop", "orders", &document, false);
    assert_eq!(world.marked(), ["orders"]);
    assert!(world.view("orders").children.is_empty());
}

#[test]
fn a_refusal_of_the_server_is_told_once_and_gone_after_an_apply() {
    let mut world = World::default();
    world.route("a", "orders", "/a", 1);
    world.marked();
    let document = child(ChildKind::ConfigMap, "orders-moorline");
    world.index.refused("shop", "orders", &document, "no".to_owned());
    assert_eq!(world.marked(), ["orders"]);
    world.index.refused("shop", "orders", &document, "no".to_owned());
    assert_eq!(world.marked(), Vec::<String>::new(), "or one refusal would lead to the next");
    assert_eq!(world.view("orders").apply_errors.get(&document).map(String::as_str), Some("no"));
    world.index.applied("shop", "orders", &document, Timestamp::UNIX_EPOCH);
    assert!(world.view("orders").apply_errors.is_empty());
}

#[test]
fn a_document_is_live_and_a_child() {
    let mut world = World::default();
    world.route("a", "orders", "/a", 1);
    let hash = world.document("orders", "/a", None);
    let view = world.view("orders");
    assert_eq!(view.live.unwrap().hash, hash);
    assert!(view.children.contains_key(&child(ChildKind::ConfigMap, "orders-moorline")));
    world.index.remove_document("shop", "orders-moorline", Version::default());
    assert!(world.view("orders").live.is_none());
}

#[test]
fn a_list_that_began_before_a_document_was_stored_does_not_take_it_away() {
    let mut world = World::default();
    let began = Instant::now();
    world.document("orders", "/a", Some(Instant::now()));
    world.document("users", "/a", None);
    let listed_before = world.index.document_names(Some("shop"), began);
    assert_eq!(listed_before, [("shop".to_owned(), "users-moorline".to_owned())]);
}

#[test]
fn a_document_that_cannot_be_read_is_there_and_says_so() {
    let map: crate::store::objects::ConfigMap = serde_json::from_value(json!({
        "metadata": {"name": "orders-moorline", "namespace": "shop", "labels": ours("orders", "d")["labels"]},
        "data": {"document.json": "{\"formatVersion\": 99}"},
    }))
    .unwrap();
    let mut world = World::default();
    world.index.put_document("shop", "orders-moorline", Document::read(&map).unwrap(), None);
    let live = world.view("orders").live.unwrap();
    assert!(live.document.is_none() && live.hash.is_empty());
}

#[test]
fn a_configmap_with_our_labels_and_another_name_is_no_document() {
    let map: crate::store::objects::ConfigMap = serde_json::from_value(json!({
        "metadata": {"name": "copy", "namespace": "shop", "labels": ours("orders", "d")["labels"]},
        "data": {"document.json": "{}"},
    }))
    .unwrap();
    assert!(Document::read(&map).is_none());
}

#[test]
fn an_ingress_of_ours_is_a_child_of_the_service_it_is_labelled_with() {
    let mut world = World::default();
    world.route("a", "orders", "/a", 1);
    world.marked();
    let ingress = child(ChildKind::Ingress, "a-ws");
    world.index.put_owned("shop", &ingress, ("orders".to_owned(), Some("d".to_owned())), Version::parse(Some("5")));
    assert_eq!(world.marked(), ["orders"]);
    assert!(world.view("orders").children.contains_key(&ingress));
    assert_eq!(world.index.owned_names(None, ChildKind::HttpRoute), []);
    world.index.remove_owned("shop", &ingress);
    assert_eq!(world.marked(), ["orders"]);
    assert!(world.view("orders").children.is_empty());
}

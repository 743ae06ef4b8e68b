//! The Services beside the document, and names that are taken.

use std::time::Duration;

use crate::plan::testing::*;
use crate::plan::{is_ours, plan};
use crate::view::{ChildFacts, ChildRef};
use moorline_crds::names::{self, Child};
use serde_json::{Value, json};

fn applied(world: &World, which: &ChildRef) -> Value {
    let plan = plan(&world.view);
    plan.apply.into_iter().find(|apply| apply.child == *which).expect("is applied").object
}

#[test]
fn clients_connect_to_a_service_that_selects_only_pods_with_the_sidecar() {
    let object = applied(&World::new(vec![route("a", 1, "/a")]), &child(Child::WebSocket));
    assert_eq!(object["metadata"]["name"], "orders-ws");
    assert_eq!(
        object["spec"],
        json!({
            "type": "ClusterIP",
            "selector": {"app": "orders", "moorline.dev/injected": "true"},
            "ports": [{"name": "ws", "port": 80, "targetPort": 8800, "protocol": "TCP", "appProtocol": "kubernetes.io/ws"}],
        })
    );
}

#[test]
fn sidecars_find_each_other_by_a_headless_service_also_while_they_drain() {
    let object = applied(&World::new(vec![route("a", 1, "/a")]), &child(Child::Peers));
    assert_eq!(object["metadata"]["name"], "orders-peers");
    assert_eq!(object["spec"]["clusterIP"], "None");
    assert_eq!(object["spec"]["publishNotReadyAddresses"], true);
    assert_eq!(object["spec"]["ports"][0]["port"], 8803);
}

#[test]
fn children_are_owned_by_the_service_but_not_controlled_or_held_by_it() {
    let plan = plan(&World::new(vec![route("a", 1, "/a")]).view);
    for apply in plan.apply {
        let metadata = &apply.object["metadata"];
        let owner = json!([{"apiVersion": "v1", "kind": "Service", "name": "orders", "uid": "service-uid"}]);
        assert_eq!(metadata["ownerReferences"], owner);
        let labels = serde_json::from_value(metadata["labels"].clone()).unwrap();
        assert!(is_ours(Some(&labels), "orders"));
        assert!(!is_ours(Some(&labels), "users"));
    }
    assert!(!is_ours(None, "orders"));
    assert!(!is_ours(Some(&labels(&[(names::MANAGED_BY_LABEL, "Helm"), (names::SERVICE_LABEL, "orders")])), "orders"));
}

#[test]
fn a_child_is_applied_again_only_when_what_it_is_made_of_changes() {
    let mut world = World::settled(vec![route("a", 1, "/a")]);
    world.view.routes.push(std::sync::Arc::new(route("b", 2, "/b")));
    assert!(plan(&world.view).apply.is_empty());
    world.view.service.as_mut().unwrap().selector.insert("tier".to_owned(), "web".to_owned());
    assert_eq!(plan(&world.view).apply.len(), 2);
    world.settle();
}

#[test]
fn a_child_that_was_deleted_comes_back() {
    let mut world = World::settled(vec![route("a", 1, "/a")]);
    world.view.children.remove(&child(Child::WebSocket));
    assert_eq!(plan(&world.view).apply.len(), 1);
}

#[test]
fn a_service_that_somebody_changed_is_put_right_but_not_more_than_once_a_minute() {
    let mut world = World::settled(vec![route("a", 1, "/a")]);
    let change = |world: &mut World| {
        let Some(ChildFacts::Ours { found: Some(found), .. }) = world.view.children.get_mut(&child(Child::WebSocket))
        else {
            panic!("no Service");
        };
        found.selector.remove(names::INJECTED_LABEL);
    };
    world.pass(Duration::from_mins(2));
    change(&mut world);
    let first = plan(&world.view);
    assert_eq!(first.apply.len(), 1);
    world.carry_out(&first);
    change(&mut world);
    world.pass(Duration::from_secs(20));
    let second = plan(&world.view);
    assert!(second.apply.is_empty());
    assert_eq!(second.recheck_after, Some(Duration::from_secs(40)));
    world.pass(Duration::from_secs(40));
    assert_eq!(plan(&world.view).apply.len(), 1);
}

/// Each row: the child whose name is taken, and what the condition calls it.
#[test]
fn a_foreign_object_under_a_childs_name_is_named_and_not_touched() {
    for (which, words, command) in [
        (Child::Document, "ConfigMap orders-moorline", "kubectl -n shop delete configmap orders-moorline"),
        (Child::WebSocket, "Service orders-ws", "kubectl -n shop delete service orders-ws"),
        (Child::Peers, "Service orders-peers", "kubectl -n shop delete service orders-peers"),
    ] {
        let mut world = World::new(vec![route("a", 1, "/a")]);
        world.view.children.insert(child(which), ChildFacts::Foreign);
        world.carry_out(&plan(&world.view));
        assert_eq!(
            world.says("a", "Accepted"),
            format!(
                "False NameTaken: {words} is there already, and Moorline neither made it nor touches it; rename it, or delete it: {command}"
            )
        );
        assert!(world.view.live.is_none());
        let next = plan(&world.view);
        assert!(is_empty(&next));
        assert_eq!(next.recheck_after, Some(Duration::from_mins(1)));
        world.view.children.clear();
        world.settle();
        assert_eq!(world.served(), ["a@1 /a"]);
    }
}

#[test]
fn a_name_that_is_taken_later_leaves_what_is_served() {
    let mut world = World::settled(vec![route("a", 1, "/a")]);
    world.view.children.insert(child(Child::Peers), ChildFacts::Foreign);
    world.carry_out(&plan(&world.view));
    assert_eq!(world.served(), ["a@1 /a"]);
    assert!(is_empty(&plan(&world.view)));
    world.delete("a");
    let last = plan(&world.view);
    assert_eq!(last.delete, [child(Child::WebSocket)]);
}

#[test]
fn without_a_route_that_is_served_there_are_no_children() {
    let world = World::settled(vec![route("a", 1, "bad")]);
    assert!(world.view.children.is_empty());
}

#[test]
fn a_service_that_loses_its_selector_keeps_its_children_as_they_are() {
    let mut world = World::settled(vec![route("a", 1, "/a")]);
    world.view.service.as_mut().unwrap().selector.clear();
    let plan = plan(&world.view);
    assert!(plan.apply.is_empty() && plan.delete.is_empty());
    world.carry_out(&plan);
    assert!(world.says("a", "ResolvedRefs").starts_with("False ServiceUnsupported: "));
    assert_eq!(world.served(), ["a@1 /a"]);
}

#[test]
fn what_the_api_server_refuses_is_said_in_its_words() {
    let mut world = World::settled(vec![route("a", 1, "/a")]);
    world.view.apply_errors.insert(child(Child::Document), "exceeded quota: objects".to_owned());
    world.pass(Duration::from_secs(5));
    world.carry_out(&plan(&world.view));
    assert_eq!(
        world.says("a", "Programmed"),
        "False ApplyFailed: the API server refuses ConfigMap orders-moorline: exceeded quota: objects"
    );
}

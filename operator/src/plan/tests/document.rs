//! The document: written, left alone, emptied and deleted.

use std::sync::Arc;
use std::time::Duration;

use crate::plan::testing::*;
use crate::plan::{DocumentPlan, plan};
use crate::view::{LiveDocument, Report, Reported};
use moorline_crds::document::{Document, FORMAT_VERSION};
use moorline_crds::names::{self, Child};

fn is_written(world: &World) -> bool {
    matches!(plan(&world.view).document, DocumentPlan::Write(_))
}

#[test]
fn the_document_has_an_entry_per_route_with_its_generation() {
    let world = World::settled(vec![route("b", 2, "/b"), route("a", 1, "/a/{tenant}")]);
    assert_eq!(world.served(), ["a@1 /a/{tenant}", "b@1 /b"]);
    assert_eq!(world.status("a").served_generation, None);
}

#[test]
fn the_configmap_carries_hash_labels_and_its_owner() {
    let world = World::new(vec![route("a", 1, "/a")]);
    let DocumentPlan::Write(write) = plan(&world.view).document else { panic!("nothing is written") };
    let metadata = &write.object["metadata"];
    assert_eq!(write.child, child(Child::Document));
    assert_eq!((&write.object["apiVersion"], &write.object["kind"]), (&"v1".into(), &"ConfigMap".into()));
    assert_eq!(metadata["annotations"][names::HASH_ANNOTATION], write.hash.as_str());
    assert_eq!(metadata["labels"][names::MANAGED_BY_LABEL], "moorline");
    assert_eq!(metadata["labels"][names::SERVICE_LABEL], "orders");
    let owner = serde_json::json!([{"apiVersion": "v1", "kind": "Service", "name": "orders", "uid": "service-uid"}]);
    assert_eq!(metadata["ownerReferences"], owner);
}

#[test]
fn a_stored_document_is_not_written_again() {
    let world = World::settled(vec![route("a", 1, "/a")]);
    assert_eq!(plan(&world.view), crate::plan::ServicePlan::default());
}

#[test]
fn a_service_that_was_made_again_owns_its_children_again() {
    let mut world = World::settled(vec![route("a", 1, "/a")]);
    world.view.service.as_mut().unwrap().uid = "another-uid".to_owned();
    let plan = plan(&world.view);
    let DocumentPlan::Write(write) = &plan.document else { panic!("nothing is written") };
    assert_eq!(write.object["metadata"]["ownerReferences"][0]["uid"], "another-uid");
    assert_eq!(plan.apply.len(), 2);
}

#[test]
fn an_unreadable_document_is_replaced() {
    let mut world = World::settled(vec![route("a", 1, "/a")]);
    world.view.live = Some(LiveDocument { document: None, hash: String::new() });
    world.settle();
    assert_eq!(world.served(), ["a@1 /a"]);
}

#[test]
fn an_unreadable_document_stays_while_no_route_compiles() {
    let mut world = World::settled(vec![route("a", 1, "/a")]);
    world.replace(broken(world.route("a")));
    world.view.live = Some(LiveDocument { document: None, hash: String::new() });
    world.settle();
    assert_eq!(world.served(), [""; 0]);
    assert!(world.view.live.is_some_and(|live| live.document.is_none()));
}

#[test]
fn a_document_that_somebody_changed_is_written_again() {
    let mut world = World::settled(vec![route("a", 1, "/a")]);
    let other = Document { format_version: FORMAT_VERSION, service: id(), routes: Vec::new() };
    world.view.live = Some(LiveDocument { hash: other.hash(), document: Some(Arc::new(other)) });
    assert!(is_written(&world));
}

#[test]
fn when_the_last_route_goes_the_end_is_said_before_the_configmap_goes() {
    let mut world = World::settled(vec![route("a", 1, "/a")]);
    world.delete("a");
    let first = plan(&world.view);
    assert!(matches!(&first.document, DocumentPlan::Write(_)));
    assert_eq!(first.delete, [child(Child::WebSocket), child(Child::Peers)]);
    world.carry_out(&first);
    assert_eq!(world.served(), [""; 0]);
    // Nobody has read it yet.
    assert_eq!(plan(&world.view).document, DocumentPlan::Keep);
    world.settle();
    assert!(world.view.live.is_none());
    assert!(world.view.children.is_empty());
}

#[test]
fn the_empty_document_stays_until_the_last_sidecar_has_read_it() {
    let mut world = World::settled(vec![route("a", 1, "/a")]);
    world.delete("a");
    world.carry_out(&plan(&world.view));
    let old = world.view.pods[2].report.clone();
    world.carry_out(&plan(&world.view));
    world.view.pods[2].report = old;
    assert_eq!(plan(&world.view).document, DocumentPlan::Keep);
    world.view.pods[2].is_terminating = true;
    assert_eq!(plan(&world.view).document, DocumentPlan::Delete(child(Child::Document)));
}

#[test]
fn the_empty_document_goes_at_once_when_no_pod_mounts_it() {
    let mut world = World::settled(vec![route("a", 1, "/a")]);
    world.view.pods.iter_mut().for_each(|pod| pod.services.clear());
    world.delete("a");
    world.carry_out(&plan(&world.view));
    assert_eq!(plan(&world.view).document, DocumentPlan::Delete(child(Child::Document)));
}

#[test]
fn a_sidecar_that_never_read_a_document_holds_up_no_deletion_but_one_that_was_not_asked_does() {
    let mut world = World::settled(vec![route("a", 1, "/a")]);
    world.delete("a");
    world.carry_out(&plan(&world.view));
    let answer = |report: Option<Report>| Some(Reported { at: at(1000), report: report.map(Arc::new), failures: 1 });
    for pod in &mut world.view.pods {
        pod.report = answer(Some(report(None)));
    }
    assert!(matches!(plan(&world.view).document, DocumentPlan::Delete(_)));
    world.view.pods[0].report = answer(None);
    assert_eq!(plan(&world.view).document, DocumentPlan::Keep);
}

#[test]
fn a_route_that_is_being_deleted_is_gone() {
    let mut world = World::settled(vec![route("a", 1, "/a"), route("b", 2, "/b")]);
    let going = edited(world.route("a"), |route| {
        route.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(1001)));
    });
    world.replace(going);
    world.settle();
    assert_eq!(world.served(), ["b@1 /b"]);
}

#[test]
fn without_its_service_nothing_is_written_and_nothing_deleted() {
    let mut world = World::settled(vec![route("a", 1, "/a")]);
    world.view.service = None;
    world.view.pods.clear();
    let plan = plan(&world.view);
    assert_eq!((&plan.document, plan.apply.len(), plan.delete.len()), (&DocumentPlan::Keep, 0, 0));
    world.settle();
    assert_eq!(
        world.says("a", "ResolvedRefs"),
        "False ServiceNotFound: there is no Service orders in namespace shop; generation 1 goes on being served"
    );
}

#[test]
fn a_changed_route_is_written_at_once_and_nudged_when_it_is_stored() {
    let mut world = World::settled(vec![route("a", 1, "/a"), route("b", 2, "/b")]);
    world.replace(edited(world.route("a"), |route| route.spec.path = "/c".to_owned()));
    let first = plan(&world.view);
    assert!(matches!(first.document, DocumentPlan::Write(_)));
    assert!(first.nudges.is_empty());
    world.carry_out(&first);
    let second = plan(&world.view);
    assert_eq!(second.nudges.len(), 3);
    world.carry_out(&second);
    world.pass(Duration::from_millis(100));
    // The first word that all serve it is not held back.
    let third = plan(&world.view);
    assert_eq!(third.statuses.len(), 1);
    world.carry_out(&third);
    assert_eq!(world.says("a", "Programmed"), "True Programmed: all sidecars serve generation 2");
    assert_eq!(world.served(), ["a@2 /c", "b@1 /b"]);
}

//! Statuses: what they count, when they change, and when they are written.

use std::sync::Arc;
use std::time::Duration;

use crate::plan::plan;
use crate::plan::testing::*;
use crate::view::{Reported, StatusWritten};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use moorline_crds::v1alpha1::SidecarCounts;
use serde_json::json;

fn counts(programmed: i32, total: i32, outdated: i32) -> SidecarCounts {
    SidecarCounts { programmed, total, outdated, summary: format!("{programmed}/{total}") }
}

/// The sidecar answers with nothing.
fn forget(world: &mut World, pod: usize) {
    let report = Some(Arc::new(report(None)));
    world.view.pods[pod].report = Some(Reported { at: world.view.now, report, failures: 0 });
}

#[test]
fn sidecars_are_counted_over_all_pods_with_and_without_one() {
    let mut world = World::settled(vec![route("a", 1, "/a")]);
    world.view.bare_pods = vec![bare("x")];
    world.view.pods[0].sidecar_version = "0.0.9".to_owned();
    world.view.pods[1].is_terminating = true;
    world.pass(Duration::from_secs(5));
    world.carry_out(&plan(&world.view));
    assert_eq!(world.status("a").sidecars, Some(counts(2, 3, 1)));
}

#[test]
fn every_condition_carries_the_generation_it_is_about() {
    let mut world =
        World::settled(vec![route_with("a", 1, "/a", &json!({"hosts": ["a.example.com"], "expose": {"ingress": {}}}))]);
    world.replace(edited(world.route("a"), |route| route.spec.path = "/b".to_owned()));
    world.settle();
    let status = world.status("a");
    let types: Vec<&str> = status.conditions.iter().map(|condition| condition.type_.as_str()).collect();
    assert_eq!(types, ["Accepted", "ResolvedRefs", "Programmed", "Exposed"]);
    assert!(status.conditions.iter().all(|condition| condition.observed_generation == Some(2)));
    assert_eq!(status.observed_generation, Some(2));
}

#[test]
fn the_address_is_that_of_the_service_for_clients() {
    let world = World::settled(vec![route("a", 1, "/ws/{tenant}")]);
    assert_eq!(world.status("a").address.as_deref(), Some("ws://orders-ws.shop.svc/ws/{tenant}"));
}

#[test]
fn a_condition_keeps_its_time_while_its_status_stays() {
    let mut world = World::settled(vec![route("a", 1, "/a")]);
    let first = world.condition("a", "Accepted").last_transition_time.clone();
    assert_eq!(first, Time(at(1000)));
    world.pass(Duration::from_mins(10));
    world.replace(edited(world.route("a"), |route| route.spec.path = "/b".to_owned()));
    world.settle();
    assert_eq!(world.condition("a", "Accepted").last_transition_time, first);
    assert!(world.condition("a", "Programmed").last_transition_time.0 >= at(1600));
}

#[test]
fn times_are_whole_seconds() {
    let mut world = World::new(vec![route("a", 1, "/a")]);
    world.pass(Duration::from_millis(700));
    world.settle();
    assert_eq!(world.condition("a", "Accepted").last_transition_time, Time(at(1000)));
}

#[test]
fn a_condition_of_somebody_else_is_no_reason_to_write() {
    let mut world = World::settled(vec![route("a", 1, "/a")]);
    let foreign = Condition { type_: "Synced".to_owned(), ..world.condition("a", "Accepted").clone() };
    let mut changed = world.route("a").clone();
    changed.status.as_mut().unwrap().conditions.insert(0, foreign);
    world.replace(Arc::new(changed));
    assert!(is_empty(&plan(&world.view)));
}

#[test]
fn a_pod_that_goes_and_comes_is_one_write_in_two_seconds() {
    let mut world = World::settled(vec![route("a", 1, "/a")]);
    world.sidecars_work = false;
    world.pass(Duration::from_mins(1));
    let answers = world.view.pods[0].report.clone();
    forget(&mut world, 0);
    let first = plan(&world.view);
    assert!(first.statuses[0].is_churn);
    world.carry_out(&first);
    world.view.pods[0].report = answers;
    world.pass(Duration::from_millis(500));
    let second = plan(&world.view);
    assert!(second.statuses.is_empty());
    assert_eq!(second.recheck_after, Some(Duration::from_millis(1500)));
    world.pass(Duration::from_millis(1500));
    let third = plan(&world.view);
    assert_eq!(third.statuses.len(), 1);
    world.carry_out(&third);
    assert_eq!(world.status("a").sidecars, Some(counts(3, 3, 0)));
}

#[test]
fn a_change_of_the_user_is_written_at_once_and_so_is_the_word_that_it_is_served_everywhere() {
    let mut world = World::settled(vec![route("a", 1, "/a")]);
    world.sidecars_work = false;
    let written = StatusWritten { at: world.view.now, is_churn: true };
    world.view.written.insert("a".to_owned(), written);
    world.replace(edited(world.route("a"), |route| route.spec.path = "/b".to_owned()));
    let first = plan(&world.view);
    assert!(!first.statuses[0].is_churn);
    world.carry_out(&first);
    let document = world.view.live.clone().unwrap().document.unwrap();
    // Two thirds are worth waiting for.
    for pod in 0..2 {
        let report = Some(Arc::new(report(Some(&document))));
        world.view.pods[pod].report = Some(Reported { at: world.view.now, report, failures: 0 });
    }
    world.pass(Duration::from_millis(200));
    assert!(plan(&world.view).statuses.is_empty());
    let report = Some(Arc::new(report(Some(&document))));
    world.view.pods[2].report = Some(Reported { at: world.view.now, report, failures: 0 });
    let last = plan(&world.view);
    assert_eq!(last.statuses[0].status.sidecars, Some(counts(3, 3, 0)));
}

#[test]
fn a_status_of_another_generation_is_not_held_for_sidecars_that_were_not_asked() {
    let mut world = World::settled(vec![route("a", 1, "/a")]);
    world.view.pods.iter_mut().for_each(|pod| pod.report = None);
    world.sidecars_work = false;
    world.replace(edited(world.route("a"), |route| route.spec.path = "/b".to_owned()));
    world.carry_out(&plan(&world.view));
    assert_eq!(world.says("a", "Programmed"), "False Progressing: 0 of 3 sidecars serve generation 2");
}

#[test]
fn warnings_of_a_route_are_part_of_its_acceptance() {
    let doubtful =
        json!({"routes": [{"key": "$default", "request": {"method": "POST", "path": "/a/$request.body.id"}}]});
    let world = World::settled(vec![route_with("a", 1, "/a", &doubtful)]);
    let accepted = world.says("a", "Accepted");
    assert!(
        accepted.starts_with("True Accepted: the route is valid, but look at spec.routes[0].request.path: "),
        "{accepted}"
    );
}

//! Which pods a plan wants repaired. What is done about them is tested beside `decide`.

use std::sync::Arc;
use std::time::Duration;

use crate::plan::testing::*;
use crate::plan::{Lack, Repair, RepairMode, plan};
use crate::view::RepairNote;
use moorline_crds::v1alpha1::Rollout;

fn wanted(world: &World) -> Vec<(String, Lack, RepairMode)> {
    let name = |repair: Repair| (repair.pod, repair.lack, repair.mode);
    plan(&world.view).repairs.into_iter().map(name).collect()
}

#[test]
fn pods_without_the_sidecar_or_the_source_are_repaired_once_the_document_is_stored() {
    let mut world = World::new(vec![route("a", 1, "/a")]);
    world.view.bare_pods = vec![bare("y"), bare("x")];
    world.view.pods[1].services = vec!["users".to_owned()];
    assert_eq!(wanted(&world), []);
    world.carry_out(&plan(&world.view));
    assert_eq!(
        wanted(&world),
        [
            ("x".to_owned(), Lack::Sidecar, RepairMode::Automatic),
            ("y".to_owned(), Lack::Sidecar, RepairMode::Automatic),
            ("b".to_owned(), Lack::Source, RepairMode::Automatic),
        ]
    );
}

#[test]
fn nothing_is_repaired_for_a_route_of_this_second() {
    let mut world = World::new(vec![route("a", 999, "/a")]);
    world.view.bare_pods = vec![bare("x")];
    world.carry_out(&plan(&world.view));
    let early = plan(&world.view);
    assert!(early.repairs.is_empty());
    assert_eq!(early.recheck_after, Some(Duration::from_secs(1)));
    world.pass(Duration::from_secs(1));
    assert_eq!(wanted(&world).len(), 1);
}

#[test]
fn nothing_is_repaired_where_no_route_is_served() {
    let mut world = World::new(vec![route("a", 1, "bad")]);
    world.view.bare_pods = vec![bare("x")];
    world.settle();
    assert_eq!(world.repairs, []);
}

#[test]
fn bare_pods_of_a_namespace_that_is_not_opted_in_are_left_alone() {
    let mut world = World::settled(vec![route("a", 1, "/a")]);
    world.view.namespace_enabled = false;
    world.view.bare_pods = vec![bare("x")];
    world.view.pods[0].services.clear();
    assert_eq!(wanted(&world), [("a".to_owned(), Lack::Source, RepairMode::Automatic)]);
}

#[test]
fn one_route_that_says_manual_is_enough_and_the_admin_is_above_all_routes() {
    let mut world = World::settled(vec![route("a", 1, "/a"), route("b", 2, "/b")]);
    world.replace(edited(world.route("b"), |route| route.spec.rollout = Some(Rollout::Manual)));
    world.settle();
    world.view.bare_pods = vec![bare("x")];
    assert_eq!(wanted(&world)[0].2, RepairMode::Manual);
    Arc::make_mut(&mut world.view.settings).rollout_allowed = false;
    assert_eq!(wanted(&world)[0].2, RepairMode::Vetoed);
}

#[test]
fn a_pod_that_was_seen_to_waits_for_its_time() {
    let mut world = World::settled(vec![route("a", 1, "/a")]);
    let note = RepairNote {
        again: world.view.now + jiff::SignedDuration::from_secs(30),
        needs_hand: false,
        message: String::new(),
    };
    world.view.bare_pods = vec![bare("x")];
    world.view.bare_pods[0].repair = Some(note);
    world.pass(Duration::from_secs(5));
    world.carry_out(&plan(&world.view));
    let waiting = plan(&world.view);
    assert!(waiting.repairs.is_empty());
    assert_eq!(waiting.recheck_after, Some(Duration::from_secs(25)));
    world.pass(Duration::from_secs(25));
    assert_eq!(wanted(&world).len(), 1);
}

#[test]
fn a_plan_names_a_few_pods_and_not_five_hundred() {
    let mut world = World::settled(vec![route("a", 1, "/a")]);
    world.view.bare_pods = (0..500).map(|number| bare(&format!("x{number:03}"))).collect();
    let pods: Vec<String> = wanted(&world).into_iter().map(|(pod, ..)| pod).collect();
    assert_eq!(pods.len(), 10);
    assert_eq!((pods[0].as_str(), pods[9].as_str()), ("x000", "x009"));
}

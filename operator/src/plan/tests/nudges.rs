//! Nudges: whom, and when again.

use std::time::Duration;

use crate::plan::plan;
use crate::plan::testing::*;
use crate::view::Reported;

/// A settled world whose route was edited and stored, and whose sidecars stay behind.
fn behind() -> World {
    let mut world = World::settled(vec![route("a", 1, "/a")]);
    world.sidecars_work = false;
    world.replace(edited(world.route("a"), |route| route.spec.path = "/b".to_owned()));
    world.carry_out(&plan(&world.view));
    world
}

#[test]
fn a_pod_that_stays_behind_is_nudged_again_ever_more_slowly() {
    let mut world = behind();
    let mut waits = Vec::new();
    for attempt in 1..=6 {
        let due = plan(&world.view);
        let attempts: Vec<u32> = due.nudges.iter().map(|nudge| nudge.attempt).collect();
        assert_eq!(attempts, [attempt; 3]);
        world.carry_out(&due);
        // What else waits is not due before them.
        world.view.written.clear();
        let mut rest = plan(&world.view);
        if !rest.statuses.is_empty() {
            world.carry_out(&rest);
            rest = plan(&world.view);
        }
        assert!(rest.nudges.is_empty());
        waits.push(rest.recheck_after.unwrap().as_secs());
        world.pass(rest.recheck_after.unwrap());
    }
    assert_eq!(waits, [2, 5, 10, 30, 30, 30]);
}

#[test]
fn a_new_document_is_announced_at_once_however_often_the_last_one_was() {
    let mut world = behind();
    world.carry_out(&plan(&world.view));
    world.replace(edited(world.route("a"), |route| route.spec.path = "/c".to_owned()));
    world.carry_out(&plan(&world.view));
    let next = plan(&world.view);
    assert_eq!(next.nudges.iter().map(|nudge| nudge.attempt).collect::<Vec<_>>(), [1, 1, 1]);
    assert_eq!(next.nudges[0].hash, world.view.live.as_ref().unwrap().hash);
}

#[test]
fn only_pods_that_can_read_the_document_are_nudged() {
    let mut world = behind();
    world.view.pods[0].is_terminating = true;
    world.view.pods[1].is_started = false;
    world.view.pods[2].services.clear();
    assert!(plan(&world.view).nudges.is_empty());
}

#[test]
fn a_pod_that_was_not_asked_yet_is_not_nudged() {
    let mut world = behind();
    world.view.pods[0].report = None;
    let pods: Vec<String> = plan(&world.view).nudges.into_iter().map(|nudge| nudge.pod).collect();
    assert_eq!(pods, ["b", "c"]);
}

#[test]
fn a_pod_that_cannot_be_asked_is_nudged_once() {
    let mut world = behind();
    for pod in &mut world.view.pods {
        pod.report = Some(Reported { at: at(1000), report: None, failures: 3 });
    }
    let first = plan(&world.view);
    assert_eq!(first.nudges.len(), 3);
    world.carry_out(&first);
    world.pass(Duration::from_hours(1));
    assert!(plan(&world.view).nudges.is_empty());
}

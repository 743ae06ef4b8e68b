//! `Programmed` by its reasons.

use std::sync::Arc;
use std::time::Duration;

use crate::plan::plan;
use crate::plan::testing::*;
use crate::view::{PodFacts, Refused, RepairNote, Reported};
use moorline_crds::v1alpha1::Rollout;

/// A world with these pods, with what its plan says of `Programmed` in the end.
fn programmed(change: impl FnOnce(&mut World)) -> String {
    let mut world = World::settled(vec![route("a", 1, "/a")]);
    change(&mut world);
    world.settle_within(Duration::from_secs(10));
    world.says("a", "Programmed")
}

fn silent(pod: &mut PodFacts, failures: u32) {
    pod.report = Some(Reported { at: at(1000), report: None, failures });
}

#[test]
fn it_is_true_when_every_sidecar_serves_the_generation() {
    assert_eq!(programmed(|_| ()), "True Programmed: all sidecars serve generation 1");
}

#[test]
fn without_pods_it_names_what_the_service_selects() {
    let said = programmed(|world| world.view.pods.clear());
    assert_eq!(said, "False NoPods: Service shop/orders has no pods; it selects app=orders");
}

#[test]
fn pods_that_start_or_are_behind_are_named() {
    let said = programmed(|world| {
        world.sidecars_work = false;
        world.view.pods[0].is_started = false;
        let old = report(None);
        world.view.pods[2].report = Some(Reported { at: at(1000), report: Some(Arc::new(old)), failures: 0 });
    });
    assert_eq!(said, "False Progressing: 1 of 3 sidecars serve generation 1; starting: a; behind: c");
}

#[test]
fn a_pod_that_is_being_deleted_counts_nowhere() {
    let said = programmed(|world| {
        world.view.pods[0].is_terminating = true;
        world.view.pods[0].report = None;
    });
    assert_eq!(said, "True Programmed: all sidecars serve generation 1");
}

#[test]
fn in_a_namespace_that_is_not_opted_in_it_is_the_command_to_run() {
    let command = "False NamespaceNotEnabled: namespace shop is not opted in, so its pods get no sidecar; run: kubectl label namespace shop moorline.dev/inject=enabled";
    let bare_pods = |world: &mut World| {
        world.view.namespace_enabled = false;
        world.view.pods.clear();
        world.view.bare_pods = vec![bare("a")];
    };
    assert_eq!(programmed(bare_pods), command);
    let no_pods = |world: &mut World| {
        world.view.namespace_enabled = false;
        world.view.pods.clear();
    };
    assert_eq!(programmed(no_pods), command);
    // Pods that ask for the sidecar themselves need no namespace that does.
    let said = programmed(|world| world.view.namespace_enabled = false);
    assert_eq!(said, "True Programmed: all sidecars serve generation 1");
}

#[test]
fn pods_without_the_sidecar_are_counted_and_named() {
    let said = programmed(|world| world.view.bare_pods = vec![bare("y"), bare("x")]);
    assert_eq!(
        said,
        "False SidecarMissing: 2 of 5 pods run without the sidecar (x, y); the operator restarts their workload"
    );
}

#[test]
fn pods_that_a_person_has_to_restart_come_with_the_command() {
    let note = RepairNote { again: at(9000), needs_hand: true, message: "run: kubectl -n shop x".to_owned() };
    let said = programmed(|world| {
        world.view.bare_pods = vec![bare("y"), bare("x")];
        world.view.bare_pods[0].repair = Some(note);
    });
    assert_eq!(said, "False RestartNeeded: 2 of 5 pods run without the sidecar (x, y); run: kubectl -n shop x");
}

#[test]
fn what_the_operator_does_about_bare_pods_is_said() {
    let note = RepairNote { again: at(9000), needs_hand: false, message: "the operator evicts x".to_owned() };
    let said = programmed(|world| {
        world.view.bare_pods = vec![bare("x")];
        world.view.bare_pods[0].repair = Some(note);
    });
    assert_eq!(said, "False SidecarMissing: 1 of 4 pods runs without the sidecar (x); the operator evicts x");
}

/// Each row: the rollout of the route, whether the admin allows restarts, and the end of the message.
#[test]
fn who_restarts_nothing_says_so() {
    for (rollout, allowed, end) in [
        (
            Rollout::Manual,
            true,
            "spec.rollout is Manual: restart their workload, for instance with kubectl -n shop rollout restart deployment/NAME",
        ),
        (
            Rollout::Automatic,
            false,
            "restarts are switched off for the operator: restart their workload, for instance with kubectl -n shop rollout restart deployment/NAME",
        ),
    ] {
        let said = programmed(|world| {
            let mut settings = (*world.view.settings).clone();
            settings.rollout_allowed = allowed;
            world.view.settings = Arc::new(settings);
            world.replace(edited(world.route("a"), |route| route.spec.rollout = Some(rollout)));
            world.view.bare_pods = vec![bare("x")];
        });
        assert_eq!(said, format!("False RestartNeeded: 1 of 4 pods runs without the sidecar (x); {end}"));
    }
}

#[test]
fn pods_that_started_before_the_route_need_a_restart() {
    let said = programmed(|world| world.view.pods[1].services = vec!["users".to_owned()]);
    assert_eq!(
        said,
        "False RestartNeeded: 1 of 3 pods started before the Service had a route and does not mount its document (b); the operator restarts their workload"
    );
}

#[test]
fn a_sidecar_that_refuses_the_document_is_named_with_its_error() {
    let said = programmed(|world| {
        world.sidecars_work = false;
        let mut refusing = report(None);
        refusing.services =
            report(Some(&moorline_crds::document::Document { format_version: 1, service: id(), routes: Vec::new() }))
                .services;
        refusing.services[0].refused =
            Some(Refused { reason: "format_version".to_owned(), message: "this version reads format 0".to_owned() });
        world.view.pods[1].sidecar_version = "0.0.9".to_owned();
        world.view.pods[1].report = Some(Reported { at: at(1000), report: Some(Arc::new(refusing)), failures: 0 });
    });
    assert_eq!(
        said,
        "False DocumentRefused: the sidecar of b (version 0.0.9) refuses the document: format_version: this version reads format 0; 2 of 3 sidecars serve generation 1"
    );
}

#[test]
fn sidecars_that_cannot_be_asked_make_it_unknown() {
    let said = programmed(|world| {
        world.sidecars_work = false;
        silent(&mut world.view.pods[0], 3);
    });
    assert_eq!(
        said,
        "Unknown SidecarsUnreachable: the operator cannot ask the sidecar of a on port 8802 (3 tries); a NetworkPolicy has to let it; 2 of 3 sidecars serve generation 1"
    );
}

#[test]
fn a_question_or_two_without_an_answer_change_nothing() {
    let mut world = World::settled(vec![route("a", 1, "/a")]);
    world.sidecars_work = false;
    world.pass(Duration::from_mins(1));
    let last = world.view.pods[0].report.clone().unwrap();
    world.view.pods[0].report = Some(Reported { failures: 2, ..last });
    assert!(is_empty(&plan(&world.view)));
    silent(&mut world.view.pods[0], 2);
    assert!(is_empty(&plan(&world.view)));
}

#[test]
fn a_new_pod_that_was_not_asked_yet_turns_no_condition() {
    let mut world = World::settled(vec![route("a", 1, "/a")]);
    world.sidecars_work = false;
    world.view.pods.push(pod("d"));
    world.pass(Duration::from_mins(1));
    assert!(is_empty(&plan(&world.view)));
    world.sidecars_work = true;
    world.carry_out(&plan(&world.view));
    world.settle();
    assert_eq!(world.status("a").sidecars.as_ref().unwrap().summary, "4/4");
    assert!(world.events.iter().filter(|(reason, _)| *reason == "Programmed").count() == 1);
}

#[test]
fn a_route_counts_as_served_also_by_sidecars_with_an_older_document_that_has_it() {
    let mut world = World::settled(vec![route("a", 1, "/a"), route("b", 2, "/b")]);
    world.sidecars_work = false;
    world.replace(edited(world.route("b"), |route| route.spec.path = "/c".to_owned()));
    world.settle_within(Duration::from_secs(5));
    assert_eq!(world.says("a", "Programmed"), "True Programmed: all sidecars serve generation 1");
    assert_eq!(world.says("b", "Programmed"), "False Progressing: 0 of 3 sidecars serve generation 2; behind: a, b, c");
}

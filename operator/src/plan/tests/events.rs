//! Events: one for each turn.

use std::sync::Arc;
use std::time::Duration;

use crate::plan::testing::*;
use crate::plan::{Regarding, plan};
use crate::reasons::event;
use crate::view::{Refused, Reported};

fn reasons(world: &mut World) -> Vec<&'static str> {
    world.events.drain(..).map(|(reason, _)| reason).collect()
}

#[test]
fn each_turn_of_a_route_is_told_once() {
    let mut world = World::settled(vec![route("a", 1, "/a")]);
    assert_eq!(reasons(&mut world), [event::ACCEPTED, event::PROGRAMMED]);
    let good = world.route("a").clone();
    world.replace(broken(&good));
    world.settle();
    let (reason, message) = world.events.pop().unwrap();
    assert_eq!(reason, event::REJECTED);
    assert!(message.starts_with("generation 2: spec.routeSelectionExpression: "), "{message}");
    assert_eq!(reasons(&mut world), [""; 0]);
    let status = world.status("a").clone();
    world.replace(edited(&broken(&good), |route| {
        route.spec = good.spec.clone();
        route.status = Some(status);
    }));
    world.settle();
    assert_eq!(reasons(&mut world), [event::ACCEPTED, event::PROGRAMMED]);
}

#[test]
fn a_lost_service_is_told_and_its_return_is_silent_but_for_what_is_served() {
    let mut world = World::settled(vec![route("a", 1, "/a")]);
    reasons(&mut world);
    let service = world.view.service.take();
    world.settle();
    assert_eq!(
        world.events.drain(..).collect::<Vec<_>>(),
        [(
            event::REJECTED,
            "generation 1: there is no Service orders in namespace shop; generation 1 goes on being served".to_owned()
        )]
    );
    world.view.service = service;
    world.settle();
    assert_eq!(reasons(&mut world), [event::PROGRAMMED]);
}

#[test]
fn counts_are_no_news() {
    let mut world = World::settled(vec![route("a", 1, "/a")]);
    reasons(&mut world);
    world.view.bare_pods = vec![bare("x")];
    world.settle_within(Duration::from_secs(3));
    world.view.bare_pods.push(bare("y"));
    world.settle_within(Duration::from_secs(3));
    assert_eq!(reasons(&mut world), [""; 0]);
}

#[test]
fn a_refused_document_is_told_on_the_pod_and_once_for_all_routes() {
    let mut world = World::settled(vec![route("a", 1, "/a"), route("b", 2, "/b")]);
    world.sidecars_work = false;
    world.pass(Duration::from_mins(1));
    world.replace(edited(world.route("b"), |route| route.spec.path = "/c".to_owned()));
    world.carry_out(&plan(&world.view));
    let mut answer = (*world.view.pods[1].report.clone().unwrap().report.unwrap()).clone();
    answer.services[0].refused = Some(Refused { reason: "unreadable".to_owned(), message: "no".to_owned() });
    world.view.pods[1].report = Some(Reported { at: world.view.now, report: Some(Arc::new(answer)), failures: 0 });
    world.pass(Duration::from_secs(3));
    let plan = plan(&world.view);
    let told: Vec<_> = plan.statuses.iter().flat_map(|write| &write.events).collect();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].reason, event::SIDECAR_REFUSED_DOCUMENT);
    assert_eq!(told[0].message, "the document of Service shop/orders: unreadable: no");
    assert_eq!(told[0].on, Regarding::Pod { name: "b".to_owned(), uid: "b-uid".to_owned() });
    world.carry_out(&plan);
    world.pass(Duration::from_secs(3));
    assert!(crate::plan::plan(&world.view).statuses.is_empty());
}

#[test]
fn a_new_pod_with_a_misspelt_annotation_is_told_of_it_once() {
    let mut world = World::settled(vec![route("a", 1, "/a")]);
    let pod = &mut world.view.pods[1];
    pod.annotations = labels(&[("drain-windw", "3s"), ("services", "orders"), ("memory-limit", "much")]);
    assert!(plan(&world.view).events.is_empty(), "it is older than this process remembers");
    world.view.pods[1].created = Some(world.view.now);
    let told = plan(&world.view).events;
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].reason, told[0].is_warning), (event::UNKNOWN_ANNOTATION, true));
    assert_eq!(told[0].on, Regarding::Pod { name: "b".to_owned(), uid: "b-uid".to_owned() });
    assert!(told[0].message.starts_with(
        "annotation moorline.dev/drain-windw is unknown and ignored; did you mean moorline.dev/drain-window?; "
    ));
    assert!(told[0].message.contains("annotation moorline.dev/memory-limit: \"much\": "), "{}", told[0].message);
    world.view.pods[1].is_advised = true;
    assert!(plan(&world.view).events.is_empty());
}

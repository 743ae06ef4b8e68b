//! What holds in every world, however it came about.

use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::json;

use crate::plan::testing::*;
use crate::plan::{ServicePlan, plan};
use crate::view::{LiveDocument, Neighbour, ServiceView};
use moorline_crds::compile::{Backend, compile, route_id};
use moorline_crds::document::{Document, Route, ServiceId};
use moorline_crds::v1alpha1::{Rollout, WebSocketRoute};

/// Something that people, schedulers and nodes do.
#[derive(Debug, Clone)]
enum Step {
    /// A route is made or edited: name, age, path, hosts, whether it is exposed.
    Put(usize, i64, usize, usize, bool),
    Break(usize),
    Delete(usize),
    /// A route of a Service that shares pods.
    PutNeighbour(i64, usize),
    DropNeighbours,
    LosePort,
    FindPort,
    AddPod(usize),
    RemovePod(Index),
    BarePods(usize),
    /// The operator starts anew.
    Restart,
    Manual(usize),
}

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];
const PATHS: [&str; 4] = ["/x", "/y/{one}", "/y/{two}", "/z"];
const HOSTS: [&[&str]; 4] = [&[], &["a.example.com"], &["b.example.com", "A.example.com"], &["*.example.com"]];

fn step() -> impl Strategy<Value = Step> {
    let put = (0..NAMES.len(), 0..4i64, 0..PATHS.len(), 0..HOSTS.len(), any::<bool>());
    prop_oneof![
        6 => put.prop_map(|(name, age, path, hosts, exposed)| Step::Put(name, age, path, hosts, exposed)),
        2 => (0..NAMES.len()).prop_map(Step::Break),
        1 => (0..NAMES.len()).prop_map(Step::Delete),
        1 => (0..4i64, 0..PATHS.len()).prop_map(|(age, path)| Step::PutNeighbour(age, path)),
        1 => Just(Step::DropNeighbours),
        1 => Just(Step::LosePort),
        2 => Just(Step::FindPort),
        1 => (0..9usize).prop_map(Step::AddPod),
        1 => any::<Index>().prop_map(Step::RemovePod),
        1 => (0..3usize).prop_map(Step::BarePods),
        1 => Just(Step::Restart),
        1 => (0..NAMES.len()).prop_map(Step::Manual),
    ]
}

fn made(name: usize, age: i64, path: usize, hosts: usize, is_exposed: bool) -> WebSocketRoute {
    let mut more = json!({ "hosts": HOSTS[hosts] });
    if is_exposed && !HOSTS[hosts].is_empty() {
        more["expose"] = json!({ "ingress": {} });
    }
    route_with(NAMES[name], age, PATHS[path], &more)
}

/// Changes the world; says which route was changed, if one was.
fn change(world: &mut World, step: &Step) -> Option<&'static str> {
    let has = |world: &World, name: usize| {
        world.view.routes.iter().any(|route| route.metadata.name.as_deref() == Some(NAMES[name]))
    };
    match step {
        Step::Put(name, age, path, hosts, exposed) => {
            let new = made(*name, *age, *path, *hosts, *exposed);
            if has(world, *name) {
                let next = edited(world.route(NAMES[*name]), |route| route.spec = new.spec);
                world.replace(next);
            } else {
                world.view.routes.push(Arc::new(new));
            }
            return Some(NAMES[*name]);
        }
        Step::Break(name) if has(world, *name) => {
            world.replace(broken(world.route(NAMES[*name])));
            return Some(NAMES[*name]);
        }
        Step::Delete(name) => {
            world.delete(NAMES[*name]);
            return Some(NAMES[*name]);
        }
        Step::PutNeighbour(age, path) => {
            let id = ServiceId { namespace: "shop".to_owned(), name: "users".to_owned() };
            let mut route = route("neighbour", *age, PATHS[*path]);
            route.spec.service_ref.name = id.name.clone();
            let document = compile(&id, std::slice::from_ref(&route), &|_| Ok(Backend::at("127.0.0.1:1"))).document;
            let live = LiveDocument { hash: document.hash(), document: Some(Arc::new(document)) };
            world.view.neighbours = vec![Neighbour { id, routes: vec![Arc::new(route)], live: Some(live) }];
            return Some("neighbour");
        }
        Step::DropNeighbours => world.view.neighbours.clear(),
        Step::LosePort => world.view.service.as_mut().unwrap().ports.clear(),
        Step::FindPort => world.view.service = Some(service()),
        Step::AddPod(number) => {
            let new = pod(&format!("p{number}"));
            if world.view.pods.iter().all(|pod| pod.name != new.name) {
                world.view.pods.push(new);
            }
        }
        Step::RemovePod(index) => {
            if !world.view.pods.is_empty() {
                let index = index.index(world.view.pods.len());
                world.view.pods.remove(index);
            }
        }
        Step::BarePods(count) => world.view.bare_pods = NAMES[..*count].iter().map(|name| bare(name)).collect(),
        Step::Restart => {
            world.view.written.clear();
            world.view.pods.iter_mut().for_each(|pod| (pod.report, pod.nudged) = (None, None));
        }
        Step::Manual(name) if has(world, *name) => {
            world.replace(edited(world.route(NAMES[*name]), |route| route.spec.rollout = Some(Rollout::Manual)));
            return Some(NAMES[*name]);
        }
        Step::Break(_) | Step::Manual(_) => {}
    }
    None
}

/// Lives through the steps; after each, everything is done that is to do.
fn live_through(steps: &[Step]) -> World {
    let mut world = World::settled(vec![made(0, 1, 0, 0, false), made(1, 2, 3, 1, true)]);
    for step in steps {
        change(&mut world, step);
        settle(&mut world);
    }
    world
}

/// As `World::settle`, where repairs are answered by nobody.
fn settle(world: &mut World) {
    for _ in 0..40 {
        let plan = plan(&world.view);
        let idle = ServicePlan { repairs: plan.repairs.clone(), ..ServicePlan::default() };
        let is_idle = ServicePlan { recheck_after: None, ..plan.clone() } == idle;
        let has_new_pods = world.view.pods.iter().any(|pod| pod.report.is_none());
        if is_idle && plan.recheck_after.is_none() && !has_new_pods {
            return;
        }
        world.carry_out(&plan);
        world.pass(plan.recheck_after.unwrap_or(std::time::Duration::from_millis(100)));
    }
    panic!("no end in sight: {:#?}", plan(&world.view));
}

fn document(view: &ServiceView) -> Vec<Route> {
    let document: Option<&Document> = view.live.as_ref().and_then(|live| live.document.as_deref());
    document.map(|document| document.routes.clone()).unwrap_or_default()
}

fn same_place(a: &Route, b: &Route) -> bool {
    let same_host = (a.hosts.is_empty() && b.hosts.is_empty()) || a.hosts.iter().any(|host| b.hosts.contains(host));
    a.path.same_as(&b.path) && same_host
}

fn age_of(world: &World, route: &Route) -> (i64, String) {
    let neighbours = world.view.neighbours.iter().flat_map(|neighbour| &neighbour.routes);
    let manifest = world.view.routes.iter().chain(neighbours).find(|manifest| route_id(manifest) == route.id);
    let created = manifest.unwrap().metadata.creation_timestamp.as_ref().unwrap().0.as_second();
    (created, route.id.name.clone())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_plan_does_not_depend_on_the_order_of_anything(
        steps in prop::collection::vec(step(), 0..8), last in step(), seed in any::<u64>(),
    ) {
        let mut world = live_through(&steps);
        change(&mut world, &last);
        let first = plan(&world.view);
        let turn = |length: usize| usize::try_from(seed).unwrap_or(usize::MAX) % length.max(1);
        let view = &mut world.view;
        let by = turn(view.routes.len());
        view.routes.rotate_left(by);
        let by = turn(view.pods.len());
        view.pods.rotate_left(by);
        view.pods.reverse();
        view.bare_pods.reverse();
        view.routes.reverse();
        view.exposed_neighbours.reverse();
        if let Some(service) = &mut view.service {
            service.ports.reverse();
        }
        prop_assert_eq!(plan(&world.view), first);
    }

    #[test]
    fn every_world_comes_to_rest_and_stays_there(steps in prop::collection::vec(step(), 0..10)) {
        let mut world = live_through(&steps);
        world.view.bare_pods.clear();
        settle(&mut world);
        world.pass(std::time::Duration::from_hours(1));
        let plan = plan(&world.view);
        prop_assert!(is_empty(&plan) && plan.recheck_after.is_none(), "{plan:#?}");
    }

    #[test]
    fn no_two_routes_are_served_at_one_place_and_a_loser_names_an_older_winner(
        steps in prop::collection::vec(step(), 0..10),
    ) {
        let world = live_through(&steps);
        let mut served = document(&world.view);
        served.extend(world.view.neighbours.iter().flat_map(|neighbour| {
            neighbour.live.iter().flat_map(|live| live.document.iter().flat_map(|document| document.routes.clone()))
        }));
        for (index, route) in served.iter().enumerate() {
            let rival = served[..index].iter().find(|other| same_place(other, route));
            // A neighbour's document is not planned here; where it has lost, it will be changed by its own plan.
            if let Some(rival) = rival {
                prop_assert_eq!(route.id.name.as_str(), "neighbour");
                prop_assert!(age_of(&world, rival) < age_of(&world, route));
            }
        }
        for manifest in &world.view.routes {
            let Some(status) = &manifest.status else { continue };
            let conflict = status.conditions.iter().find(|found| found.type_ == "Accepted" && found.reason == "Conflict");
            let Some(conflict) = conflict else { continue };
            let winner = served.iter().find(|route| conflict.message.contains(&format!("route {} has", route.id)));
            prop_assert!(winner.is_some(), "{}", conflict.message);
            let created = manifest.metadata.creation_timestamp.as_ref().unwrap().0.as_second();
            prop_assert!(age_of(&world, winner.unwrap()) < (created, route_id(manifest).name));
        }
    }

    #[test]
    fn a_served_route_is_lost_only_by_its_own_deletion_or_to_an_older_one(
        steps in prop::collection::vec(step(), 0..8), last in step(),
    ) {
        let mut world = live_through(&steps);
        let before = document(&world.view);
        let changed = change(&mut world, &last);
        settle(&mut world);
        let mut after = document(&world.view);
        after.extend(world.view.neighbours.iter().flat_map(|neighbour| {
            neighbour.live.iter().flat_map(|live| live.document.iter().flat_map(|document| document.routes.clone()))
        }));
        for old in before {
            if matches!(last, Step::Delete(_)) && changed == Some(old.id.name.as_str()) {
                continue;
            }
            let is_served = after.iter().any(|route| route.id == old.id);
            let is_taken = after.iter().any(|other| same_place(other, &old) && age_of(&world, other) < age_of(&world, &old));
            prop_assert!(is_served || is_taken, "{} by {last:?}", old.id);
        }
    }

    #[test]
    fn what_the_status_says_of_a_route_is_what_its_document_has(steps in prop::collection::vec(step(), 0..10)) {
        let world = live_through(&steps);
        let served = document(&world.view);
        for manifest in &world.view.routes {
            let status = manifest.status.as_ref().unwrap();
            let entry = served.iter().find(|route| route.id == route_id(manifest));
            let condition = |type_: &str| status.conditions.iter().find(|found| found.type_ == type_).unwrap();
            let is_newest = condition("Accepted").status == "True" && condition("ResolvedRefs").status == "True";
            let generation = manifest.metadata.generation.unwrap();
            prop_assert_eq!(status.observed_generation, Some(generation));
            prop_assert_eq!(is_newest, entry.is_some_and(|entry| entry.generation == generation) && status.served_generation.is_none());
            let kept = entry.filter(|_| !is_newest).map(|entry| entry.generation);
            prop_assert_eq!(status.served_generation, kept);
            let is_programmed = is_newest && world.view.bare_pods.is_empty() && !world.view.pods.is_empty();
            prop_assert_eq!(condition("Programmed").status == "True", is_programmed);
        }
    }
}

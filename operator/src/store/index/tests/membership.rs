//! Which pods are behind which Service.

use proptest::prelude::*;

use super::*;

#[test]
fn a_pod_marks_only_the_services_that_select_it() {
    let mut world = World::default();
    world.service("orders", &[("app", "orders")]).service("users", &[("app", "users")]);
    world.route("a", "orders", "/a", 1).route("b", "users", "/b", 1);
    world.marked();
    world.pod("p", &[("app", "orders")], |_| {});
    assert_eq!(world.marked(), ["orders"]);
    world.pod("q", &[("app", "else")], |_| {});
    assert_eq!(world.marked(), Vec::<String>::new());
    world.pod("p", &[("app", "users")], |_| {});
    assert_eq!(world.marked(), ["orders", "users"]);
    assert!(world.view("orders").pods.is_empty());
    assert_eq!(world.view("users").pods.len(), 1);
}

#[test]
fn a_change_of_a_pod_that_nobody_reads_marks_nobody() {
    let mut world = World::default();
    world.service("orders", &[("app", "orders")]).route("a", "orders", "/a", 1).pod("p", &[("app", "orders")], |_| {});
    world.marked();
    world.pod("p", &[("app", "orders")], |pod| {
        pod["metadata"]["annotations"]["moorline.dev/documents"] = "orders=0123".into();
        pod["metadata"]["annotations"]["example.com/else"] = "x".into();
        pod["status"]["conditions"][0]["status"] = "False".into();
    });
    assert_eq!(world.marked(), Vec::<String>::new());
    world.pod("p", &[("app", "orders")], |pod| pod["status"]["podIP"] = "10.0.0.2".into());
    assert_eq!(world.marked(), ["orders"]);
}

#[test]
fn annotations_of_users_are_facts_and_those_we_write_are_not() {
    let mut world = World::default();
    world.service("orders", &[("app", "orders")]).route("a", "orders", "/a", 1);
    world.pod("p", &[("app", "orders")], |pod| {
        pod["metadata"]["annotations"]["moorline.dev/drain-widnow"] = "20s".into();
    });
    let pod = &world.view("orders").pods[0];
    assert_eq!(pod.annotations.keys().collect::<Vec<_>>(), ["drain-widnow"]);
    assert_eq!(pod.services, ["orders"]);
    assert_eq!(pod.sidecar_version, "0.1.0");
}

#[test]
fn a_pod_that_has_ended_is_gone() {
    let mut world = World::default();
    world.service("orders", &[("app", "orders")]).route("a", "orders", "/a", 1).pod("p", &[("app", "orders")], |_| {});
    world.marked();
    world.pod("p", &[("app", "orders")], |pod| pod["status"]["phase"] = "Failed".into());
    assert_eq!(world.marked(), ["orders"]);
    assert!(world.view("orders").pods.is_empty());
}

#[test]
fn pods_behind_a_service_without_a_sidecar_are_bare() {
    let mut world = World::default();
    world.service("orders", &[("app", "orders")]).route("a", "orders", "/a", 1).pod("p", &[("app", "orders")], |_| {});
    world.marked();
    world.slice("s", "orders", &[("p", false), ("bare", false), ("leaving", true)]);
    assert_eq!(world.marked(), ["orders"]);
    let bare = world.view("orders").bare_pods;
    assert_eq!(
        bare.iter().map(|pod| (pod.name.as_str(), pod.uid.as_str())).collect::<Vec<_>>(),
        [("bare", "uid-bare")]
    );
    world.slice("s", "orders", &[("p", false), ("bare", false)]);
    assert_eq!(world.marked(), Vec::<String>::new(), "the same pods");
    world.index.remove_slice("shop", "s", Version::default());
    assert_eq!(world.marked(), ["orders"]);
    assert!(world.view("orders").bare_pods.is_empty());
}

#[test]
fn a_pod_that_was_just_deleted_is_not_bare_while_its_endpoint_is_still_there() {
    let mut world = World::default();
    world.service("orders", &[("app", "orders")]).route("a", "orders", "/a", 1).pod("p", &[("app", "orders")], |_| {});
    world.slice("s", "orders", &[("p", false)]);
    world.index.remove_pod("shop", "p", Version::default());
    assert!(world.view("orders").bare_pods.is_empty());
}

#[test]
fn a_bare_pod_that_takes_the_name_of_an_injected_one_is_bare() {
    let mut world = World::default();
    world.service("db", &[("app", "db")]).route("a", "db", "/a", 1);
    world.pod("db-0", &[("app", "db")], |pod| pod["metadata"]["uid"] = "earlier".into());
    world.slice("s", "db", &[("db-0", false)]);
    assert_eq!(world.view("db").bare_pods.len(), 1);
}

#[test]
fn a_slice_of_a_service_without_routes_marks_nobody() {
    let mut world = World::default();
    world.slice("s", "orders", &[("p", false)]);
    assert_eq!(world.marked(), Vec::<String>::new());
    world.route("a", "orders", "/a", 1);
    assert_eq!(world.view("orders").bare_pods.len(), 1);
}

/// One change of the world.
#[derive(Debug, Clone)]
enum Change {
    Service(u8, u8),
    NoService(u8),
    Route(u8, u8),
    NoRoute(u8),
    Pod(u8, u8),
    NoPod(u8),
}

fn change() -> impl Strategy<Value = Change> {
    let few = || 0..4u8;
    prop_oneof![
        (few(), few()).prop_map(|(name, app)| Change::Service(name, app)),
        few().prop_map(Change::NoService),
        (few(), few()).prop_map(|(name, service)| Change::Route(name, service)),
        few().prop_map(Change::NoRoute),
        (few(), few()).prop_map(|(name, app)| Change::Pod(name, app)),
        few().prop_map(Change::NoPod),
    ]
}

fn apply(world: &mut World, change: &Change) {
    let name = |prefix: &str, n: u8| format!("{prefix}{n}");
    match change {
        Change::Service(n, app) => drop(world.service(&name("s", *n), &[("app", &name("a", *app))])),
        Change::NoService(n) => world.index.remove_service("shop", &name("s", *n), Version::default()),
        Change::Route(n, service) => {
            let generation = i64::try_from(world.next_version()).unwrap();
            world.route(&name("r", *n), &name("s", *service), "/ws", generation);
        }
        Change::NoRoute(n) => {
            let id = RouteId { namespace: "shop".to_owned(), name: name("r", *n) };
            world.index.remove_route(&id, Version::default());
        }
        Change::Pod(n, app) => drop(world.pod(&name("p", *n), &[("app", &name("a", *app))], |_| {})),
        Change::NoPod(n) => world.index.remove_pod("shop", &name("p", *n), Version::default()),
    }
}

proptest! {
    #[test]
    fn after_any_changes_each_tracked_service_knows_its_pods_and_they_know_it(
        changes in prop::collection::vec(change(), 1..60)
    ) {
        let mut world = World::default();
        for change in &changes {
            apply(&mut world, change);
        }
        let Some(known) = world.index.namespaces.get("shop") else { return Ok(()) };
        for (name, tracked) in &known.tracked {
            prop_assert!(!tracked.routes.is_empty(), "{name} is tracked for nothing");
            let selected: BTreeSet<String> = known
                .pods
                .iter()
                .filter(|(_, pod)| {
                    known.services.get(name).is_some_and(|service| selects(&service.facts, &pod.labels))
                })
                .map(|(pod, _)| pod.clone())
                .collect();
            prop_assert_eq!(&tracked.pods, &selected);
        }
        for (name, pod) in &known.pods {
            let by: BTreeSet<String> = known
                .tracked
                .iter()
                .filter(|(_, tracked)| tracked.pods.contains(name))
                .map(|(service, _)| service.clone())
                .collect();
            prop_assert_eq!(&pod.selected_by, &by);
        }
        for route in known.routes.values() {
            let service = &route.manifest.spec.service_ref.name;
            prop_assert!(known.tracked.contains_key(service));
        }
    }
}

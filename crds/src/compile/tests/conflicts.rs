#![allow(clippy::unwrap_used)] // tests fail by panicking

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use proptest::prelude::*;

use super::super::*;
use crate::codec::{decode, encode};
use crate::testing::{manifest, upstream};

fn named(name: &str, namespace: &str, created: Option<i64>, path: &str, hosts: &[&str]) -> WebSocketRoute {
    let mut route = manifest("  path: /ws\n  routes: [{key: $default}]\n");
    route.metadata.name = Some(name.to_owned());
    route.metadata.namespace = Some(namespace.to_owned());
    route.metadata.creation_timestamp =
        created.map(|second| Time(k8s_openapi::jiff::Timestamp::from_second(second).unwrap()));
    route.spec.path = path.to_owned();
    route.spec.hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
    route
}

fn conflict(routes: &[WebSocketRoute]) -> (Vec<String>, Vec<String>) {
    let compiled = compile(&service_of(&routes[0]), routes, &upstream);
    let names = compiled.document.routes.iter().map(|route| route.id.name.clone()).collect();
    (names, compiled.problems.iter().map(|problem| format!("{} {problem}", problem.route)).collect())
}

#[test]
fn the_oldest_route_wins_and_the_loser_names_it() {
    let routes = [
        named("young", "a", Some(200), "/ws/{x}", &[]),
        named("old", "a", Some(100), "/ws/{y}", &[]),
        named("elsewhere", "a", Some(300), "/ws/x", &[]),
    ];
    let lost = "a/young spec.path: \"/ws/{x}\": the older route a/old serves this host and path";
    assert_eq!(conflict(&routes), (vec!["elsewhere".into(), "old".into()], vec![lost.to_owned()]));
}

#[test]
fn without_ages_the_name_decides() {
    let routes = [named("b", "a", None, "/ws", &[]), named("a", "a", None, "/ws", &[])];
    assert_eq!(conflict(&routes).0, ["a"]);
    let routes = [named("b", "a", None, "/ws", &[]), named("a", "a", Some(1), "/ws", &[])];
    assert_eq!(conflict(&routes).0, ["b"]);
}

#[test]
fn hosts_conflict_only_when_one_is_the_same() {
    let with =
        |a: &[&str], b: &[&str]| conflict(&[named("a", "n", None, "/ws", a), named("b", "n", None, "/ws", b)]).0.len();
    assert_eq!(with(&["x.example"], &["y.example", "X.example"]), 1);
    assert_eq!(with(&["*.x.example"], &["*.x.example"]), 1);
    assert_eq!(with(&["x.example"], &[]), 2);
    assert_eq!(with(&["a.x.example"], &["*.x.example"]), 2);
    assert_eq!(with(&[], &[]), 1);
}

#[test]
fn a_faulty_route_neither_serves_nor_wins() {
    let mut faulty = named("a", "n", Some(1), "/ws", &[]);
    faulty.spec.routes.clear();
    let (names, problems) = conflict(&[faulty, named("b", "n", Some(2), "/ws", &[])]);
    assert_eq!(names, ["b"]);
    assert_eq!(problems, ["n/a spec.routes: has at least one entry"]);
}

#[test]
fn two_routes_of_one_name_are_a_problem() {
    let (names, problems) = conflict(&[named("a", "n", None, "/one", &[]), named("a", "n", None, "/two", &[])]);
    assert_eq!(names, ["a"]);
    assert_eq!(problems, ["n/a metadata.name: \"a\": there is another route of this name"]);
}

fn routes() -> impl Strategy<Value = Vec<WebSocketRoute>> {
    let path = prop::sample::select(vec!["/ws", "/ws/{a}", "/ws/{b}", "/{a}/{b}", "bad", "/ws/x"]);
    let host = prop::sample::select(vec![&[][..], &["a.example"], &["*.a.example", "a.example"], &["bad host"]]);
    let expression = prop::sample::select(vec!["/x", "/${request.body.a.b}", "/${request.path.a}", "/${nope}"]);
    let route =
        ("[a-c]", prop::option::of(0_i64..3), path, host, expression).prop_map(|(name, created, path, hosts, call)| {
            let mut route = named(&name, "n", created, path, hosts);
            let request =
                serde_json::json!({"method": "POST", "path": call, "body": {"z": 1.1, "a": ["${request.body.a}"]}});
            route.spec.routes[0].request = Some(serde_json::from_value(request).unwrap());
            route
        });
    prop::collection::vec(route, 1..6)
}

proptest! {
    #[test]
    fn the_order_of_the_routes_does_not_matter(routes in routes(), seed in any::<prop::sample::Index>()) {
        let service = service_of(&routes[0]);
        let compiled = compile(&service, &routes, &upstream);
        let mut permuted = routes.clone();
        permuted.rotate_left(seed.index(routes.len()));
        permuted.reverse();
        let again = compile(&service, &permuted, &upstream);
        prop_assert_eq!(&again, &compiled);
        prop_assert_eq!(again.document.hash(), compiled.document.hash());
        let text = encode(&compiled.document);
        let decoded = decode(text.as_bytes()).unwrap();
        prop_assert_eq!(encode(&decoded), text);
        prop_assert_eq!(decoded, compiled.document);
    }
}

//! What sidecars say, and what they are told.

use serde_json::json;

use super::*;
use crate::view::Report;

fn key(name: &str) -> PodKey {
    PodKey { namespace: "shop".to_owned(), name: name.to_owned() }
}

fn report(services: &[(&str, &str)], connections: u64) -> Answer {
    let services: Vec<_> = services
        .iter()
        .map(|(name, hash)| json!({"namespace": "shop", "name": name, "hash": hash, "routes": []}))
        .collect();
    let report: Report =
        serde_json::from_value(json!({"version": "0.1.0", "connections": connections, "services": services})).unwrap();
    Answer::Report(report)
}

/// One Service with a document and a pod behind it that has not been asked.
fn one() -> (World, String) {
    let mut world = World::default();
    world.service("orders", &[("app", "orders")]).route("a", "orders", "/a", 1).pod("p", &[("app", "orders")], |_| {});
    let hash = world.document("orders", "/a", None);
    world.marked();
    world.asked();
    (world, hash)
}

fn answer(world: &mut World, answer: Answer) -> Option<Standing> {
    world.index.put_answer(&key("p"), "uid-p", answer, Timestamp::UNIX_EPOCH)
}

#[test]
fn a_pod_is_behind_until_it_says_that_it_serves_the_stored_document() {
    let (mut world, hash) = one();
    assert!(world.index.ask_target(&key("p")).unwrap().is_behind);
    assert_eq!(answer(&mut world, report(&[("orders", "sha256:old")], 0)), Some(Standing::Behind));
    assert_eq!(world.marked(), ["orders"]);
    assert_eq!(answer(&mut world, report(&[("orders", &hash)], 0)), Some(Standing::Well));
    assert_eq!(world.marked(), ["orders"]);
    assert!(!world.index.ask_target(&key("p")).unwrap().is_behind);
}

#[test]
fn an_answer_that_says_the_same_marks_nobody_whatever_the_connections() {
    let (mut world, hash) = one();
    answer(&mut world, report(&[("orders", &hash)], 1));
    world.marked();
    answer(&mut world, report(&[("orders", &hash)], 5000));
    assert_eq!(world.marked(), Vec::<String>::new());
}

#[test]
fn an_answer_for_an_earlier_pod_of_this_name_is_thrown_away() {
    let (mut world, hash) = one();
    let late = world.index.put_answer(&key("p"), "earlier", report(&[("orders", &hash)], 0), Timestamp::UNIX_EPOCH);
    assert_eq!(late, None);
    assert_eq!(world.marked(), Vec::<String>::new());
}

#[test]
fn the_last_answer_stays_while_the_pod_is_silent_and_the_first_failures_are_news() {
    let (mut world, hash) = one();
    answer(&mut world, report(&[("orders", &hash)], 0));
    world.marked();
    let mut news = 0;
    for _ in 0..20 {
        assert_eq!(answer(&mut world, Answer::Unreachable), Some(Standing::Silent));
        news += world.marked().len();
    }
    assert_eq!(news, 5, "the plan counts to three, and nobody wants a plan per failure for ever");
    let reported = world.view("orders").pods[0].report.clone().unwrap();
    assert_eq!((reported.failures, reported.report.is_some()), (20, true));
    answer(&mut world, report(&[("orders", &hash)], 0));
    assert_eq!(world.marked(), ["orders"]);
}

#[test]
fn a_new_document_asks_the_pods_of_its_service_and_no_other() {
    let (mut world, _) = one();
    world.service("users", &[("app", "users")]).route("b", "users", "/b", 1);
    world.pod("q", &[("app", "users")], |_| {});
    world.asked();
    world.document("orders", "/changed", Some(Instant::now()));
    assert_eq!(world.asked(), ["p"]);
    assert_eq!(world.marked(), ["orders", "users"], "the nudges wait for the plan that sees it");
}

#[test]
fn what_a_sidecar_said_before_it_restarted_counts_no_more() {
    let (mut world, hash) = one();
    answer(&mut world, report(&[("orders", &hash)], 0));
    world.pod("p", &[("app", "orders")], |pod| {
        pod["status"]["initContainerStatuses"][0]["restartCount"] = 1.into();
    });
    assert!(world.view("orders").pods[0].report.is_none());
    assert_eq!(world.asked(), ["p"]);
}

#[test]
fn a_pod_that_has_not_started_or_is_terminating_is_not_asked() {
    let (mut world, _) = one();
    world.pod("p", &[("app", "orders")], |pod| pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into());
    assert_eq!(world.index.ask_target(&key("p")), None);
    world.pod("p", &[("app", "orders")], |pod| pod["status"]["initContainerStatuses"][0]["started"] = false.into());
    assert_eq!(world.index.ask_target(&key("p")), None);
    world.pod("p", &[("app", "orders")], |pod| pod["status"]["podIP"] = "".into());
    assert_eq!(world.index.ask_target(&key("p")), None);
}

#[test]
fn each_nudge_of_a_pod_differs_from_the_one_before() {
    let (mut world, hash) = one();
    answer(&mut world, report(&[("orders", "sha256:old")], 0));
    let text = format!("orders={}", &hash["sha256:".len()..][..16]);
    for attempt in 1..=3u32 {
        let nudge = world.index.nudge(&key("p")).unwrap();
        let expected = if attempt == 1 { text.clone() } else { format!("{text};{attempt}") };
        assert_eq!(nudge.value, expected);
        world.index.nudged(&key("p"), nudge, Timestamp::UNIX_EPOCH);
        let nudged = world.view("orders").pods[0].nudged.clone().unwrap();
        assert_eq!((nudged.attempts, nudged.hash == hash), (attempt, true));
    }
    answer(&mut world, report(&[("orders", &hash)], 0));
    assert_eq!(world.index.nudge(&key("p")), None, "it caught up while it waited");
}

#[test]
fn a_new_leader_goes_on_from_what_the_pod_was_told() {
    let (mut world, hash) = one();
    let text = format!("orders={}", &hash["sha256:".len()..][..16]);
    world.pod("p", &[("app", "orders")], |pod| {
        pod["metadata"]["annotations"]["moorline.dev/documents"] = format!("{text};4").into();
    });
    assert_eq!(world.index.nudge(&key("p")).unwrap().value, format!("{text};5"));
}

#[test]
fn a_pod_of_two_services_is_told_of_both_documents() {
    let (mut world, first) = one();
    world.service("users", &[("app", "orders")]).route("b", "users", "/b", 1);
    let second = world.document("users", "/b", None);
    world.pod("p", &[("app", "orders")], |pod| {
        pod["metadata"]["annotations"]["moorline.dev/services"] = "orders,users".into();
    });
    let nudge = world.index.nudge(&key("p")).unwrap();
    assert_eq!(nudge.hashes.into_values().collect::<Vec<_>>(), [first.clone(), second.clone()]);
    answer(&mut world, report(&[("orders", &first)], 0));
    assert!(world.index.ask_target(&key("p")).unwrap().is_behind);
    answer(&mut world, report(&[("orders", &first), ("users", &second)], 0));
    assert!(!world.index.ask_target(&key("p")).unwrap().is_behind);
}

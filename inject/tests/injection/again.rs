//! A second look at an injected pod that changed in between.

use moorline_inject::{Asked, InjectSettings, Outcome, Request, RoutedService, Skip, inject};
use serde_json::{Value, json};

fn request(services: &[&str]) -> Request {
    let services = services.iter().map(|name| RoutedService { name: (*name).to_owned(), target_ports: Vec::new() });
    Request { asked: Asked::Pod, namespace: "shop".to_owned(), services: services.collect() }
}

fn injected(pod: &Value, services: &[&str]) -> Value {
    let outcome = inject(pod, &request(services), &InjectSettings::default());
    let Outcome::Injected { patch, .. } = outcome else { panic!("{outcome:?}") };
    let mut pod = pod.clone();
    json_patch::patch(&mut pod, &patch).unwrap();
    pod
}

fn bare() -> Value {
    json!({"metadata": {"name": "orders"}, "spec": {"containers": [{"name": "app", "image": "orders:1"}]}})
}

fn sources(pod: &Value) -> Vec<&str> {
    let sources = pod["spec"]["volumes"][0]["projected"]["sources"].as_array().unwrap();
    sources.iter().filter_map(|source| source["configMap"]["name"].as_str()).collect()
}

#[test]
fn a_service_that_got_a_route_after_injection_is_mounted_too() {
    let once = injected(&bare(), &["orders"]);
    let twice = injected(&once, &["admin", "orders"]);
    assert_eq!(sources(&twice), ["orders-moorline", "admin-moorline"]);
    assert_eq!(twice["metadata"]["annotations"]["moorline.dev/services"], "admin,orders");
    assert_eq!(twice["spec"]["initContainers"], once["spec"]["initContainers"]);
}

#[test]
fn a_service_that_lost_its_route_stays_mounted() {
    let once = injected(&bare(), &["admin", "orders"]);
    assert_eq!(inject(&once, &request(&["orders"]), &InjectSettings::default()), Outcome::Unchanged);
    assert_eq!(inject(&once, &request(&[]), &InjectSettings::default()), Outcome::Unchanged);
}

#[test]
fn a_pod_as_the_api_server_returns_it_is_unchanged() {
    let mut pod = injected(&bare(), &[]);
    // It makes `null` of the empty list and fills in defaults.
    pod["spec"]["volumes"][0]["projected"] = json!({"defaultMode": 420, "sources": null});
    assert_eq!(inject(&pod, &request(&[]), &InjectSettings::default()), Outcome::Unchanged);
    let pod = injected(&pod, &["orders"]);
    assert_eq!(sources(&pod), ["orders-moorline"]);
}

#[test]
fn another_version_of_the_sidecar_is_left_in_place() {
    let once = injected(&bare(), &["orders"]);
    let newer = InjectSettings {
        image: "moorline/moorline:9.9.9".to_owned(),
        version: "9.9.9".to_owned(),
        ..InjectSettings::default()
    };
    assert_eq!(inject(&once, &request(&["orders"]), &newer), Outcome::Unchanged);
}

#[test]
fn a_container_that_another_webhook_added_in_between_gets_its_hook() {
    let mut pod = injected(&bare(), &["orders"]);
    pod["spec"]["containers"].as_array_mut().unwrap().push(json!({"name": "late", "image": "late:1"}));
    let pod = injected(&pod, &["orders"]);
    assert_eq!(pod["spec"]["containers"][1]["lifecycle"]["preStop"]["httpGet"]["path"], "/drained");
}

#[test]
fn an_injected_pod_that_somebody_took_apart_is_left_alone() {
    let mut pod = injected(&bare(), &["orders"]);
    pod["spec"]["volumes"][0] = json!({"name": "moorline-config", "configMap": {"name": "mine"}});
    let outcome = inject(&pod, &request(&["orders"]), &InjectSettings::default());
    assert!(matches!(outcome, Outcome::Skipped { reason: Skip::AlreadyInjected, .. }), "{outcome:?}");
    assert!(outcome.notices().is_empty());
}

#[test]
fn the_label_alone_does_not_make_a_pod_injected() {
    let mut pod = bare();
    pod["metadata"]["labels"] = json!({"moorline.dev/injected": "true"});
    assert_eq!(injected(&pod, &["orders"])["spec"]["initContainers"][0]["name"], "moorline");
}

#[test]
fn whoever_makes_a_pod_is_told_what_stands_in_the_way_and_not_what_was_meant() {
    let mut pod = bare();
    pod["spec"]["hostNetwork"] = json!(true);
    let notices = inject(&pod, &request(&["orders"]), &InjectSettings::default()).notices();
    assert_eq!(
        notices,
        [
            "the pod starts without the Moorline sidecar (HostNetwork): it uses the network of its node, where the sidecar's \
          ports would be the node's"
        ]
    );
    pod["metadata"]["labels"] = json!({"moorline.dev/inject": "disabled"});
    assert!(inject(&pod, &request(&["orders"]), &InjectSettings::default()).notices().is_empty());
}

#[test]
fn reasons_have_names_of_their_own() {
    let names: std::collections::BTreeSet<&str> = Skip::ALL.into_iter().map(Skip::name).collect();
    assert_eq!(names.len(), Skip::ALL.len());
}

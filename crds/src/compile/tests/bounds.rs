//! What the API server would refuse by the schema alone.
//!
//! A table of their own, because its rows are long texts; and the keywords of the schema, so that none comes in that
//! nothing checks.

use std::collections::BTreeSet;

use kube::CustomResourceExt as _;
use serde_json::Value;

use super::problems;
use crate::v1alpha1::WebSocketRoute;

const ROUTES: &str = "  routes: [{key: $default}]\n";

#[test]
fn the_bounds_of_the_schema_are_checked_without_an_api_server() {
    let long = |count: usize| "a".repeat(count);
    let list = |count: usize, entry: &dyn Fn(usize) -> String| (0..count).map(entry).collect::<Vec<_>>().join(", ");
    let entry = |text: &str| format!("  path: /ws\n  routes: [{{key: get, {text}}}]\n");
    let route = |text: &str| format!("  path: /ws\n{ROUTES}  {text}\n");
    let rows: Vec<(String, Vec<&str>)> = vec![
        (format!("  path: /{}\n{ROUTES}", long(1023)), vec![]),
        (
            format!("  path: /{}\n{ROUTES}", long(1999)),
            vec!["spec.path: is at most 1024 characters long, and not 2000"],
        ),
        // One problem for one mistake, in the words of the parser where it has some.
        (format!("  path: ''\n{ROUTES}"), vec!["spec.path: \"\": starts with exactly one `/`"]),
        (
            format!("  path: /ws\n  routes: [{{key: a}}, {{key: {}}}]\n", long(200)),
            vec!["spec.routes[1].key: is at most 128 characters long, and not 200"],
        ),
        // Characters, not bytes.
        (format!("  path: /ws\n  routes: [{{key: {}}}]\n", "é".repeat(128)), vec![]),
        (
            format!("  path: /ws\n  routes: [{}]\n", list(129, &|index| format!("{{key: k{index}}}"))),
            vec!["spec.routes: is at most 128 entries long, and not 129"],
        ),
        (
            route(&format!("headers: {{x-a: {}}}", long(4097))),
            vec!["spec.headers.x-a: is at most 4096 characters long, and not 4097"],
        ),
        (
            route(&format!("headers: {{{}}}", list(65, &|index| format!("x-{index}: a")))),
            vec!["spec.headers: is at most 64 entries long, and not 65"],
        ),
        (
            route(&format!("subprotocols: [{}]", long(129))),
            vec!["spec.subprotocols[0]: is at most 128 characters long, and not 129"],
        ),
        (route("hosts: [a.example, b.example, a.example]"), vec!["spec.hosts[2]: \"a.example\": is there twice"]),
        (route("routeSelectionExpression: ''"), vec!["spec.routeSelectionExpression: is not empty"]),
        (
            route("limits: {queueBytes: 1023, answerBytes: 67108865, appConnections: 4097}"),
            vec![
                "spec.limits.answerBytes: 67108865: is between 1 and 67108864",
                "spec.limits.appConnections: 4097: is between 1 and 4096",
                "spec.limits.queueBytes: 1023: is between 1024 and 1073741824",
            ],
        ),
        (
            entry(&format!("request: {{method: GET, path: /{}}}", long(2048))),
            vec!["spec.routes[0].request.path: is at most 2048 characters long, and not 2049"],
        ),
        (
            entry(&format!("request: {{method: GET, path: /a, query: {{q: {}}}}}", long(4097))),
            vec!["spec.routes[0].request.query.q: is at most 4096 characters long, and not 4097"],
        ),
        (
            entry(&format!("join: [{}]", list(33, &|index| format!("g{index}")))),
            vec!["spec.routes[0].join: is at most 32 entries long, and not 33"],
        ),
        // A body has no bounds of its own.
        (entry(&format!("request: {{method: POST, path: /a, body: {{a: {}}}}}", long(5000))), vec![]),
    ];
    for (spec, expected) in rows {
        assert_eq!(problems(&spec), expected, "{spec}");
    }
}

#[test]
fn a_service_name_that_kubernetes_cannot_have_is_refused() {
    let mut route = crate::testing::manifest(&format!("  path: /ws\n{ROUTES}"));
    route.spec.service_ref.name = "a".repeat(100);
    let compiled = super::compile(&super::service_of(&route), &[route], &crate::testing::upstream);
    let found: Vec<_> = compiled.problems.iter().map(ToString::to_string).collect();
    assert_eq!(found, ["spec.serviceRef.name: is at most 63 characters long, and not 100"]);
}

#[test]
fn every_keyword_of_the_schema_is_checked_by_something() {
    const BOUNDS: [&str; 8] = [
        "maxLength",
        "minLength",
        "maxItems",
        "minItems",
        "maxProperties",
        "maximum",
        "minimum",
        "x-kubernetes-list-type",
    ];
    // The types refuse these when a manifest is read.
    const TYPES: [&str; 9] =
        ["type", "format", "enum", "required", "nullable", "default", "properties", "items", "additionalProperties"];
    // The parsers of `compile`, each with a row in its table; and what is for readers only.
    const OTHERS: [&str; 6] = [
        "pattern",
        "x-kubernetes-validations",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-int-or-string",
        "x-kubernetes-preserve-unknown-fields",
        "description",
    ];
    let crd = serde_json::to_value(WebSocketRoute::crd()).unwrap();
    let mut found = BTreeSet::new();
    keywords(&crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"], &mut found);
    let known: BTreeSet<String> = BOUNDS.iter().chain(&TYPES).chain(&OTHERS).map(ToString::to_string).collect();
    assert_eq!(found.difference(&known).collect::<Vec<_>>(), Vec::<&String>::new());
    assert!(BOUNDS.iter().all(|bound| found.contains(*bound)), "{found:?}");
}

fn keywords(schema: &Value, found: &mut BTreeSet<String>) {
    found.extend(schema.as_object().into_iter().flatten().map(|(keyword, _)| keyword.clone()));
    for property in schema["properties"].as_object().into_iter().flatten().map(|(_, property)| property) {
        keywords(property, found);
    }
    for inner in ["items", "additionalProperties"] {
        if schema[inner].is_object() {
            keywords(&schema[inner], found);
        }
    }
}

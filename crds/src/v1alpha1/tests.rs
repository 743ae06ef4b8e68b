#![allow(clippy::unwrap_used)] // tests fail by panicking

use kube::CustomResourceExt;
use kube::core::cel::{ScopeContext, Validator, analyze_rule, compile_schema};
use serde_json::{Value, json};

use super::*;
use crate::compile::{compile, service_of};
use crate::testing::upstream;

fn schema() -> Value {
    let crd = serde_json::to_value(WebSocketRoute::crd()).unwrap();
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

/// A route with these fields beside the needed ones.
fn route(spec: &Value) -> Value {
    let mut full = json!({"serviceRef": {"name": "app", "port": 80}, "path": "/ws", "routes": [{"key": "$default"}]});
    for (name, value) in spec.as_object().unwrap() {
        full[name] = value.clone();
    }
    json!({"apiVersion": "moorline.dev/v1alpha1", "kind": "WebSocketRoute", "metadata": {"name": "a"}, "spec": full})
}

/// The messages of the CEL rules a route breaks.
fn broken(spec: &Value) -> Vec<String> {
    match Validator::new().validate(&schema(), &route(spec), None) {
        Ok(()) => Vec::new(),
        Err(errors) => errors.into_vec().into_iter().map(|error| error.message).collect(),
    }
}

fn entry(entry: &Value) -> Value {
    json!({"routes": [entry]})
}

#[test]
fn the_rules_accept_what_is_right() {
    for spec in [
        json!({}),
        json!({"path": "/ws/{tenant}"}),
        json!({"limits": {"messagesPerSecond": 1, "messageBurst": 2, "rateAction": "Close", "frameBytes": 131_072}}),
        json!({"limits": {"acceptsPerSecond": 1, "acceptBurst": 2, "messageBytes": 10, "frameBytes": 10}}),
        json!({"limits": {}}),
        entry(
            &json!({"key": "$connect", "user": "${response.body.user}", "join": ["a"], "request": {"method": "GET", "path": "/a"}}),
        ),
        entry(&json!({"key": "$connect", "reply": {"body": "hello"}})),
        entry(&json!({"key": "$disconnect", "join": [], "reply": {"to": "All", "body": {"a": 1}}})),
        entry(&json!({"key": "a", "reply": {"envelope": true}})),
        entry(&json!({"key": "a", "reply": {"to": "Sender", "envelope": true}})),
        entry(&json!({"key": "a", "reply": {"to": "Group", "group": "x", "envelope": false}})),
        entry(&json!({"key": "a", "reply": {"to": "User", "user": "x"}})),
        entry(&json!({"key": "a", "reply": {"to": "None"}})),
    ] {
        assert_eq!(broken(&spec), Vec::<String>::new(), "{spec}");
    }
}

#[test]
fn each_rule_refuses_what_is_wrong() {
    let request = |path: &str| entry(&json!({"key": "a", "request": {"method": "GET", "path": path}}));
    for (spec, message) in [
        (json!({"path": "ws"}), "path starts with exactly one /"),
        (json!({"path": "//ws"}), "path starts with exactly one /"),
        (json!({"path": "/ws?a"}), "path holds no ? or #"),
        (json!({"path": "/ws#a"}), "path holds no ? or #"),
        (request("a"), "path starts with exactly one /"),
        (request("//a"), "path starts with exactly one /"),
        (request("${request.body.a}"), "path starts with exactly one /"),
        (entry(&json!({"key": "$other"})), "a key that starts with $ is one of $connect, $disconnect and $default"),
        (entry(&json!({"key": "a", "user": "x"})), "user is possible only on $connect"),
        (
            entry(&json!({"key": "$disconnect", "join": ["a"]})),
            "join and leave are not possible on $disconnect: the connection has left every group",
        ),
        (
            entry(&json!({"key": "$disconnect", "leave": ["a"]})),
            "join and leave are not possible on $disconnect: the connection has left every group",
        ),
        (
            entry(&json!({"key": "$disconnect", "reply": {"body": "a"}})),
            "a reply on $disconnect cannot go to the sender, who is gone; set to",
        ),
        (
            entry(&json!({"key": "$disconnect", "reply": {"to": "Sender", "body": "a"}})),
            "a reply on $disconnect cannot go to the sender, who is gone; set to",
        ),
        (entry(&json!({"key": "$connect", "reply": {"envelope": true}})), "envelope is possible only for messages"),
        (entry(&json!({"key": "a", "reply": {"to": "Group"}})), "group is set exactly when to is Group"),
        (entry(&json!({"key": "a", "reply": {"group": "x"}})), "group is set exactly when to is Group"),
        (entry(&json!({"key": "a", "reply": {"to": "User"}})), "user is set exactly when to is User"),
        (entry(&json!({"key": "a", "reply": {"to": "All", "user": "x"}})), "user is set exactly when to is User"),
        (
            entry(&json!({"key": "a", "reply": {"to": "All", "envelope": true}})),
            "envelope is possible only when the reply goes to the sender",
        ),
        (json!({"limits": {"messageBurst": 1}}), "messageBurst needs messagesPerSecond"),
        (json!({"limits": {"rateAction": "Wait"}}), "rateAction needs messagesPerSecond"),
        (json!({"limits": {"acceptBurst": 1}}), "acceptBurst needs acceptsPerSecond"),
        (json!({"limits": {"frameBytes": 131_073}}), "frameBytes is at most messageBytes"),
        (json!({"limits": {"messageBytes": 10, "frameBytes": 11}}), "frameBytes is at most messageBytes"),
    ] {
        assert_eq!(broken(&spec), [message], "{spec}");
        // What the API server refuses, compile refuses: manifests on a laptop meet no API server.
        let route: WebSocketRoute = serde_json::from_value(route(&spec)).unwrap();
        assert!(!compile(&service_of(&route), &[route], &upstream).problems.is_empty(), "{spec}");
    }
}

/// Calls `visit` with every schema below `schema` and its place.
fn walk(schema: &Value, at: &str, visit: &mut dyn FnMut(&Value, &str)) {
    visit(schema, at);
    if let Some(properties) = schema["properties"].as_object() {
        for (name, property) in properties {
            walk(property, &format!("{at}.{name}"), visit);
        }
    }
    for inner in ["items", "additionalProperties"] {
        if schema[inner].is_object() {
            walk(&schema[inner], &format!("{at}.*"), visit);
        }
    }
}

#[test]
fn the_rules_stay_within_the_cost_the_api_server_allows() {
    let mut rules = 0;
    walk(&schema(), "", &mut |schema, at| {
        let compiled = compile_schema(schema);
        assert!(!compiled.has_errors(), "{at}: {:?}", compiled.compilation_errors());
        for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
            rules += 1;
            let rule = rule["rule"].as_str().unwrap();
            assert_eq!(analyze_rule(rule, &compiled, ScopeContext::CrdValidation), [], "{at}: {rule}");
        }
    });
    assert_eq!(rules, 17);
}

#[test]
fn every_string_list_and_map_is_bounded_and_every_field_documented() {
    walk(&schema()["properties"]["spec"], "spec", &mut |schema, at| {
        let bound = match schema["type"].as_str() {
            Some("string") if schema["enum"].is_null() => Some("maxLength"),
            Some("array") => Some("maxItems"),
            Some("object") if schema["additionalProperties"].is_object() => Some("maxProperties"),
            Some("integer") => Some("maximum"),
            _ => None,
        };
        assert!(bound.is_none_or(|bound| schema[bound].is_number()), "{at} has no {bound:?}");
        let documented =
            schema["description"].as_str().is_some_and(|text| text.trim_end().ends_with('.') && text.len() > 15);
        assert!(documented || at.ends_with('*'), "{at}: {}", schema["description"]);
        assert_ne!(schema["additionalProperties"], json!(false), "{at}: not a structural schema");
    });
}

#[test]
fn keys_are_unique_by_the_type_of_the_list() {
    let routes = &schema()["properties"]["spec"]["properties"]["routes"];
    assert_eq!(routes["x-kubernetes-list-type"], "map");
    assert_eq!(routes["x-kubernetes-list-map-keys"], json!(["key"]));
}

#[test]
fn unknown_fields_are_errors_everywhere() {
    for spec in [
        json!({"auth": {}}),
        json!({"backend": "REST"}),
        entry(&json!({"key": "a", "watch": {}})),
        entry(&json!({"key": "a", "request": {"method": "GET", "path": "/", "url": "x"}})),
        entry(&json!({"key": "a", "reply": {"too": "All"}})),
        json!({"limits": {"messageByte": 1}}),
        json!({"errors": {"frame": 1}}),
        json!({"serviceRef": {"name": "a", "port": 1, "namespace": "x"}}),
    ] {
        let error = serde_json::from_value::<WebSocketRoute>(route(&spec)).unwrap_err();
        assert!(error.to_string().contains("unknown field"), "{spec}: {error}");
    }
}

#[test]
fn the_default_selection_is_the_one_of_the_schema() {
    assert_eq!(
        schema()["properties"]["spec"]["properties"]["routeSelectionExpression"]["default"],
        default_selection()
    );
}

#[test]
fn durations_are_those_of_the_gateway_api() {
    use std::time::Duration;
    for (text, expected) in [
        ("0s", Some(0)),
        ("30s", Some(30_000)),
        ("1h30m", Some(5_400_000)),
        ("500ms", Some(500)),
        ("1h1m1s1ms", Some(3_661_001)),
        ("1m1m", Some(120_000)),
        ("", None),
        ("30", None),
        ("s", None),
        ("-1s", None),
        ("1.5s", None),
        ("1d", None),
        ("1 s", None),
        ("100000s", None),
        ("1s1s1s1s1s", None),
        ("1sx", None),
    ] {
        let found = DurationText(text.to_owned()).parse().ok();
        assert_eq!(found, expected.map(Duration::from_millis), "{text}");
    }
}

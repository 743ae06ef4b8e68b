#![allow(clippy::unwrap_used)] // tests fail by panicking

use proptest::prelude::*;

use super::*;

const ROUTE: &str = "# A comment first.
apiVersion: v1
kind: Service
metadata: {name: app}
---
apiVersion: moorline.dev/v1alpha1
kind: WebSocketRoute
metadata:
  name: one
spec:
  serviceRef: {name: app, port: http}
  path: /ws/{tenant}
  routes:
  - key: $connect
    request:
      method: POST
      path: /sessions
  -
    key: get
    request: {method: GET,
      path: '/a/${request.body.id}'}
    join:
    - a
    - b
---
---
apiVersion: moorline.dev/v1alpha1
kind: WebSocketRoute
metadata: {name: two}
spec: {serviceRef: {name: app, port: 80}, path: /two, routes: [{key: $default}]}
";

#[test]
fn the_routes_of_a_file_are_found_with_their_lines() {
    let found: Vec<_> = parse_manifests(ROUTE).into_iter().map(Result::unwrap).collect();
    let names: Vec<_> = found.iter().map(|m| (m.index, m.line, m.route.metadata.name.clone().unwrap())).collect();
    assert_eq!(names, [(1, 6, "one".to_owned()), (3, 27, "two".to_owned())]);
}

#[test]
fn every_field_has_a_line() {
    let outline = Outline::of(ROUTE);
    for (field, line) in [
        ("spec", Some(10)),
        ("spec.path", Some(12)),
        ("spec.routes[0].request.path", Some(17)),
        ("spec.routes[0].request.timeout", Some(15)),
        ("spec.routes[1]", Some(19)),
        ("spec.routes[1].request.path", Some(21)),
        ("spec.routes[1].join[1]", Some(24)),
        ("spec.limits.inFlight", Some(10)),
        ("nothing", None),
    ] {
        assert_eq!(outline.line(1, field), line, "{field}");
    }
    assert_eq!(outline.line(3, "spec.path"), Some(30));
    assert_eq!(outline.line(9, "spec.path"), None);
}

fn error(text: &str) -> (usize, String) {
    let mut found = parse_manifests(text);
    let error = found.pop().unwrap().unwrap_err();
    assert!(error.column >= 1 && found.iter().all(Result::is_ok));
    (error.line, error.to_string())
}

#[test]
fn every_unknown_field_is_told_at_once_and_the_rest_is_read() {
    let text = "apiVersion: moorline.dev/v1alpha1
kind: WebSocketRoute
metadata: {name: a}
spec:
  serviceRef: {name: app, port: 80}
  watch: {}
  path: /ws
  routes:
  - key: a
    nonsense: 1
    request: {method: GET, path: /a, more: 2}
";
    let found = parse_manifests(text);
    let errors: Vec<(usize, String)> = found
        .iter()
        .filter_map(|result| result.as_ref().err())
        .map(|error| (error.line, error.field.clone()))
        .collect();
    let expected = [(6, "spec.watch"), (10, "spec.routes[0].nonsense"), (11, "spec.routes[0].request.more")];
    assert_eq!(errors, expected.map(|(line, field)| (line, field.to_owned())));
    assert_eq!(found.iter().filter(|result| result.is_ok()).count(), 1);
}

#[test]
fn errors_name_line_and_field() {
    let head = "apiVersion: moorline.dev/v1alpha1\nkind: WebSocketRoute\nmetadata: {name: a}\n";
    let spec = format!("{head}spec:\n  serviceRef: {{name: app, port: 80}}\n  path: /ws\n");
    for (text, line, message) in [
        (
            format!("{spec}  routes:\n  - key: a\n    requests: {{}}\n"),
            9,
            "spec.routes[0].requests: unknown field `requests`, expected one of",
        ),
        (format!("{spec}  patth: /\n  routes: []\n"), 7, "spec.patth: unknown field `patth`, expected one of"),
        (spec.clone(), 4, "spec: missing field `routes`"),
        (
            format!("{spec}  routes:\n  - key: a\n    request:\n      method: FETCH\n      path: /\n"),
            10,
            "spec.routes[0].request.method: unknown variant `FETCH`, expected one of",
        ),
        (
            format!("{spec}  limits: {{inFlight: many}}\n  routes: []\n"),
            7,
            "spec.limits.inFlight: invalid type: string \"many\", expected i32",
        ),
        (format!("{head}sepc: {{}}\n"), 4, "sepc: unknown field, expected metadata and spec"),
        (head.to_owned(), 1, "missing field `spec`"),
        ("kind: WebSocketRoute\n".to_owned(), 1, "has no apiVersion and kind"),
        (
            "apiVersion: moorline.dev/v1\nkind: WebSocketRoute\n".to_owned(),
            1,
            "apiVersion: \"moorline.dev/v1\": this version reads moorline.dev/v1alpha1",
        ),
        (
            "apiVersion: moorline.dev/v1alpha1\nkind: WebSocketRout\n".to_owned(),
            2,
            "kind: \"WebSocketRout\": this version reads WebSocketRoute",
        ),
        ("hello".to_owned(), 1, "is not a Kubernetes manifest"),
        ("a: [1\nb: 2\n".to_owned(), 2, "did not find expected"),
        (format!("{ROUTE}---\na: b: c\n"), 32, "mapping values are not allowed"),
    ] {
        let (found_line, found) = error(&text);
        assert!(found.starts_with(message), "{found}\nin\n{text}");
        assert_eq!(found_line, line, "{found}");
    }
}

#[test]
fn a_document_that_cannot_be_read_does_not_hide_the_next() {
    let text = ROUTE.replace("  path: /ws/{tenant}\n", "  path: /a\n  path: /b\n");
    let found = parse_manifests(&text);
    assert_eq!(found.len(), 2);
    let error = found[0].as_ref().unwrap_err();
    assert!(error.message.contains("duplicate entry with key \"path\""), "{error}");
    assert_eq!(found[1].as_ref().unwrap().route.metadata.name.as_deref(), Some("two"));
}

#[test]
fn any_text_ends() {
    for text in [
        "---\n[\n---\n]\n---\na: 1\n",
        "\t",
        "{",
        "- a\nb",
        "&a *a",
        "%YAML 9.9\n---\n",
        "a: |\n---\n---\n",
        "\0",
        "!!x",
    ] {
        assert!(parse_manifests(text).len() <= 3, "{text:?}");
    }
}

#[test]
fn a_file_of_nothing_has_no_routes() {
    for text in ["", "# nothing\n", "---\n---\n", "apiVersion: apps/v1\nkind: Deployment\n"] {
        assert_eq!(parse_manifests(text), [], "{text:?}");
    }
}

#[test]
fn the_committed_crd_is_the_generated_one() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/websocketroutes.moorline.dev.yaml");
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(committed == crd().unwrap(), "{CRD_PATH} is out of date; run `{CRD_COMMAND}`");
}

proptest! {
    #[test]
    fn reading_never_panics_and_always_ends(text in "[-a-z:{}\\[\\]#&*!|> \n'\"]{0,60}") {
        let _ = parse_manifests(&text);
    }
}

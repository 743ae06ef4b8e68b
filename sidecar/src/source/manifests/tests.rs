#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests fail by panicking

use super::*;

/// A manifest with one entry, whose path can be chosen.
pub(crate) fn manifest(namespace: &str, service: &str, port: &str, path: &str) -> String {
    format!(
        "apiVersion: moorline.dev/v1alpha1
kind: WebSocketRoute
metadata: {{name: {service}, namespace: {namespace}}}
spec:
  serviceRef: {{name: {service}, port: {port}}}
  path: /{service}
  routes:
  - key: get
    request:
      method: GET
      path: {path}
"
    )
}

/// The route of such a manifest.
pub(crate) fn route(namespace: &str, service: &str, port: &str) -> WebSocketRoute {
    let text = manifest(namespace, service, port, "/x");
    parse_manifests(&text).pop().unwrap().unwrap().route
}

fn given(files: &[(&str, &str)]) -> Vec<File> {
    files.iter().map(|(name, text)| file((*name).to_owned(), Ok((*text).to_owned()))).collect()
}

#[allow(clippy::unnecessary_wraps)] // the form that `compile` wants
fn resolve(_: &WebSocketRoute) -> Result<Backend, String> {
    Ok(Backend::at("127.0.0.1:3000"))
}

fn problems(files: &[File]) -> Vec<String> {
    compile_all(files, &resolve).problems.iter().map(ToString::to_string).collect()
}

#[test]
fn each_service_gets_its_own_document() {
    let files = given(&[
        ("a.yaml", &format!("{}---\n{}", manifest("shop", "orders", "1", "/a"), manifest("shop", "users", "1", "/b"))),
        ("b.yaml", &manifest("other", "orders", "1", "/c").replace("path: /orders", "path: /other")),
    ]);
    let compiled = compile_all(&files, &resolve);
    assert_eq!(compiled.problems, []);
    let services: Vec<String> = compiled.documents.iter().map(|document| document.service.to_string()).collect();
    assert_eq!(services, ["other/orders", "shop/orders", "shop/users"]);
    assert_eq!(compiled.manifests.len(), 3);
}

#[test]
fn two_services_cannot_serve_one_path_of_one_listener() {
    let files = given(&[
        ("a.yaml", &manifest("shop", "orders", "1", "/a")),
        ("b.yaml", &manifest("other", "orders", "1", "/c")),
    ]);
    let compiled = compile_all(&files, &resolve);
    let problems: Vec<String> = compiled.problems.iter().map(ToString::to_string).collect();
    assert_eq!(problems, ["a.yaml:6: spec.path: \"/orders\": the older route other/orders serves this host and path"]);
    assert_eq!(compiled.documents.len(), 1);
}

#[test]
fn every_problem_names_its_file_line_and_field() {
    let files = given(&[
        ("a.yaml", &manifest("shop", "orders", "1", "\"/orders/${request.body.id}?x=1\"")),
        ("b.yaml", &manifest("shop", "users", "1", "no-slash").replace("method: GET", "methods: GET")),
        ("c.yaml", "kind: ["),
        ("d.yaml", "apiVersion: v1\nkind: Service\n"),
    ]);
    let problems = problems(&files);
    let starts = [
        "a.yaml:11: spec.routes[0].request.path: ",
        "b.yaml:9: spec.routes[0].request: missing field `method`",
        "b.yaml:10: spec.routes[0].request.methods: unknown field `methods`",
        "c.yaml:",
        "d.yaml: holds no WebSocketRoute",
    ];
    assert_eq!(problems.len(), starts.len(), "{problems:#?}");
    for (problem, start) in problems.iter().zip(starts) {
        assert!(problem.starts_with(start), "{problem}\n{start}");
    }
}

#[test]
fn a_second_route_of_the_same_name_is_the_one_to_change() {
    let text = manifest("shop", "orders", "1", "/a");
    let problems = problems(&given(&[("a.yaml", &text), ("b.yaml", &text)]));
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].starts_with("b.yaml:3: metadata.name: "), "{problems:?}");
}

#[test]
fn a_route_with_a_problem_leaves_the_others_standing() {
    let bad = manifest("shop", "orders", "1", "bad").replace("name: orders, namespace", "name: bad, namespace");
    let files = given(&[("a.yaml", &manifest("shop", "orders", "1", "/a")), ("b.yaml", &bad)]);
    let compiled = compile_all(&files, &resolve);
    assert_eq!(compiled.documents[0].routes.len(), 1);
    assert_eq!(compiled.problems.len(), 1);
}

#[test]
fn a_directory_gives_its_manifests_in_the_order_of_their_names() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["b.yml", "a.yaml", "c.json", "d.txt", ".hidden.yaml", "noise"] {
        std::fs::write(directory.path().join(name), name).unwrap();
    }
    std::fs::create_dir(directory.path().join("e.yaml")).unwrap();
    let names: Vec<String> = read(&[directory.path().to_owned()])
        .iter()
        .map(|file| Path::new(&file.name).file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["a.yaml", "b.yml", "c.json"]);
}

#[test]
fn what_cannot_be_read_is_a_problem_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing.yaml");
    let latin = directory.path().join("latin.yaml");
    std::fs::write(&latin, b"\xe9").unwrap();
    let empty = directory.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let problems = problems(&read(&[missing.clone(), latin.clone(), empty.clone()]));
    let expected = [
        format!("{}: there is no such file", missing.display()),
        format!("{}: is not UTF-8", latin.display()),
        format!("{}: no *.yaml, *.yml or *.json in this directory", empty.display()),
    ];
    assert_eq!(problems, expected);
}

#[test]
fn the_directories_to_watch_are_those_of_the_files() {
    let directory = tempfile::tempdir().unwrap();
    let inner = directory.path().join("inner");
    std::fs::create_dir(&inner).unwrap();
    let paths = [PathBuf::from("route.yaml"), inner.join("a.yaml"), inner.join("b.yaml"), directory.path().to_owned()];
    let mut expected = vec![PathBuf::from("."), directory.path().to_owned(), inner];
    expected.sort();
    assert_eq!(directories(&paths), expected);
}

//! Manifests of workloads, as `moorline inject` gets them.
//!
//! `manifests/NAME/in.yaml` goes in, `out.yaml` and `notes.yaml` come out. A Service `orders` with a route selects
//! `app: orders` in every namespace.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use moorline_inject::{
    Asked, InjectSettings, ManifestRequest, Note, NoteKind, RoutedService, Skip, TextError, inject_manifest,
    inject_text, selects,
};
use serde_json::{Value, json};

use crate::support::{Differences, keeps};

fn services(_: &str, labels: &BTreeMap<String, String>) -> Vec<RoutedService> {
    let selector = BTreeMap::from([("app".to_owned(), "orders".to_owned())]);
    let target_ports = vec![IntOrString::String("http".to_owned())];
    let found = selects(&selector, labels).then(|| RoutedService { name: "orders".to_owned(), target_ports });
    found.into_iter().collect()
}

fn settings() -> InjectSettings {
    InjectSettings {
        image: "moorline/moorline:1.2.3".to_owned(),
        version: "1.2.3".to_owned(),
        pull_secrets: vec!["pull".to_owned()],
        ..InjectSettings::default()
    }
}

fn run(manifest: &Value, asked: Asked) -> (Value, Vec<Note>) {
    let settings = settings();
    let request = ManifestRequest { asked, namespace: "default", services: &services, settings: &settings };
    inject_manifest(manifest, &request)
}

fn run_text(text: &str) -> Result<(String, Vec<Note>), TextError> {
    let settings = settings();
    let request =
        ManifestRequest { asked: Asked::Namespace, namespace: "default", services: &services, settings: &settings };
    inject_text(text, &request)
}

fn cases() -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/manifests");
    let mut folders: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    let read = |folder: PathBuf| {
        let text = fs::read_to_string(folder.join("in.yaml")).unwrap();
        (folder, text)
    };
    folders.into_iter().map(read).collect()
}

#[test]
fn manifests_become_what_the_golden_files_show() {
    let mut differences = Differences::new();
    for (folder, text) in cases() {
        let (injected, notes) = run_text(&text).unwrap();
        let notes: Vec<Value> = notes
            .into_iter()
            .map(|note| json!({"object": note.object, "kind": format!("{:?}", note.kind), "message": note.message}))
            .collect();
        differences.check(&folder.join("out.yaml"), Some(injected));
        differences.check(&folder.join("notes.yaml"), Some(serde_yaml::to_string(&notes).unwrap()));
    }
    differences.assert_none();
}

#[test]
fn a_text_becomes_what_its_manifest_does() {
    for (folder, text) in cases() {
        let before: Value = serde_yaml::from_str(&text).unwrap();
        let (after, notes) = run(&before, Asked::Namespace);
        let (injected, found) = run_text(&text).unwrap();
        assert_eq!(serde_yaml::from_str::<Value>(&injected).unwrap(), after, "{}", folder.display());
        assert_eq!(notes, found);
        assert!(keeps(&before, &after), "{}", folder.display());
    }
}

#[test]
fn a_manifest_that_was_injected_comes_out_as_it_is() {
    for (folder, text) in cases() {
        let (once, _) = run_text(&text).unwrap();
        let (twice, notes) = run_text(&once).unwrap();
        assert_eq!(once, twice, "{}", folder.display());
        assert!(notes.iter().all(|note| note.kind != NoteKind::Injected), "{notes:?}");
    }
}

#[test]
fn documents_without_a_change_stay_byte_for_byte() {
    let text = "\
# All of it.
---
kind:   Service   # not a pod
apiVersion: v1
metadata: {name: 'orders', \"x\": yes}
--- # the pods
# Source: orders/templates/pod.yaml
apiVersion: v1
kind: Pod
metadata: {labels: {app: orders}, name: orders}
spec: {containers: [{name: app, image: 'orders:1'}], priority: 0644}
---
...
---
# nothing
--- {apiVersion: v1, kind: Pod, metadata: {labels: {app: orders}}, spec: {containers: [{name: b}]}}
---
text: |
  ---
  kind: Pod
";
    let (injected, notes) = run_text(text).unwrap();
    let (before, rest) = text.split_once("apiVersion: v1\nkind: Pod").unwrap();
    assert!(injected.starts_with(&format!("{before}apiVersion: v1\nkind: Pod\nmetadata:\n  labels:\n    app: orders")));
    assert!(injected.contains("\n  priority: 420\n"), "{injected}");
    assert!(injected.contains("\n---\n...\n---\n# nothing\n---\napiVersion: v1\nkind: Pod\n"), "{injected}");
    assert!(injected.ends_with(&rest[rest.rfind("---\ntext").unwrap()..]));
    assert_eq!(notes.iter().filter(|note| note.kind == NoteKind::Injected).count(), 2);
}

#[test]
fn json_is_read_too() {
    let text = r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": {"app": "orders"}}, "spec": {"containers": [{"name": "app"}]}}"#;
    let (injected, _) = run_text(text).unwrap();
    assert!(injected.starts_with("apiVersion: v1\nkind: Pod\n"), "{injected}");
}

#[test]
fn a_mistake_is_told_with_its_line_in_the_file() {
    let error = run_text("a: 1\n---\n# x\nb: {{ .Values.b }}\n").unwrap_err();
    assert_eq!((error.line(), error.reason()), (4, "read"));
}

#[test]
fn what_has_no_pods_passes_through_without_a_word() {
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "orders"}, "spec": {"ports": []}});
    let foreign = json!({"apiVersion": "example.com/v1", "kind": "Deployment", "spec": {"template": {}}});
    for manifest in [service, foreign, json!(null), json!([1]), json!({"kind": "Pod"})] {
        assert_eq!(run(&manifest, Asked::Pod), (manifest.clone(), Vec::new()));
    }
}

#[test]
fn asked_for_every_workload_also_one_without_a_service_is_injected() {
    let manifest = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "report"},
        "spec": {"template": {"spec": {"containers": [{"name": "report"}]}}}});
    let (_, notes) = run(&manifest, Asked::Namespace);
    assert_eq!(notes[0].kind, NoteKind::Skipped(Skip::NotSelected));
    let (injected, notes) = run(&manifest, Asked::Pod);
    assert_eq!((notes[0].object.as_str(), notes[0].kind), ("Job default/report", NoteKind::Injected));
    assert_eq!(injected["spec"]["template"]["spec"]["initContainers"][0]["name"], "moorline");
}

#[test]
fn a_workload_without_a_template_is_told() {
    let manifest = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "orders"}, "spec": {}});
    let (injected, notes) = run(&manifest, Asked::Pod);
    assert_eq!(injected, manifest);
    assert_eq!(notes[0].kind, NoteKind::Skipped(Skip::Malformed));
}

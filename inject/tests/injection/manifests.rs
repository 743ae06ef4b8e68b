//! Manifests of workloads, as `moorline inject` gets them.
//!
//! `manifests/NAME/in.yaml` goes in, `out.yaml` and `notes.yaml` come out. A Service `orders` with a route selects
//! `app: orders` in every namespace.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use moorline_inject::{
    Asked, InjectSettings, ManifestRequest, Note, NoteKind, RoutedService, Skip, inject_manifest, selects,
};
use serde_json::{Value, json};

use crate::support::{Differences, keeps};

fn services(_: &str, labels: &BTreeMap<String, String>) -> Vec<RoutedService> {
    let selector = BTreeMap::from([("app".to_owned(), "orders".to_owned())]);
    let target_ports = vec![IntOrString::String("http".to_owned())];
    let found = selects(&selector, labels).then(|| RoutedService { name: "orders".to_owned(), target_ports });
    found.into_iter().collect()
}

fn run(manifest: &Value, asked: Asked) -> (Value, Vec<Note>) {
    let settings = InjectSettings {
        image: "moorline/moorline:1.2.3".to_owned(),
        version: "1.2.3".to_owned(),
        pull_secrets: vec!["pull".to_owned()],
        ..InjectSettings::default()
    };
    let request = ManifestRequest { asked, namespace: "default", services: &services, settings: &settings };
    inject_manifest(manifest, &request)
}

fn cases() -> Vec<(PathBuf, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/manifests");
    let mut folders: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    let read = |folder: PathBuf| {
        let text = fs::read_to_string(folder.join("in.yaml")).unwrap();
        (folder, serde_yaml::from_str(&text).unwrap())
    };
    folders.into_iter().map(read).collect()
}

#[test]
fn manifests_become_what_the_golden_files_show() {
    let mut differences = Differences::new();
    for (folder, manifest) in cases() {
        let (injected, notes) = run(&manifest, Asked::Namespace);
        assert!(keeps(&manifest, &injected), "{}", folder.display());
        let notes: Vec<Value> = notes
            .into_iter()
            .map(|note| json!({"object": note.object, "kind": format!("{:?}", note.kind), "message": note.message}))
            .collect();
        differences.check(&folder.join("out.yaml"), Some(serde_yaml::to_string(&injected).unwrap()));
        differences.check(&folder.join("notes.yaml"), Some(serde_yaml::to_string(&notes).unwrap()));
    }
    differences.assert_none();
}

#[test]
fn a_manifest_that_was_injected_comes_out_as_it_is() {
    for (folder, manifest) in cases() {
        let (once, _) = run(&manifest, Asked::Namespace);
        let (twice, notes) = run(&once, Asked::Namespace);
        assert_eq!(once, twice, "{}", folder.display());
        assert!(notes.iter().all(|note| note.kind != NoteKind::Injected), "{notes:?}");
    }
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

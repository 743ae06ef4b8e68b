//! Pods of many shapes, and what becomes of them, to be read.
//!
//! `golden/SHAPE/pod.yaml` goes in. What comes out is `outcome.yaml`, and for an injected pod `patch.json` and
//! `patched.yaml`. `request.yaml` says what is asked when it is not the usual thing. After a change that is meant,
//! `UPDATE_GOLDEN=1 cargo test -p moorline-inject` writes them again; their difference in version control
//! is what to review.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use moorline_inject::{Asked, InjectSettings, ManifestRequest, Outcome, Request, RoutedService, inject, inject_text};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::{Differences, assert_is_injected, keeps};

/// What is asked about a pod.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Question {
    /// By the label of the pod and not of its namespace.
    #[serde(default)]
    by_pod: bool,
    #[serde(default)]
    services: Vec<Service>,
    #[serde(default)]
    pull_secrets: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Service {
    name: String,
    target_ports: Vec<IntOrString>,
}

impl Default for Question {
    fn default() -> Self {
        let orders = Service { name: "orders".to_owned(), target_ports: vec![IntOrString::Int(3000)] };
        Self { by_pod: false, services: vec![orders], pull_secrets: Vec::new() }
    }
}

impl Question {
    fn request(&self) -> Request {
        Request {
            asked: if self.by_pod { Asked::Pod } else { Asked::Namespace },
            namespace: "shop".to_owned(),
            services: self
                .services
                .iter()
                .map(|service| RoutedService { name: service.name.clone(), target_ports: service.target_ports.clone() })
                .collect(),
        }
    }

    /// Of no release, so that a release changes no golden file.
    fn settings(&self) -> InjectSettings {
        InjectSettings {
            image: "moorline/moorline:1.2.3".to_owned(),
            version: "1.2.3".to_owned(),
            pull_secrets: self.pull_secrets.clone(),
            ..InjectSettings::default()
        }
    }
}

struct Shape {
    folder: PathBuf,
    text: String,
    pod: Value,
    question: Question,
}

fn shapes() -> Vec<Shape> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut folders: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders
        .into_iter()
        .map(|folder| {
            let read = |name: &str| fs::read_to_string(folder.join(name)).ok();
            let text = read("pod.yaml").expect("pod.yaml");
            let pod = serde_yaml::from_str(&text).unwrap();
            let question = read("request.yaml").map(|text| serde_yaml::from_str(&text).unwrap()).unwrap_or_default();
            Shape { folder, text, pod, question }
        })
        .collect()
}

impl Shape {
    fn outcome(&self, pod: &Value) -> Outcome {
        inject(pod, &self.question.request(), &self.question.settings())
    }

    /// The pod afterwards, in the order of its author.
    fn patched(&self) -> String {
        let (request, settings) = (self.question.request(), self.question.settings());
        let services = |_: &str, _: &BTreeMap<String, String>| request.services.clone();
        let request =
            ManifestRequest { asked: request.asked, namespace: "shop", services: &services, settings: &settings };
        inject_text(&self.text, &request).unwrap().0
    }

    /// The files of an outcome; `None` when there should be none of this name.
    fn files(&self) -> Vec<(&'static str, Option<String>)> {
        let outcome = self.outcome(&self.pod);
        let (said, patch) = match &outcome {
            Outcome::Injected { patch, warnings } => {
                (json!({"outcome": outcome.name(), "warnings": warnings}), Some(patch))
            }
            Outcome::Skipped { message, warnings, .. } => {
                (json!({"outcome": outcome.name(), "message": message, "warnings": warnings}), None)
            }
            Outcome::Unchanged => (json!({"outcome": outcome.name()}), None),
        };
        vec![
            ("outcome.yaml", Some(serde_yaml::to_string(&said).unwrap())),
            ("patch.json", patch.map(|patch| serde_json::to_string_pretty(patch).unwrap() + "\n")),
            ("patched.yaml", patch.map(|_| self.patched())),
        ]
    }
}

#[test]
fn pods_become_what_the_golden_files_show() {
    let mut differences = Differences::new();
    for shape in shapes() {
        for (name, found) in shape.files() {
            differences.check(&shape.folder.join(name), found);
        }
    }
    differences.assert_none();
}

#[test]
fn an_injected_pod_is_unchanged_when_it_is_looked_at_again() {
    for shape in shapes() {
        if let Outcome::Injected { patch, .. } = shape.outcome(&shape.pod) {
            let mut pod = shape.pod.clone();
            json_patch::patch(&mut pod, &patch).unwrap();
            assert_eq!(shape.outcome(&pod), Outcome::Unchanged, "{}", shape.folder.display());
            assert_is_injected(&pod);
            assert!(keeps(&shape.pod, &pod), "{}", shape.folder.display());
            assert_eq!(serde_yaml::from_str::<Value>(&shape.patched()).unwrap(), pod);
        }
    }
}

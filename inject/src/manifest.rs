//! The same for manifests of workloads, for `moorline inject`.
//!
//! A workload has its pod in a template; the patch of the template is the patch of the pod with the place of the template
//! before each path. Patches, not new manifests, because whoever prints a manifest wants its fields in the order of its
//! author, and a JSON value here has them in the order of the alphabet: [`manifest_patch`] is for trees that keep it, as that of [`inject_text`](crate::inject_text).

use std::collections::BTreeMap;
use std::fmt;

use json_patch::{AddOperation, Patch, PatchOperation, ReplaceOperation};
use jsonptr::{Pointer, PointerBuf};
use moorline_crds::names::{INJECT_LABEL, PREFIX, RESTARTED_TEMPLATE_ANNOTATION};
use serde_json::Value;

use crate::inject::inject;
use crate::outcome::{Outcome, Skip};
use crate::pod;
use crate::request::{Asked, Request, RoutedService};
use crate::settings::InjectSettings;

/// Lists of lists are not what people write; the bound is for those who write anything.
const MAX_DEPTH: usize = 4;

/// Finds the Services with routes that select pods with these labels in this namespace.
pub type FindServices<'a> = &'a dyn Fn(&str, &BTreeMap<String, String>) -> Vec<RoutedService>;

/// What is asked about manifests.
pub struct ManifestRequest<'a> {
    /// [`Asked::Namespace`] injects only what a Service with a route selects, [`Asked::Pod`] every workload.
    pub asked: Asked,
    /// The namespace of manifests that name none.
    pub namespace: &'a str,
    /// Tells the Services.
    pub services: FindServices<'a>,
    /// How the sidecar is run.
    pub settings: &'a InjectSettings,
}

impl fmt::Debug for ManifestRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManifestRequest").field("asked", &self.asked).finish_non_exhaustive()
    }
}

/// Something to tell about a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Which object, as `Deployment shop/orders`.
    pub object: String,
    /// What happened to it.
    pub kind: NoteKind,
    /// A sentence; empty when the kind says all.
    pub message: String,
}

/// What happened to an object of a manifest. Objects without pods get no note.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoteKind {
    /// Its pods get the sidecar.
    Injected,
    /// They had it.
    Unchanged,
    /// They do not get it.
    Skipped(Skip),
    /// A warning, besides one of the others.
    Warning,
}

/// Injects what a manifest holds. Anything without pods comes back as it was.
pub fn inject_manifest(manifest: &Value, request: &ManifestRequest<'_>) -> (Value, Vec<Note>) {
    let (patch, notes) = manifest_patch(manifest, request);
    let mut injected = manifest.clone();
    // It was made by applying it; should it fail all the same, the manifest is left as it is.
    if json_patch::patch(&mut injected, &patch.0).is_err() {
        injected = manifest.clone();
    }
    (injected, notes)
}

/// The patch that [`inject_manifest`] applies.
pub fn manifest_patch(manifest: &Value, request: &ManifestRequest<'_>) -> (Patch, Vec<Note>) {
    let mut found = Found { patch: Patch(Vec::new()), notes: Vec::new() };
    found.walk(manifest, &PointerBuf::new(), request, MAX_DEPTH);
    (found.patch, found.notes)
}

struct Found {
    patch: Patch,
    notes: Vec<Note>,
}

impl Found {
    fn walk(&mut self, object: &Value, place: &Pointer, request: &ManifestRequest<'_>, depth: usize) {
        if object["apiVersion"] == "v1" && object["kind"] == "List" {
            let items = object["items"].as_array().filter(|_| depth > 0);
            for (index, item) in items.into_iter().flatten().enumerate() {
                let place = place.concat(Pointer::from_static("/items")).concat(&PointerBuf::from_tokens([index]));
                self.walk(item, &place, request, depth - 1);
            }
        } else if let Some(template) = template(object) {
            self.workload(object, place, template, request);
        }
    }

    fn workload(&mut self, object: &Value, place: &Pointer, template: &Pointer, request: &ManifestRequest<'_>) {
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or(request.namespace);
        let name = describe(object, namespace);
        let mut note = |kind, message: String| self.notes.push(Note { object: name.clone(), kind, message });
        let Ok(pod) = template.resolve(object) else {
            return note(NoteKind::Skipped(Skip::Malformed), "it has no pod template".to_owned());
        };
        let asked = Request {
            asked: request.asked,
            namespace: namespace.to_owned(),
            services: (request.services)(namespace, &pod::labels(pod)),
        };
        let outcome = inject(pod, &asked, request.settings);
        let warnings = match outcome {
            Outcome::Injected { patch, warnings } => {
                note(NoteKind::Injected, String::new());
                if lists_pull_secrets_first(pod, request.settings) {
                    note(NoteKind::Warning, PULL_SECRETS.to_owned());
                }
                let place = place.concat(template);
                self.patch.0.extend(patch.0.into_iter().map(|operation| moved(operation, &place)));
                warnings
            }
            Outcome::Skipped { reason, message, warnings } => {
                note(NoteKind::Skipped(reason), message);
                warnings
            }
            Outcome::Unchanged => {
                note(NoteKind::Unchanged, String::new());
                Vec::new()
            }
        };
        let misplaced = if template.is_root() { Vec::new() } else { misplaced(object) };
        for message in warnings.into_iter().chain(misplaced) {
            self.notes.push(Note { object: name.clone(), kind: NoteKind::Warning, message });
        }
    }
}

const PULL_SECRETS: &str = "it named no imagePullSecrets and does now; those of its ServiceAccount count only for pods \
                            that name none, so list here what it pulls its own images with";

/// In a cluster the ServiceAccount's secrets are in the pod before the webhook sees it; in a manifest they are not.
fn lists_pull_secrets_first(pod: &Value, settings: &InjectSettings) -> bool {
    !settings.pull_secrets.is_empty() && pod::list(pod, "imagePullSecrets").is_empty()
}

/// Where an object has its pod.
fn template(object: &Value) -> Option<&'static Pointer> {
    let place = match (object["apiVersion"].as_str()?, object["kind"].as_str()?) {
        ("v1", "Pod") => "",
        ("apps/v1", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet")
        | ("batch/v1", "Job")
        | ("v1", "ReplicationController") => "/spec/template",
        ("batch/v1", "CronJob") => "/spec/jobTemplate/spec/template",
        _ => return None,
    };
    Some(Pointer::from_static(place))
}

fn describe(object: &Value, namespace: &str) -> String {
    let metadata = &object["metadata"];
    let name = metadata["name"].as_str().or_else(|| metadata["generateName"].as_str()).unwrap_or("?");
    format!("{} {namespace}/{name}", object["kind"].as_str().unwrap_or("?"))
}

/// Labels and annotations that only count on pods, and are on the workload.
fn misplaced(object: &Value) -> Vec<String> {
    let kind = object["kind"].as_str().unwrap_or("workload");
    let on = |what: &str, name: &str| {
        format!(
            "{what} {name} is on the {kind}, where it does nothing; it belongs into the metadata of the pod template"
        )
    };
    let label = pod::label(object, INJECT_LABEL).map(|_| on("label", INJECT_LABEL));
    let annotations = pod::annotations(object).into_keys();
    let annotations = annotations
        .filter(|name| name.starts_with(PREFIX) && name != RESTARTED_TEMPLATE_ANNOTATION)
        .map(|name| on("annotation", &name));
    label.into_iter().chain(annotations).collect()
}

/// The operation at a place further down.
fn moved(operation: PatchOperation, place: &Pointer) -> PatchOperation {
    match operation {
        PatchOperation::Add(add) => PatchOperation::Add(AddOperation { path: place.concat(&add.path), ..add }),
        PatchOperation::Replace(replace) => {
            PatchOperation::Replace(ReplaceOperation { path: place.concat(&replace.path), ..replace })
        }
        other => other,
    }
}

//! YAML: manifests in, the CRD out. The one module that knows which YAML library is used.
//!
//! `serde_yaml` is archived; when it has to go, this file changes and nothing else. It keeps no positions
//! of what it read, so a second parser gives the lines of fields, which is what makes a problem found by
//! `compile` point into the user's file.
//!
//! Invariant: every document of a file is read or reported; those of other API groups are passed over, so
//! that a file may hold the Service and the Deployment too.

mod outline;
mod tree;

use kube::CustomResourceExt;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_yaml::Value;
use thiserror::Error;

pub use outline::Outline;
pub use tree::{Part, Tree, TreeError, parts};

use crate::v1alpha1::{GROUP, KIND, VERSION, WebSocketRoute};

/// Where the CRD is, from the top of the repository.
pub const CRD_PATH: &str = "crds/websocketroutes.moorline.dev.yaml";
/// The command that writes the CRD.
pub const CRD_COMMAND: &str = "cargo run -p moorline-crds --example crdgen";

/// A route in a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// Which document of the file it is, counted from 0; what [`Outline::line`] wants.
    pub index: usize,
    /// The line it starts on, counted from 1.
    pub line: usize,
    /// The route.
    pub route: WebSocketRoute,
}

/// A document of a file that is not a route and should be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}{message}", field_prefix(field))]
pub struct ManifestError {
    /// The line, counted from 1.
    pub line: usize,
    /// The column, counted from 1.
    pub column: usize,
    /// The field, as `spec.routes[2].request`; empty when it is the document as a whole.
    pub field: String,
    /// What is wrong.
    pub message: String,
}

fn field_prefix(field: &str) -> String {
    if field.is_empty() { String::new() } else { format!("{field}: ") }
}

/// Reads the routes of a file.
pub fn parse_manifests(text: &str) -> Vec<Result<Manifest, ManifestError>> {
    let outline = Outline::of(text);
    let mut found = Vec::new();
    let mut wanted = Vec::new();
    // After a syntax error the library gives the same error for ever, so the number of documents is taken from
    // the outline, which stops there.
    let documents = serde_yaml::Deserializer::from_str(text).take(outline.documents().max(1));
    for (index, document) in documents.enumerate() {
        match Value::deserialize(document) {
            Ok(value) => wanted.push((kind(&value), value)),
            Err(error) => {
                wanted.push((Kind::Foreign, Value::Null));
                let error = Err(ManifestError::of(&error, index, &outline));
                if found.last() != Some(&error) {
                    found.push(error);
                }
            }
        }
    }
    for ((index, document), (kind, value)) in serde_yaml::Deserializer::from_str(text).enumerate().zip(wanted) {
        let line = outline.start(index);
        match kind {
            // Each document has to be read for the next one to be reached.
            Kind::Foreign => drop(IgnoredAny::deserialize(document)),
            Kind::Wrong(field, message) => {
                drop(IgnoredAny::deserialize(document));
                let line = outline.line(index, &field).unwrap_or(line);
                found.push(Err(ManifestError { line, column: 1, field, message }));
            }
            Kind::Route => match WebSocketRoute::deserialize(document) {
                Ok(route) => found.push(Ok(Manifest { index, line, route })),
                Err(error) => {
                    let first = ManifestError::of(&error, index, &outline);
                    let (errors, route) = read_on(value, first, index, &outline);
                    found.extend(errors.into_iter().map(Err));
                    found.extend(route.map(|route| Ok(Manifest { index, line, route })));
                }
            },
        }
    }
    found.sort_by_key(|result| match result {
        Ok(manifest) => manifest.line,
        Err(error) => error.line,
    });
    found
}

/// Reads on after an unknown field by leaving it out, so that all of them are told at once, and what `compile` finds with
/// them. The library stops at the first.
fn read_on(
    mut value: Value,
    first: ManifestError,
    index: usize,
    outline: &Outline,
) -> (Vec<ManifestError>, Option<WebSocketRoute>) {
    let mut errors = vec![first];
    while let Some(last) = errors.last()
        && last.message.starts_with("unknown field ")
        && remove(&mut value, &last.field)
    {
        // As text again, because the library names the field of an error only when it reads text.
        let Ok(text) = serde_yaml::to_string(&value) else { break };
        match serde_yaml::from_str(&text) {
            Ok(route) => return (errors, Some(route)),
            Err(error) => {
                let mut error = ManifestError::of(&error, index, outline);
                error.line = outline.line(index, &error.field).unwrap_or_else(|| outline.start(index));
                error.column = 1;
                errors.push(error);
            }
        }
    }
    (errors, None)
}

/// Removes the field of a path such as `spec.routes[2].request`; `false` if there is none.
fn remove(value: &mut Value, path: &str) -> bool {
    let (parent, name) = path.rsplit_once('.').unwrap_or(("", path));
    let mut at = value;
    for step in parent.split(['.', '[']).filter(|step| !step.is_empty()) {
        let next = match step.strip_suffix(']').and_then(|index| index.parse::<usize>().ok()) {
            Some(index) => at.get_mut(index),
            None => at.get_mut(step),
        };
        let Some(next) = next else { return false };
        at = next;
    }
    at.as_mapping_mut().is_some_and(|fields| fields.remove(name).is_some())
}

/// The CRD as it is committed.
pub fn crd() -> Result<String, serde_yaml::Error> {
    let crd = serde_yaml::to_string(&WebSocketRoute::crd())?;
    Ok(format!("# Generated by `{CRD_COMMAND}`; do not edit.\n{crd}"))
}

/// What a document is to us.
enum Kind {
    Route,
    /// Of another API group, or nothing at all.
    Foreign,
    /// Meant for us, but not a route: the field and what is wrong with it.
    Wrong(String, String),
}

fn kind(document: &Value) -> Kind {
    let Value::Mapping(fields) = document else {
        return match document {
            Value::Null => Kind::Foreign,
            _ => Kind::Wrong(String::new(), "is not a Kubernetes manifest".to_owned()),
        };
    };
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    let wrong = |field: &str, message: String| Kind::Wrong(field.to_owned(), message);
    let (Some(api_version), Some(kind)) = (text("apiVersion"), text("kind")) else {
        return wrong("", "has no apiVersion and kind".to_owned());
    };
    if api_version.split('/').next() != Some(GROUP) && kind != KIND {
        return Kind::Foreign;
    }
    if api_version != format!("{GROUP}/{VERSION}") {
        return wrong("apiVersion", format!("{api_version:?}: this version reads {GROUP}/{VERSION}"));
    }
    if kind != KIND {
        return wrong("kind", format!("{kind:?}: this version reads {KIND}"));
    }
    let unknown = fields
        .keys()
        .filter_map(Value::as_str)
        .find(|name| !matches!(*name, "apiVersion" | "kind" | "metadata" | "spec" | "status"));
    match unknown {
        Some(name) => wrong(name, "unknown field, expected metadata and spec".to_owned()),
        None => Kind::Route,
    }
}

impl ManifestError {
    fn of(error: &serde_yaml::Error, index: usize, outline: &Outline) -> Self {
        let (line, column) = error.location().map_or((outline.start(index), 1), |at| (at.line(), at.column()));
        let text = error.to_string();
        let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(message, _)| message);
        let (field, message) = split_field(text);
        let field = match message.strip_prefix("unknown field `").and_then(|rest| rest.split_once('`')) {
            Some((name, _)) if field.is_empty() => name.to_owned(),
            Some((name, _)) => format!("{field}.{name}"),
            None => field.to_owned(),
        };
        // The library points at the start of the enclosing structure, the outline at the field itself.
        let exact = if field.is_empty() { None } else { outline.exact_line(index, &field) };
        match exact {
            Some(exact) if exact != line => Self { line: exact, column: 1, field, message: message.to_owned() },
            _ => Self { line, column, field, message: message.to_owned() },
        }
    }
}

/// Splits `spec.path: message` as the library writes it.
fn split_field(text: &str) -> (&str, &str) {
    match text.split_once(": ") {
        Some((field, message)) if ["spec", "metadata", "status"].iter().any(|root| is_below(field, root)) => {
            (field, message)
        }
        _ => ("", text),
    }
}

fn is_below(field: &str, root: &str) -> bool {
    !field.contains(char::is_whitespace)
        && field.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

#[cfg(test)]
mod tests;

//! The volume with the documents of a pod's Services.
//!
//! A running pod's volumes cannot change, so each source is named from the start and is optional: the pod starts before
//! the operator has written anything, and a document that comes later appears in it. One projected volume for all
//! Services, not one each, because the sidecar then watches one directory whatever the pod is behind. Secrets are listed
//! by their one file: whole, the files of two would collide.

use moorline_crds::names::{COMPRESSED_DOCUMENT_FILE, CONFIG_VOLUME, Child, DOCUMENT_FILE, KEYS_FILE, NO_TOKEN_VOLUME};
use serde_json::{Value, json};

/// The volume with the sources of no Service yet.
pub(crate) fn config() -> Value {
    json!({"name": CONFIG_VOLUME, "projected": {"sources": []}})
}

/// An empty volume that takes the place of the token.
pub(crate) fn no_token() -> Value {
    // In memory: a pod with an emptyDir on disk is one that the cluster autoscaler does not move.
    json!({"name": NO_TOKEN_VOLUME, "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}})
}

/// The sources of a Service, each with the kind and name it is known by.
pub(crate) fn sources(service: &str) -> [Value; 2] {
    let item = |file: &str| json!({"key": file, "path": format!("{service}/{file}")});
    [
        json!({"configMap": {
            "name": Child::Document.name(service),
            "optional": true,
            "items": [item(DOCUMENT_FILE), item(COMPRESSED_DOCUMENT_FILE)],
        }}),
        json!({"secret": {"name": Child::Keys.name(service), "optional": true, "items": [item(KEYS_FILE)]}}),
    ]
}

/// Whether a volume has this source, however its other fields are filled in by now.
pub(crate) fn has_source(volume: &Value, source: &Value) -> bool {
    let name = |source: &Value, kind: &str| source[kind]["name"].as_str().map(str::to_owned);
    volume["projected"]["sources"].as_array().into_iter().flatten().any(|known| {
        ["configMap", "secret"].iter().any(|kind| {
            let wanted = name(source, kind);
            wanted.is_some() && wanted == name(known, kind)
        })
    })
}

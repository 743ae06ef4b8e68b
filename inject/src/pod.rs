//! Reads the raw JSON of a pod.
//!
//! Everything is optional and nothing is an error: a field of the wrong type counts as absent, since the API server
//! refuses such a pod by itself. `null` counts as absent too, as it does there.

use std::collections::BTreeMap;

use serde_json::Value;

/// The lists a pod has containers in.
pub(crate) const LISTS: [&str; 2] = ["containers", "initContainers"];

/// The labels of a pod.
pub fn labels(pod: &Value) -> BTreeMap<String, String> {
    strings(&pod["metadata"]["labels"])
}

/// The annotations of a pod.
pub(crate) fn annotations(pod: &Value) -> BTreeMap<String, String> {
    strings(&pod["metadata"]["annotations"])
}

/// One label.
pub(crate) fn label<'a>(pod: &'a Value, key: &str) -> Option<&'a str> {
    pod["metadata"]["labels"][key].as_str()
}

/// The elements of a list of the spec.
pub(crate) fn list<'a>(pod: &'a Value, field: &str) -> &'a [Value] {
    pod["spec"][field].as_array().map_or(&[], Vec::as_slice)
}

/// Every container, with the list it is in.
pub(crate) fn all_containers(pod: &Value) -> impl Iterator<Item = (&'static str, &Value)> {
    LISTS.into_iter().flat_map(move |field| list(pod, field).iter().map(move |container| (field, container)))
}

/// The name of a container, volume or the like; empty when it has none.
pub(crate) fn name(value: &Value) -> &str {
    value["name"].as_str().unwrap_or_default()
}

/// Whether a container of `initContainers` runs as long as the pod.
pub(crate) fn is_sidecar(container: &Value) -> bool {
    container["restartPolicy"] == "Always"
}

/// How a message calls a container.
pub(crate) fn describe(field: &str, container: &Value) -> String {
    let kind = if field == "initContainers" { "init container" } else { "container" };
    format!("{kind} `{}`", name(container))
}

fn strings(map: &Value) -> BTreeMap<String, String> {
    let members = map.as_object().into_iter().flatten();
    members.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

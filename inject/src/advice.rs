//! What is wrong with the annotations of a pod that runs already.
//!
//! The webhook warns whoever makes a pod, but most pods are made by a controller, which shows warnings to nobody. So the
//! operator looks once more, with the same words.

use std::collections::BTreeMap;

use serde_json::json;

use crate::annotations::Tuning;

/// The warnings for these annotations, given by their full names.
pub fn annotation_warnings(annotations: &BTreeMap<String, String>) -> Vec<String> {
    let mut warnings = Vec::new();
    Tuning::read(&json!({ "metadata": { "annotations": annotations } }), &mut warnings);
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_annotation_is_warned_of_and_what_injection_stamps_is_not() {
        let annotations = |name: &str| BTreeMap::from([(format!("moorline.dev/{name}"), "3s".to_owned())]);
        assert_eq!(
            annotation_warnings(&annotations("drain-windw")),
            ["annotation moorline.dev/drain-windw is unknown and ignored; did you mean moorline.dev/drain-window?"]
        );
        assert!(annotation_warnings(&annotations("drain-window")).is_empty());
        assert!(annotation_warnings(&annotations("sidecar-version")).is_empty());
    }
}

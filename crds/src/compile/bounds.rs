//! The bounds of the schema, for manifests that no API server has seen.
//!
//! One pass over the schema that the CRD publishes and the spec beside it, rather than a check in each parser: a bound
//! is written once, at its field in `v1alpha1`, and a new field is checked without anybody thinking of it. Patterns
//! are left to the parsers, which accept less and say more (and a regex engine would be a dependency for one pattern).
//!
//! Invariant: a field that a parser has refused is not reported again, since its words are the better ones.

use std::sync::LazyLock;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt as _;
use serde_json::Value;

use super::report::Report;
use crate::v1alpha1::{WebSocketRoute, WebSocketRouteSpec};

/// The schema of `spec`. It comes out of types, so it is there; without it nothing would be checked, and a test says so.
static SPEC: LazyLock<Option<JSONSchemaProps>> = LazyLock::new(|| {
    let version = WebSocketRoute::crd().spec.versions.into_iter().next()?;
    version.schema?.open_api_v3_schema?.properties?.remove("spec")
});

/// Reports what the API server would refuse for its size, in fields without a problem so far.
pub(super) fn check(spec: &WebSocketRouteSpec, report: &mut Report) {
    match (&*SPEC, serde_json::to_value(spec)) {
        (Some(schema), Ok(value)) => visit(schema, &value, "spec", report),
        _ => report.add("spec", "cannot be compared with the schema"),
    }
}

fn visit(schema: &JSONSchemaProps, value: &Value, field: &str, report: &mut Report) {
    if let Some(rule) = broken_bound(schema, value) {
        report.add_first(field, rule);
    }
    match value {
        Value::Array(items) => {
            let unique = schema.x_kubernetes_list_type.as_deref() == Some("set");
            for (index, item) in items.iter().enumerate() {
                let field = format!("{field}[{index}]");
                if unique && items.iter().take(index).any(|other| other == item) {
                    report.add_first(&field, format!("{item}: is there twice"));
                }
                if let Some(JSONSchemaPropsOrArray::Schema(schema)) = &schema.items {
                    visit(schema, item, &field, report);
                }
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                let declared = schema.properties.as_ref().and_then(|properties| properties.get(name));
                let schema = match (declared, &schema.additional_properties) {
                    (Some(declared), _) => declared,
                    (None, Some(JSONSchemaPropsOrBool::Schema(any))) => any,
                    // Inside of a body, where anything goes.
                    _ => continue,
                };
                visit(schema, member, &format!("{field}.{name}"), report);
            }
        }
        _ => {}
    }
}

/// The first bound the value breaks, in the words of a problem. Long texts are not repeated in it.
fn broken_bound(schema: &JSONSchemaProps, value: &Value) -> Option<String> {
    match value {
        // Characters, as the API server counts.
        Value::String(text) => counted(text.chars().count(), schema.min_length, schema.max_length, "characters long"),
        Value::Array(items) => counted(items.len(), schema.min_items, schema.max_items, "entries long"),
        Value::Object(members) => counted(members.len(), schema.min_properties, schema.max_properties, "entries long"),
        Value::Number(number) => {
            let found = number.as_f64()?;
            let least = schema.minimum.unwrap_or(f64::NEG_INFINITY);
            let most = schema.maximum.unwrap_or(f64::INFINITY);
            let inside = (least..=most).contains(&found);
            (!inside).then(|| format!("{number}: is between {least} and {most}"))
        }
        Value::Null | Value::Bool(_) => None,
    }
}

fn counted(found: usize, least: Option<i64>, most: Option<i64>, unit: &str) -> Option<String> {
    let count = i64::try_from(found).unwrap_or(i64::MAX);
    if found == 0 && least.is_some_and(|least| least > 0) {
        return Some("is not empty".to_owned());
    }
    if let Some(least) = least.filter(|least| count < *least) {
        return Some(format!("is at least {least} {unit}, and not {found}"));
    }
    most.filter(|most| count > *most).map(|most| format!("is at most {most} {unit}, and not {found}"))
}

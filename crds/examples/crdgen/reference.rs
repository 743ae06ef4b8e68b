//! The schema as a page people read: every field with its type, its bounds, its rules and its description.
//!
//! Made of the schema and not of the source, so that the page says what an API server enforces.

use std::error::Error;
use std::fmt::Write as _;

use kube::CustomResourceExt as _;
use moorline_crds::WebSocketRoute;
use serde_json::{Map, Value};

const HEAD: &str = "# CRD reference

Every field of a `WebSocketRoute` (`moorline.dev/v1alpha1`, short name `wsr`), as the API server has it; made of the
types by `make crds`. [The route reference](route-reference.md) explains the same by topic, with examples.
`kubectl explain wsr.spec` prints it too.
";

/// The page.
pub(crate) fn markdown() -> Result<String, Box<dyn Error>> {
    let crd = serde_json::to_value(WebSocketRoute::crd())?;
    let schema = crd.pointer("/spec/versions/0/schema/openAPIV3Schema/properties").ok_or("the CRD has no schema")?;
    let mut page = HEAD.to_owned();
    for part in ["spec", "status"] {
        object(&mut page, part, &schema[part], 2)?;
    }
    Ok(page)
}

/// An object, then the objects in it.
fn object(page: &mut String, path: &str, schema: &Value, depth: usize) -> Result<(), Box<dyn Error>> {
    writeln!(page, "\n{} `{path}`\n", "#".repeat(depth.min(4)))?;
    for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
        writeln!(page, "Rule: {}.\n", rule["message"].as_str().unwrap_or_default())?;
    }
    let (none, empty) = (Map::new(), Vec::new());
    let fields = schema["properties"].as_object().unwrap_or(&none);
    let required = schema["required"].as_array().unwrap_or(&empty);
    writeln!(page, "| Field | Type | Description |\n|---|---|---|")?;
    for (name, field) in fields {
        let needed = if required.iter().any(|it| it == name) { ", required" } else { "" };
        writeln!(page, "| `{name}` | {}{needed} | {} |", kind(field), description(field))?;
    }
    for (name, field) in fields {
        let (inner, suffix) =
            if field["items"]["properties"].is_object() { (&field["items"], "[]") } else { (field, "") };
        if inner["properties"].is_object() {
            object(page, &format!("{path}.{name}{suffix}"), inner, depth + 1)?;
        }
    }
    Ok(())
}

/// A type with its bounds.
fn kind(field: &Value) -> String {
    let mut text = match field["type"].as_str() {
        Some("array") => format!("list of {}", kind(&field["items"])),
        Some("object") if field["additionalProperties"].is_object() => {
            format!("map of {}", kind(&field["additionalProperties"]))
        }
        Some(simple) => field["format"].as_str().unwrap_or(simple).to_owned(),
        None if field["x-kubernetes-int-or-string"] == true => "integer or string".to_owned(),
        None => "anything".to_owned(),
    };
    if let Some(values) = field["enum"].as_array() {
        let values: Vec<String> = values.iter().filter_map(Value::as_str).map(|value| format!("`{value}`")).collect();
        text = values.join(", ");
    }
    let bounds = [
        ("minimum", "at least"),
        ("maximum", "at most"),
        ("maxLength", "up to"),
        ("minItems", "at least"),
        ("maxItems", "up to"),
        ("maxProperties", "up to"),
    ];
    for (key, words) in bounds {
        let unit = match key {
            "maxLength" => " characters",
            "minItems" | "maxItems" | "maxProperties" => " entries",
            _ => "",
        };
        if let Some(bound) = field[key].as_f64() {
            let _ = write!(text, ", {words} {bound}{unit}");
        }
    }
    text
}

/// The description on one line, with the rules after it.
fn description(field: &Value) -> String {
    let mut text = field["description"].as_str().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
    for rule in field["x-kubernetes-validations"].as_array().into_iter().flatten() {
        let _ = write!(text, " Rule: {}.", rule["message"].as_str().unwrap_or_default());
    }
    text.replace('|', "\\|")
}

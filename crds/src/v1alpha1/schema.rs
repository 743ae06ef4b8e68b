//! Schema fragments that schemars cannot derive.
//!
//! Kubernetes has extensions of its own for "integer or string" and for "anything", and bounds on the keys
//! of maps do not come out of a `BTreeMap`.

use schemars::{Schema, SchemaGenerator, json_schema};

/// A port by number or name.
pub(super) fn port(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "x-kubernetes-int-or-string": true })
}

/// A body: text or a structure.
pub(super) fn body(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "x-kubernetes-preserve-unknown-fields": true })
}

/// Header or parameter names to expressions.
pub(super) fn headers(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 64,
        "additionalProperties": {"type": "string", "maxLength": 4096},
    })
}

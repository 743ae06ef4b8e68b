//! Durations as the Gateway API writes them (GEP-2257): `30s`, `1h30m`.
//!
//! Kept as text here. `kube::core::Duration` accepts negative values and has no pattern in the schema, so
//! the API server would let through what the compiler then refuses.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A duration as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DurationText(pub String);

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DurationError {
    /// Not of the form.
    #[error("is a duration of up to four whole numbers with units, as 30s, 500ms or 1h30m")]
    Form,
}

impl DurationText {
    /// The duration.
    pub fn parse(&self) -> Result<Duration, DurationError> {
        let mut rest = self.0.as_str();
        let mut total = Duration::ZERO;
        for _ in 0..4 {
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let (digits, after) = rest.split_at(end);
            if !(1..=5).contains(&digits.len()) {
                return Err(DurationError::Form);
            }
            let count: u64 = digits.parse().map_err(|_| DurationError::Form)?;
            let end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
            let (unit, after) = after.split_at(end);
            total += match unit {
                "h" => Duration::from_secs(count * 3600),
                "m" => Duration::from_secs(count * 60),
                "s" => Duration::from_secs(count),
                "ms" => Duration::from_millis(count),
                _ => return Err(DurationError::Form),
            };
            rest = after;
            if rest.is_empty() {
                return Ok(total);
            }
        }
        Err(DurationError::Form)
    }
}

impl JsonSchema for DurationText {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "maxLength": 32, "pattern": "^([0-9]{1,5}(h|m|s|ms)){1,4}$"})
    }
}

//! The query of a call.
//!
//! Parameters are named one by one instead of being part of the path's text, so that a parameter whose
//! value is missing can be left out as a whole and a value can never start another one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::encode::percent_encode_into;
use crate::expression::Expression;
use crate::scope::Scope;

/// The query parameters of a call, in the order of their names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct QueryTemplate {
    /// The value of each parameter.
    pub parameters: BTreeMap<String, Expression>,
}

impl QueryTemplate {
    /// Appends `?name=value&...` to a path. A parameter is left out when a value of it is missing.
    pub fn render<S: Scope + ?Sized>(&self, scope: &S, target: &mut String) {
        let mut separator = '?';
        for (name, template) in &self.parameters {
            let Some(value) = template.render_present(scope) else {
                continue;
            };
            target.push(separator);
            percent_encode_into(name, target);
            target.push('=');
            percent_encode_into(&value, target);
            separator = '&';
        }
    }
}

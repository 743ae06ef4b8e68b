//! From what users write to what the data plane reads.

use std::fmt;

use crate::document::{Document, RouteId, ServiceId};
use crate::v1alpha1::WebSocketRoute;

/// The result of [`compile`].
#[derive(Debug, Clone, PartialEq)]
pub struct Compiled {
    /// The routes without a problem.
    pub document: Document,
    /// Everything that is wrong, ordered by route.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong with a route, which is left out of the document because of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The route.
    pub route: RouteId,
    /// The field, as `spec.routes[2].request.path`.
    pub field: String,
    /// What was found and the rule it breaks.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// Compiles the routes of one Service.
pub fn compile(
    service: &ServiceId,
    routes: &[WebSocketRoute],
    resolve: &dyn Fn(&WebSocketRoute) -> Result<String, String>,
) -> Compiled {
    let _ = (routes, resolve);
    Compiled {
        document: Document {
            format_version: crate::document::FORMAT_VERSION,
            service: service.clone(),
            routes: Vec::new(),
        },
        problems: Vec::new(),
    }
}

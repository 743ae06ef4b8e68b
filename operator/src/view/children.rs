//! What stands under the names of a Service's children.
//!
//! Keyed by kind and name rather than by role: a route that is exposed has an object of its own, and one that is no
//! longer exposed leaves an object behind that no role points to any more.

use jiff::Timestamp;

use super::ServiceFacts;

/// A kind of child.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChildKind {
    /// `v1`
    ConfigMap,
    /// `v1`
    Service,
    /// `networking.k8s.io/v1`
    Ingress,
    /// `gateway.networking.k8s.io/v1`
    HttpRoute,
}

/// A child, in the namespace of its Service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChildRef {
    /// Its kind.
    pub kind: ChildKind,
    /// Its name.
    pub name: String,
}

/// What has the name of a child.
#[derive(Debug, Clone, PartialEq)]
pub enum ChildFacts {
    /// One that we made for this Service.
    Ours {
        /// The digest that the apply annotated: equal means nothing to apply.
        digest: Option<String>,
        /// What it is now, when it is a Service: one that somebody changed is applied again.
        found: Option<ServiceFacts>,
        /// When this process applied it last, if it did.
        applied: Option<Timestamp>,
    },
    /// Something else.
    Foreign,
}

impl ChildKind {
    /// As in manifests and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMap",
            Self::Service => "Service",
            Self::Ingress => "Ingress",
            Self::HttpRoute => "HTTPRoute",
        }
    }

    /// The `apiVersion` of its objects.
    pub fn api_version(self) -> &'static str {
        match self {
            Self::ConfigMap | Self::Service => "v1",
            Self::Ingress => "networking.k8s.io/v1",
            Self::HttpRoute => "gateway.networking.k8s.io/v1",
        }
    }
}

impl std::fmt::Display for ChildRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind.as_str(), self.name)
    }
}

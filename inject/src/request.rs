//! What is asked about a pod besides the pod itself.
//!
//! Which Services have routes is known to the operator's index and to the reader of manifests; both hand over only those
//! that select the pod, so that this crate needs no view of a cluster.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// Why a pod is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// Its namespace is opted in: it is injected when a Service with a route selects it.
    Namespace,
    /// It is opted in itself, by its label or by whoever runs `moorline inject`: it is injected in any case.
    Pod,
}

/// A question about one pod.
#[derive(Debug, Clone)]
pub struct Request {
    /// Why it is looked at.
    pub asked: Asked,
    /// The namespace the pod will be in; a pod that is being created need not say so itself.
    pub namespace: String,
    /// The Services with routes that select the pod, in any order. See [`selects`].
    pub services: Vec<RoutedService>,
}

/// A Service that routes name.
#[derive(Debug, Clone, PartialEq)]
pub struct RoutedService {
    /// Its name.
    pub name: String,
    /// Where the ports that routes name lead to in the pod. Not the target ports of its other ports: a Service may well
    /// have one that leads to the sidecar.
    pub target_ports: Vec<IntOrString>,
}

/// Whether the selector of a Service selects a pod with these labels. An empty selector selects nothing.
pub fn selects(selector: &BTreeMap<String, String>, labels: &BTreeMap<String, String>) -> bool {
    !selector.is_empty() && selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_selector_wants_all_its_labels_and_an_empty_one_selects_nothing() {
        let labels = map(&[("app", "orders"), ("tier", "web")]);
        assert!(selects(&map(&[("app", "orders")]), &labels));
        assert!(!selects(&map(&[("app", "orders"), ("tier", "db")]), &labels));
        assert!(!selects(&map(&[]), &labels));
    }
}

//! Namespaces in the index: their labels, and going over one or all of them.

use super::{Index, Namespace, Reason};

impl Index {
    /// Whether a namespace is opted in.
    pub(crate) fn put_namespace(&mut self, name: &str, is_enabled: bool) {
        let known = self.namespace(name);
        if known.is_enabled == is_enabled {
            return;
        }
        known.is_enabled = is_enabled;
        let tracked: Vec<String> = known.tracked.keys().cloned().collect();
        for service in tracked {
            self.mark(name, &service, Reason::Namespace);
        }
    }

    /// The names of all that are known.
    pub(crate) fn namespace_names(&self) -> Vec<String> {
        self.namespaces.keys().cloned().collect()
    }

    /// A namespace that is gone. Its objects went before, each with an event of its own.
    pub(crate) fn remove_namespace(&mut self, name: &str) {
        self.put_namespace(name, false);
        if self.namespaces.get(name).is_some_and(Namespace::is_empty) {
            self.namespaces.remove(name);
        }
    }

    /// One namespace, or all.
    pub(super) fn scope(&self, scope: Option<&str>) -> impl Iterator<Item = (&String, &Namespace)> {
        self.namespaces.iter().filter(move |(name, _)| scope.is_none_or(|scope| scope == name.as_str()))
    }
}

impl Namespace {
    fn is_empty(&self) -> bool {
        self.routes.is_empty()
            && self.services.is_empty()
            && self.slices.is_empty()
            && self.pods.is_empty()
            && self.documents.is_empty()
            && self.owned.is_empty()
    }
}

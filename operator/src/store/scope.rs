//! Which namespaces are watched.

use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource};

/// Which namespaces are watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scope {
    /// All of the cluster.
    All,
    /// These, each with watches of its own: that is what a Role in each of them allows.
    Namespaces(Vec<String>),
}

impl Scope {
    /// Of a list, where none means all.
    pub(crate) fn new(mut namespaces: Vec<String>) -> Self {
        namespaces.sort();
        namespaces.dedup();
        if namespaces.is_empty() { Self::All } else { Self::Namespaces(namespaces) }
    }

    /// The namespace of each watch of a kind, and none for a watch over all.
    pub(super) fn parts(&self) -> Vec<Option<String>> {
        match self {
            Self::All => vec![None],
            Self::Namespaces(names) => names.iter().cloned().map(Some).collect(),
        }
    }
}

/// The API of a kind in one namespace, or in all.
pub(super) fn api<K>(client: Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client, namespace),
        None => Api::all(client),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_namespace_means_all_and_each_of_several_is_watched_once() {
        assert_eq!(Scope::new(vec![]), Scope::All);
        let scope = Scope::new(vec!["b".to_owned(), "a".to_owned(), "b".to_owned()]);
        assert_eq!(scope.parts(), [Some("a".to_owned()), Some("b".to_owned())]);
        assert_eq!(Scope::All.parts(), [None]);
    }
}

//! Other objects of ours in the index, and what is in the place of one.
//!
//! Objects of ours are watched by their label, so an object without it is not seen; before the first apply its name is
//! asked for, and what is found there is remembered here until it is asked for again.

use super::{Index, Reason, Version};

/// The kinds of objects we make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum OwnedKind {
    /// A ConfigMap with a document.
    Document,
    /// A Service.
    Service,
    /// An Ingress.
    Ingress,
    /// An `HTTPRoute`.
    HttpRoute,
}

/// What is at a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Owned {
    /// One of ours.
    Ours {
        /// The Service it belongs to.
        service: String,
        /// The digest of what was applied.
        digest: Option<String>,
        /// Its version.
        version: Version,
    },
    /// Something else.
    Foreign {
        /// The Service whose child would be there.
        service: String,
    },
}

impl Owned {
    fn service(&self) -> &str {
        match self {
            Self::Ours { service, .. } | Self::Foreign { service } => service,
        }
    }
}

impl Index {
    /// An object as it is now.
    pub(crate) fn put_owned(&mut self, namespace: &str, kind: OwnedKind, name: &str, owned: Owned) {
        let key = (kind, name.to_owned());
        let known = self.namespace(namespace);
        if let (Some(Owned::Ours { version: old, .. }), Owned::Ours { version, .. }) = (known.owned.get(&key), &owned)
            && !version.replaces(*old)
        {
            return;
        }
        let service = owned.service().to_owned();
        let is_ours = matches!(owned, Owned::Ours { .. });
        if known.owned.insert(key.clone(), owned.clone()).as_ref() == Some(&owned) {
            return;
        }
        if is_ours {
            self.track(namespace, &service, |tracked| {
                tracked.children.insert(key);
            });
        }
        self.mark_if_tracked(namespace, &service, Reason::Child);
    }

    /// An object that is gone, or that is not in the way any more.
    pub(crate) fn remove_owned(&mut self, namespace: &str, kind: OwnedKind, name: &str) {
        let key = (kind, name.to_owned());
        let Some(old) = self.namespaces.get_mut(namespace).and_then(|known| known.owned.remove(&key)) else { return };
        self.mark_if_tracked(namespace, old.service(), Reason::Child);
        self.untrack(namespace, old.service(), |tracked| {
            tracked.children.remove(&key);
        });
    }

    /// The objects of this kind in one namespace, or in all, that are ours.
    pub(crate) fn owned_names(&self, scope: Option<&str>, kind: OwnedKind) -> Vec<(String, String)> {
        self.scope(scope)
            .flat_map(|(namespace, known)| {
                let ours = known
                    .owned
                    .iter()
                    .filter(move |((found, _), owned)| *found == kind && matches!(owned, Owned::Ours { .. }));
                ours.map(|((_, name), _)| (namespace.clone(), name.clone()))
            })
            .collect()
    }

    /// What is known to be at a name; none also for what was never asked for.
    pub(crate) fn owned(&self, namespace: &str, kind: OwnedKind, name: &str) -> Option<&Owned> {
        self.namespaces.get(namespace)?.owned.get(&(kind, name.to_owned()))
    }

    /// Whether there is a document of ours at this name.
    pub(crate) fn has_document(&self, namespace: &str, name: &str) -> bool {
        self.namespaces.get(namespace).is_some_and(|known| known.documents.contains_key(name))
    }
}

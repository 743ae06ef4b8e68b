//! Documents in the index: what the ConfigMaps hold, decoded.
//!
//! A document is decoded where it arrives and not under the lock, because that takes milliseconds for a large one.

use std::sync::Arc;

use moorline_crds::names::Child;
use moorline_crds::{bundle, codec, names};
use tokio::time::Instant;

use super::services::child_of;
use super::{Index, Reason, StoredDocument, Version};
use crate::store::objects::ConfigMap;
use crate::view::{ChildKind, ChildRef, LiveDocument};

/// A document and the ConfigMap it is from.
#[derive(Debug)]
pub(crate) struct Document {
    service: String,
    version: Version,
    live: LiveDocument,
    digest: Option<String>,
}

impl Document {
    /// Reads a ConfigMap of ours. None for one that is not the document of the Service it says.
    pub(crate) fn read(map: &ConfigMap) -> Option<Self> {
        let (service, digest) = child_of(&map.metadata)?;
        if map.metadata.name.as_deref() != Some(Child::Document.name(&service).as_str()) {
            return None;
        }
        let version = Version::parse(map.metadata.resource_version.as_deref());
        let unpacked = match (map.data.get(names::DOCUMENT_FILE), map.binary_data.get(names::COMPRESSED_DOCUMENT_FILE))
        {
            (Some(plain), _) => Ok(plain.clone().into_bytes()),
            (None, Some(archive)) => bundle::unpack(&archive.0).map_err(|error| error.to_string()),
            (None, None) => Err("there is none".to_owned()),
        };
        let decoded = unpacked.and_then(|bytes| codec::decode(&bytes).map_err(|error| error.to_string()));
        let live = match decoded {
            Ok(document) => LiveDocument { hash: document.hash(), document: Some(Arc::new(document)) },
            Err(error) => {
                tracing::warn!(%service, %error, "the stored document cannot be read");
                LiveDocument { hash: String::new(), document: None }
            }
        };
        Some(Self { service, version, live, digest })
    }
}

impl Index {
    /// A document as it is now. `put_at` is set for one that was just applied: a list that began before does not hold
    /// it, and that is no sign of its deletion.
    pub(crate) fn put_document(&mut self, namespace: &str, name: &str, document: Document, put_at: Option<Instant>) {
        let Document { service, version, live, digest } = document;
        let known = self.namespace(namespace);
        let old = known.documents.get(name);
        if old.is_some_and(|old| !version.replaces(old.version)) {
            return;
        }
        let hash_changed = old.is_none_or(|old| old.live.hash != live.hash);
        known
            .documents
            .insert(name.to_owned(), StoredDocument { service: service.clone(), version, live, digest, put_at });
        self.track(namespace, &service, |tracked| {
            tracked.children.insert(ChildRef { kind: ChildKind::ConfigMap, name: name.to_owned() });
        });
        // Nudges are planned only for a document that is known to be stored, so its writer has to look again, too.
        self.mark(namespace, &service, Reason::Document);
        if hash_changed {
            self.mark_neighbours(namespace, &service, Reason::Document);
            self.ask_pods_of(namespace, &service);
        }
    }

    /// A document that is gone.
    pub(crate) fn remove_document(&mut self, namespace: &str, name: &str, version: Version) {
        let Some(known) = self.namespaces.get_mut(namespace) else { return };
        if known.documents.get(name).is_none_or(|document| !version.deletes(document.version)) {
            return;
        }
        let Some(old) = known.documents.remove(name) else { return };
        self.mark(namespace, &old.service, Reason::Document);
        self.untrack(namespace, &old.service, |tracked| {
            tracked.children.remove(&ChildRef { kind: ChildKind::ConfigMap, name: name.to_owned() });
        });
    }

    /// The documents of one namespace, or of all, that were there before `since`.
    pub(crate) fn document_names(&self, scope: Option<&str>, since: Instant) -> Vec<(String, String)> {
        self.scope(scope)
            .flat_map(|(namespace, known)| {
                let old = known.documents.iter().filter(|(_, document)| document.put_at.is_none_or(|at| at < since));
                old.map(|(name, _)| (namespace.clone(), name.clone()))
            })
            .collect()
    }
}

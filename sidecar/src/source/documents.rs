//! Which documents are served, out of what a directory holds now and held before.
//!
//! Each Service goes by itself: a document that is bad or gone leaves the last good one of its Service in use and
//! holds up no other, because the routes of a shop should not wait for a mistake in those of a forum. Bytes are
//! remembered and not documents; those are handed over, and making one again costs a millisecond at a time when
//! something changed anyway.
//!
//! Invariants: pure, no I/O; what was good stays until something good follows it; of two documents of one Service the
//! one whose directory comes first by name is served.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use moorline_crds::bundle::{self, BundleError, MAX_BYTES};
use moorline_crds::codec::{self, DecodeError};
use moorline_crds::document::{Document, ServiceId};
use moorline_crds::names;

use super::directory::{Content, File, path_of};

/// Why a file is not served.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Read(std::io::ErrorKind),
    /// It is larger than any document.
    #[error("is larger than {MAX_BYTES} bytes")]
    TooLarge,
    /// It cannot be unpacked.
    #[error("{0}")]
    Unpack(#[from] BundleError),
    /// It is not a document.
    #[error("{0}")]
    Decode(#[from] DecodeError),
    /// Another directory has a document of the same Service.
    #[error("is a second document of {service}; the one of {first} is served", first = first.display())]
    SecondOfService {
        /// The Service.
        service: ServiceId,
        /// The file that is served.
        first: PathBuf,
    },
}

impl LoadError {
    /// A fixed name for the kind of error.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Read(_) => "unreadable",
            Self::TooLarge => "too_large",
            Self::Unpack(source) => source.reason(),
            Self::Decode(source) => source.reason(),
            Self::SecondOfService { .. } => "second_of_service",
        }
    }
}

/// A document to serve, and the hash of the bytes it came as.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The document.
    pub document: Document,
    /// `sha256:` and digits. Of the bytes and not of the document written again: an operator of another version may
    /// write it differently, and compares with what it wrote.
    pub hash: String,
}

impl From<Document> for Loaded {
    fn from(document: Document) -> Self {
        Self { hash: document.hash(), document }
    }
}

/// A document that is there and not served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The Service it is for, as far as it can be told: the namespace may be empty.
    pub service: ServiceId,
    /// A fixed name for the kind of error.
    pub reason: &'static str,
    /// File and error.
    pub message: String,
}

/// What is to be served from now on.
#[derive(Debug, Default)]
pub struct Update {
    /// All documents, by name of their directory.
    pub documents: Vec<Loaded>,
    /// Whether they differ from those of the update before.
    pub changed: bool,
    /// What is not served, by name of its directory.
    pub refused: Vec<Refused>,
    /// Which of those are so since this update.
    pub newly_refused: Vec<Refused>,
    /// Services whose document is no longer there and still served.
    pub gone: Vec<ServiceId>,
    /// The files of those that are so since this update.
    pub newly_gone: Vec<PathBuf>,
}

/// The documents of a directory over time.
#[derive(Debug)]
pub struct Documents {
    directory: PathBuf,
    slots: BTreeMap<String, Slot>,
    refused: Vec<Refused>,
    served: Vec<String>,
}

/// One name of a [`Content`].
#[derive(Debug, Default)]
struct Slot {
    /// What was there last, good or bad.
    seen: Option<File>,
    good: Option<File>,
    refused: Option<Refused>,
    is_gone: bool,
}

impl Documents {
    /// The documents of a directory, which only messages name.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), slots: BTreeMap::new(), refused: Vec::new(), served: Vec::new() }
    }

    /// Takes up what the directory holds now.
    pub fn take(&mut self, content: &Content) -> Update {
        let mut update = Update::default();
        let mut decoded = BTreeMap::new();
        for (name, slot) in &mut self.slots {
            if !content.contains_key(name) && !slot.is_gone {
                slot.is_gone = true;
                // What comes back is looked at anew.
                slot.seen = None;
                slot.refused = None;
                if slot.good.is_some() {
                    update.newly_gone.push(path_of(&self.directory, name, slot.good.as_ref()));
                }
            }
        }
        self.slots.retain(|_, slot| !slot.is_gone || slot.good.is_some());
        for (name, file) in content {
            let slot = self.slots.entry(name.clone()).or_default();
            slot.is_gone = false;
            if slot.seen.as_ref() == Some(file) {
                continue;
            }
            match load(file) {
                Ok(loaded) => {
                    decoded.insert(name.clone(), loaded);
                    slot.good = Some(file.clone());
                    slot.refused = None;
                }
                Err(error) => {
                    let service = service_of(file, slot.good.as_ref(), name);
                    slot.refused = Some(refused(service, &path_of(&self.directory, name, Some(file)), &error));
                }
            }
            slot.seen = Some(file.clone());
        }
        self.assemble(decoded, &mut update);
        update
    }

    fn assemble(&mut self, mut decoded: BTreeMap<String, Loaded>, update: &mut Update) {
        let mut firsts: BTreeMap<ServiceId, PathBuf> = BTreeMap::new();
        for (name, slot) in &self.slots {
            update.refused.extend(slot.refused.clone());
            let Some(good) = &slot.good else { continue };
            let path = path_of(&self.directory, name, Some(good));
            // It was good once, so it is now.
            let Some(loaded) = decoded.remove(name).or_else(|| load(good).ok()) else { continue };
            let service = loaded.document.service.clone();
            if let Some(first) = firsts.get(&service) {
                let error = LoadError::SecondOfService { service: service.clone(), first: first.clone() };
                update.refused.push(refused(service, &path, &error));
                continue;
            }
            if slot.is_gone {
                update.gone.push(service.clone());
            }
            firsts.insert(service, path);
            update.documents.push(loaded);
        }
        update.newly_refused = update.refused.iter().filter(|now| !self.refused.contains(now)).cloned().collect();
        self.refused.clone_from(&update.refused);
        let served: Vec<String> =
            update.documents.iter().map(|loaded| format!("{} {}", loaded.document.service, loaded.hash)).collect();
        update.changed = served != self.served;
        self.served = served;
    }
}

fn load(file: &File) -> Result<Loaded, LoadError> {
    let unpacked;
    let bytes = match file {
        File::Plain(bytes) => bytes,
        File::Compressed(bytes) => {
            unpacked = bundle::unpack(bytes)?;
            unpacked.as_slice()
        }
        File::TooLarge => return Err(LoadError::TooLarge),
        File::Unreadable(kind) => return Err(LoadError::Read(*kind)),
    };
    let document = codec::decode(bytes)?;
    // The line end that an editor adds is no part of it.
    Ok(Loaded { document, hash: format!("sha256:{}", names::hex(bytes.trim_ascii_end())) })
}

fn refused(service: ServiceId, path: &Path, error: &LoadError) -> Refused {
    Refused { service, reason: error.reason(), message: format!("{}: {error}", path.display()) }
}

/// Whose document a bad one is: as it says itself, as the good one before it said, or as its directory is called.
fn service_of(bad: &File, good: Option<&File>, name: &str) -> ServiceId {
    #[derive(serde::Deserialize)]
    struct Named {
        service: ServiceId,
    }
    let said = match bad {
        File::Plain(bytes) => serde_json::from_slice::<Named>(bytes).ok(),
        File::Compressed(bytes) => {
            bundle::unpack(bytes).ok().and_then(|bytes| serde_json::from_slice::<Named>(&bytes).ok())
        }
        File::TooLarge | File::Unreadable(_) => None,
    };
    said.map(|named| named.service)
        .or_else(|| load(good?).ok().map(|loaded| loaded.document.service))
        .unwrap_or_else(|| ServiceId { namespace: String::new(), name: name.to_owned() })
}

#[cfg(test)]
#[path = "documents/tests.rs"]
mod tests;

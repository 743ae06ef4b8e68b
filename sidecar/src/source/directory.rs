//! The document in a directory, as a pod has it mounted.
//!
//! One file of a fixed name, because a projected volume shows several files changing one after the other and a
//! document must change as a whole.
//!
//! Invariant: a directory that is missing or empty at the start is a sidecar without routes, not an error: a pod must
//! start whether or not the operator has been there.

use std::io;
use std::path::{Path, PathBuf};

use moorline_crds::codec::{self, DecodeError};
use moorline_crds::document::Document;

/// The file's name.
pub const FILE_NAME: &str = "document.json";
/// The largest document that is read. The API server keeps none over 1 MiB; a mistaken path should not fill memory.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// What a directory held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// No file.
    Missing,
    /// The bytes of the file.
    Bytes(Vec<u8>),
    /// There is a file that cannot be read.
    Unreadable(io::ErrorKind),
}

/// Why a directory's content is not served.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("{path}: cannot be read: {kind}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        kind: io::ErrorKind,
    },
    /// The file is larger than any document.
    #[error("{path}: is larger than {MAX_BYTES} bytes", path = path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The file is not a document.
    #[error("{path}: {source}", path = path.display())]
    Decode {
        /// The file.
        path: PathBuf,
        /// Why.
        source: DecodeError,
    },
    /// The file was there before. To serve nothing, a document without routes says so.
    #[error("{path}: is gone", path = path.display())]
    Gone {
        /// The file.
        path: PathBuf,
    },
}

impl LoadError {
    /// A fixed name for the kind of error.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Read { .. } => "unreadable",
            Self::TooLarge { .. } => "too_large",
            Self::Decode { source, .. } => source.reason(),
            Self::Gone { .. } => "gone",
        }
    }
}

/// Reads the directory's file. Blocks.
pub fn read(directory: &Path) -> Content {
    use io::Read as _;

    let bytes = std::fs::File::open(directory.join(FILE_NAME)).and_then(|file| {
        let mut bytes = Vec::new();
        // One byte more than the bound, so that over it can be told from at it.
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map(|_| bytes)
    });
    match bytes {
        Ok(bytes) => Content::Bytes(bytes),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Content::Missing
        }
        Err(error) => Content::Unreadable(error.kind()),
    }
}

/// The documents of a directory's content. `started` says whether a document has been served from there before; only
/// then is a missing one an error, since routes should not vanish with a mount.
pub fn load(directory: &Path, content: &Content, started: bool) -> Result<Vec<Document>, LoadError> {
    let path = || directory.join(FILE_NAME);
    match content {
        Content::Missing if started => Err(LoadError::Gone { path: path() }),
        Content::Missing => Ok(Vec::new()),
        Content::Unreadable(kind) => Err(LoadError::Read { path: path(), kind: *kind }),
        Content::Bytes(bytes) if bytes.len() as u64 > MAX_BYTES => Err(LoadError::TooLarge { path: path() }),
        Content::Bytes(bytes) => codec::decode(bytes)
            .map(|document| vec![document])
            .map_err(|source| LoadError::Decode { path: path(), source }),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // tests fail by panicking
mod tests {
    use super::*;

    const EMPTY: &str = r#"{"formatVersion":1,"service":{"namespace":"shop","name":"orders"},"routes":[]}"#;

    #[test]
    fn a_directory_that_is_missing_or_empty_serves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        for path in [directory.path(), &directory.path().join("missing")] {
            let content = read(path);
            assert_eq!(content, Content::Missing);
            assert_eq!(load(path, &content, false).unwrap(), []);
        }
    }

    #[test]
    fn a_document_that_was_served_and_is_gone_is_refused() {
        let path = Path::new("/config");
        assert_eq!(load(path, &Content::Missing, true).unwrap_err().to_string(), "/config/document.json: is gone");
    }

    #[test]
    fn a_document_is_read_and_a_bad_one_is_refused_with_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join(FILE_NAME);
        std::fs::write(&file, EMPTY).unwrap();
        let documents = load(directory.path(), &read(directory.path()), false).unwrap();
        assert_eq!(documents.len(), 1);

        std::fs::write(&file, "{}").unwrap();
        let error = load(directory.path(), &read(directory.path()), true).unwrap_err();
        assert!(error.to_string().starts_with(&format!("{}: ", file.display())), "{error}");
        assert_eq!(error.reason(), "unreadable");
    }
}

//! A document as the data of a ConfigMap.
//!
//! Plain JSON as long as a person may want to read it, compressed when it is large: an object of the API server holds
//! 1 MiB, and expressions and defaults of a thousand routes compress twenty to one. Always one object, because a pod
//! sees two ConfigMaps change one after the other, and which parts belong together would have to be told again.
//!
//! Invariants: exactly one of the two files is written; `unpack` of what `pack` made gives the bytes back; neither
//! direction holds more than the bounds in memory.

use std::io::{self, Read as _, Write as _};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use thiserror::Error;

use crate::names::{COMPRESSED_DOCUMENT_FILE, DOCUMENT_FILE};

/// Up to here a document stays readable.
const PLAIN_BYTES: usize = 256 * 1024;
/// What a ConfigMap holds beside its metadata, with room for that.
pub const MAX_PACKED_BYTES: usize = 900 * 1024;
/// The largest document that is read, unpacked. A mistaken path or a crafted archive should not fill memory.
pub const MAX_BYTES: usize = 32 * 1024 * 1024;

/// Why a document cannot be packed or unpacked.
#[derive(Debug, Error)]
pub enum BundleError {
    /// It does not fit into a ConfigMap.
    #[error("the compressed document has {found} bytes, and a ConfigMap holds {MAX_PACKED_BYTES}")]
    TooLarge {
        /// Its size.
        found: usize,
    },
    /// Unpacked it would be larger than any document.
    #[error("the document has more than {MAX_BYTES} bytes")]
    Unbounded,
    /// Not an archive, or a damaged one.
    #[error("the archive cannot be read: {0}")]
    Archive(#[from] io::Error),
}

impl BundleError {
    /// A fixed name for the kind of error.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } | Self::Unbounded => "too_large",
            Self::Archive(_) => "archive",
        }
    }
}

/// A document as a file of a ConfigMap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packed {
    /// In `data`, as [`DOCUMENT_FILE`].
    Plain(String),
    /// In `binaryData`, as [`COMPRESSED_DOCUMENT_FILE`].
    Compressed(Vec<u8>),
}

impl Packed {
    /// The name of the file.
    pub fn file(&self) -> &'static str {
        match self {
            Self::Plain(_) => DOCUMENT_FILE,
            Self::Compressed(_) => COMPRESSED_DOCUMENT_FILE,
        }
    }
}

/// Packs the JSON of a document. Equal documents give equal bytes.
pub fn pack(json: String) -> Result<Packed, BundleError> {
    if json.len() <= PLAIN_BYTES {
        return Ok(Packed::Plain(json));
    }
    if json.len() > MAX_BYTES {
        return Err(BundleError::Unbounded);
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(json.as_bytes())?;
    let bytes = encoder.finish()?;
    if bytes.len() > MAX_PACKED_BYTES {
        return Err(BundleError::TooLarge { found: bytes.len() });
    }
    Ok(Packed::Compressed(bytes))
}

/// Unpacks [`COMPRESSED_DOCUMENT_FILE`].
pub fn unpack(archive: &[u8]) -> Result<Vec<u8>, BundleError> {
    let mut bytes = Vec::new();
    let bound = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX);
    GzDecoder::new(archive).take(bound.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_BYTES { Err(BundleError::Unbounded) } else { Ok(bytes) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)] // tests fail by panicking
mod tests {
    use super::*;

    #[test]
    fn a_small_document_stays_readable() {
        assert_eq!(pack("{}".to_owned()).unwrap(), Packed::Plain("{}".to_owned()));
    }

    #[test]
    fn a_large_document_is_compressed_and_comes_back_as_it_was() {
        let json = "{\"a\":\"b\"}".repeat(PLAIN_BYTES / 8);
        let Packed::Compressed(bytes) = pack(json.clone()).unwrap() else { panic!("not compressed") };
        assert!(bytes.len() < json.len() / 20);
        assert_eq!(unpack(&bytes).unwrap(), json.as_bytes());
    }

    #[test]
    fn a_document_that_no_configmap_holds_is_refused_with_its_size() {
        // Hexadecimal digits of hashes compress to half at best.
        let json: String = (0..60_000u32).map(|n| crate::names::hex(&n.to_le_bytes())).collect();
        let error = pack(json).unwrap_err();
        assert_eq!(error.reason(), "too_large");
    }

    #[test]
    fn what_is_no_archive_and_what_unpacks_without_end_is_refused() {
        assert_eq!(unpack(b"nothing").unwrap_err().reason(), "archive");
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        for _ in 0..=MAX_BYTES / 65_536 {
            encoder.write_all(&vec![0; 65_536]).unwrap();
        }
        assert_eq!(unpack(&encoder.finish().unwrap()).unwrap_err().reason(), "too_large");
    }
}

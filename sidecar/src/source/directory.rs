//! The documents in a directory, as a pod has them mounted: one for each Service, in a subdirectory of its name.
//!
//! One file for a whole Service, because a projected volume shows several files changing one after the other and a
//! document must change as a whole. A file right in the directory is read as well, for use by hand, where a
//! subdirectory would only be in the way. Reading is apart from deciding what is served
//! ([`Documents`](super::documents::Documents)), so that a watcher can compare what it read.
//!
//! Invariants: names that start with a dot are passed over (a volume keeps its versions under such names); what cannot
//! be read is part of the content, never a failure of the whole.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use moorline_crds::bundle::MAX_BYTES;
use moorline_crds::names::{COMPRESSED_DOCUMENT_FILE, DOCUMENT_FILE};

/// What a directory held: a file for each subdirectory that has one. The empty name is the directory's own.
pub type Content = BTreeMap<String, File>;

/// The file of one document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum File {
    /// The bytes of [`DOCUMENT_FILE`].
    Plain(Arc<[u8]>),
    /// The bytes of [`COMPRESSED_DOCUMENT_FILE`].
    Compressed(Arc<[u8]>),
    /// It is larger than any document.
    TooLarge,
    /// It cannot be read.
    Unreadable(io::ErrorKind),
}

/// Reads the directory. Blocks. One that is missing holds nothing: a pod must start whether or not anybody has been
/// there.
pub fn read(directory: &Path) -> Content {
    let mut content = Content::new();
    match subdirectories(directory) {
        Ok(names) => {
            for name in names {
                if let Some(file) = read_file(&directory.join(&name)) {
                    content.insert(name, file);
                }
            }
        }
        Err(error) if is_absence(error.kind()) => return content,
        Err(error) => {
            content.insert(String::new(), File::Unreadable(error.kind()));
            return content;
        }
    }
    if let Some(file) = read_file(directory) {
        content.insert(String::new(), file);
    }
    content
}

/// The file that a name of [`Content`] stands for, as it is called in messages.
pub fn path_of(directory: &Path, name: &str, file: Option<&File>) -> PathBuf {
    let file = if matches!(file, Some(File::Compressed(_))) { COMPRESSED_DOCUMENT_FILE } else { DOCUMENT_FILE };
    if name.is_empty() { directory.join(file) } else { directory.join(name).join(file) }
}

/// The names of the subdirectories, links to directories included: in a volume they are links.
fn subdirectories(directory: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        // A name that is not UTF-8 is no name of a Service.
        let Ok(name) = entry.file_name().into_string() else { continue };
        if !name.starts_with('.') && entry.path().is_dir() {
            names.push(name);
        }
    }
    Ok(names)
}

/// The document of one directory. There is only one of the two files, save for the hand that left both.
fn read_file(directory: &Path) -> Option<File> {
    let file = match bytes(&directory.join(DOCUMENT_FILE)) {
        Ok(bytes) => bytes.map_or(File::TooLarge, File::Plain),
        Err(error) if is_absence(error.kind()) => match bytes(&directory.join(COMPRESSED_DOCUMENT_FILE)) {
            Ok(bytes) => bytes.map_or(File::TooLarge, File::Compressed),
            Err(error) if is_absence(error.kind()) => return None,
            Err(error) => File::Unreadable(error.kind()),
        },
        Err(error) => File::Unreadable(error.kind()),
    };
    Some(file)
}

/// The bytes of a file, unless there are more than any document has: a mistaken path should not fill memory.
fn bytes(path: &Path) -> io::Result<Option<Arc<[u8]>>> {
    use io::Read as _;

    let bound = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(bound.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok((bytes.len() <= MAX_BYTES).then(|| bytes.into()))
}

fn is_absence(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // tests fail by panicking
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_directory_that_is_missing_or_empty_holds_nothing() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("orders")).unwrap();
        for path in [directory.path(), &directory.path().join("missing")] {
            assert_eq!(read(path), Content::new());
        }
    }

    #[test]
    fn each_subdirectory_and_the_directory_itself_hold_a_document() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        for name in ["orders", "users", "keys-only", ".hidden", "..2026_01_01"] {
            fs::create_dir(root.join(name)).unwrap();
        }
        fs::write(root.join(DOCUMENT_FILE), "0").unwrap();
        fs::write(root.join("orders").join(DOCUMENT_FILE), "1").unwrap();
        fs::write(root.join("users").join(COMPRESSED_DOCUMENT_FILE), "2").unwrap();
        fs::write(root.join("keys-only").join("keys.json"), "3").unwrap();
        fs::write(root.join(".hidden").join(DOCUMENT_FILE), "4").unwrap();
        fs::write(root.join("..2026_01_01").join(DOCUMENT_FILE), "5").unwrap();
        let expected = [
            (String::new(), File::Plain(Arc::from(*b"0"))),
            ("orders".to_owned(), File::Plain(Arc::from(*b"1"))),
            ("users".to_owned(), File::Compressed(Arc::from(*b"2"))),
        ];
        assert_eq!(read(root), Content::from(expected));
    }

    #[test]
    fn what_cannot_be_read_is_part_of_the_content() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("orders").join(DOCUMENT_FILE)).unwrap();
        let content = read(directory.path());
        assert!(matches!(content["orders"], File::Unreadable(_)), "{content:?}");
    }

    #[test]
    fn a_file_is_named_as_it_is_found() {
        let root = Path::new("/config");
        assert_eq!(path_of(root, "", None), Path::new("/config/document.json"));
        let compressed = File::Compressed(Arc::from(*b""));
        assert_eq!(path_of(root, "orders", Some(&compressed)), Path::new("/config/orders/document.json.gz"));
    }
}

//! Whole files, as `moorline inject` gets them.
//!
//! A file is cut at its `---` lines, as `kubectl` does, and only documents that change are printed anew. So a file comes
//! out as it was where nothing had to be done, comments and all, and version control shows what was.

use serde_json::Value;
use thiserror::Error;

use crate::manifest::{ManifestRequest, Note, manifest_patch};
use crate::yaml;

/// A file cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TextError {
    /// A document is not YAML, or not YAML that Kubernetes reads.
    #[error("{message}")]
    Read {
        /// The line of the file, counted from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
}

impl TextError {
    /// A fixed name for the kind of error.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Read { .. } => "read",
        }
    }

    /// The line of the file, counted from 1.
    pub fn line(&self) -> usize {
        match self {
            Self::Read { line, .. } => *line,
        }
    }
}

/// The documents of a file, as `kubectl` reads them. Those without content are left out.
pub fn read_text(text: &str) -> Result<Vec<Value>, TextError> {
    let (mut found, mut line) = (Vec::new(), 0);
    for document in documents(text) {
        found.extend(read(document, line)?.map(|node| node.to_json()));
        line += document.lines().count();
    }
    Ok(found)
}

/// Injects every workload of a file of manifests, in YAML or JSON.
pub fn inject_text(text: &str, request: &ManifestRequest<'_>) -> Result<(String, Vec<Note>), TextError> {
    let (mut output, mut notes, mut line) = (String::with_capacity(text.len()), Vec::new(), 0);
    for document in documents(text) {
        let node = read(document, line)?;
        line += document.lines().count();
        let changed = node.and_then(|mut node| {
            let (patch, found) = manifest_patch(&node.to_json(), request);
            notes.extend(found);
            if patch.0.is_empty() { None } else { node.patch(&patch).map(|()| node) }
        });
        match changed {
            Some(node) => {
                output.push_str(head(document));
                output.push_str(&yaml::print(&node));
            }
            None => output.push_str(document),
        }
    }
    Ok((output, notes))
}

/// Reads a document that starts after this line.
fn read(document: &str, line: usize) -> Result<Option<yaml::Node>, TextError> {
    yaml::read(document).map_err(|error| TextError::Read { line: line + error.line, message: error.message })
}

/// The documents of a file, each with the `---` line before it. Such a line cannot be part of a text.
fn documents(text: &str) -> Vec<&str> {
    let mut starts = vec![0];
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if at > 0 && is_marker(line) {
            starts.push(at);
        }
        at += line.len();
    }
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    starts.iter().copied().zip(ends).map(|(start, end)| &text[start..end]).collect()
}

fn is_marker(line: &str) -> bool {
    line.strip_prefix("---").is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\n', '\r']))
}

/// What stands before the content of a document: the `---` line and comments, which say where it comes from.
fn head(document: &str) -> &str {
    let mut end = 0;
    for line in document.split_inclusive('\n') {
        let rest = if is_marker(line) { &line[3..] } else { line };
        let rest = rest.trim();
        if !(rest.is_empty() || rest.starts_with('#')) {
            // Content may stand on the line of the marker.
            if is_marker(line) {
                return "---\n";
            }
            break;
        }
        end += line.len();
    }
    &document[..end]
}

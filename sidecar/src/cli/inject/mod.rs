//! `moorline inject`: manifests with the sidecar in them, for clusters without the webhook and for who wants to see in
//! git what runs.
//!
//! The same injection as the webhook's. Everything that was given is printed, so that the output takes the place of the
//! input; what is to be said about it goes to standard error, so that the output stays a manifest.

mod args;
mod routed;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::io::Write as _;

use json_patch::PatchOperation;
use moorline_crds::yaml::{Tree, parts};
use moorline_inject::{Asked, ManifestRequest, Note, NoteKind, manifest_patch};

pub(super) use self::args::InjectArgs;

use self::routed::Routed;
use super::outcome::{self, Done, Failure, Outcome};
use crate::source::manifests::{self, File};
use crate::style::{Ink, Style};

/// A document of a file.
struct Document<'a> {
    file: &'a str,
    line: usize,
    text: &'a str,
    tree: Tree,
    json: serde_json::Value,
}

/// What to print.
#[derive(Debug, Default, PartialEq, Eq)]
struct Result {
    manifests: String,
    notes: Vec<(Ink, String)>,
    /// Whether a workload that should have got the sidecar did not, or there was none.
    is_bad: bool,
}

/// Runs the command.
pub(super) fn run(args: &InjectArgs) -> Outcome {
    let files = manifests::read(&args.files);
    let result = inject(&files, args)?;
    let style = Style::of_stderr();
    for (ink, note) in &result.notes {
        // Nobody is left to tell when this fails.
        let _ = writeln!(std::io::stderr(), "{}", style.ink(*ink, note));
    }
    outcome::print(&result.manifests)?;
    Ok(if result.is_bad { Done::Badly } else { Done::Well })
}

/// Injects what files hold. A file that cannot be read is a failure of the whole: half of the manifests would be taken
/// for all of them.
fn inject(files: &[File], args: &InjectArgs) -> std::result::Result<Result, Failure> {
    let documents = read(files)?;
    let routed = Routed::of(documents.iter().map(|document| &document.json), &args.namespace, args.services.clone());
    let settings = args.settings();
    let services = |namespace: &str, labels: &_| routed.selecting(namespace, labels);
    let request =
        ManifestRequest { asked: routed.asked(), namespace: &args.namespace, services: &services, settings: &settings };
    let mut result = Result::default();
    let mut workloads = 0;
    for mut document in documents {
        let (patch, notes) = manifest_patch(&document.json, &request);
        let is_whole = patch.0.iter().all(|operation| apply(&mut document.tree, operation));
        if !is_whole {
            // The patch is made for this document, so only a defect of ours comes here.
            let place = format!("{}:{}", document.file, document.line);
            return Err(Failure::Runtime(format!("{place}: the sidecar cannot be put into this manifest")));
        }
        result.push(if patch.0.is_empty() { document.text.to_owned() } else { document.tree.to_string() }.as_str());
        workloads += notes.iter().filter(|note| note.kind != NoteKind::Warning).count();
        for note in &notes {
            result.note(document.file, note);
        }
    }
    result.notes.extend(routed.warnings.iter().map(|warning| (Ink::Yellow, format!("warning: {warning}"))));
    if workloads == 0 {
        result.is_bad = true;
        result.notes.push((Ink::Red, "there is no workload in these files".to_owned()));
    } else if request.asked == Asked::Pod {
        let warning = "warning: there is no WebSocketRoute or Service in these files: the sidecars mount no document and \
                       serve nothing. Add them, or --service NAME";
        result.notes.push((Ink::Yellow, warning.to_owned()));
    }
    Ok(result)
}

fn read(files: &[File]) -> std::result::Result<Vec<Document<'_>>, Failure> {
    let mut documents = Vec::new();
    for file in files {
        let text = file.text.as_ref().map_err(|reason| Failure::config(&file.name, reason))?;
        for part in parts(text) {
            let tree = Tree::parse(part.text).map_err(|error| {
                Failure::config(&format!("{}:{}", file.name, part.line + error.line.max(1) - 1), error)
            })?;
            // Comments between two markers belong to nobody.
            let Some(tree) = tree else { continue };
            let json = tree.json();
            documents.push(Document { file: &file.name, line: part.line, text: part.text, tree, json });
        }
    }
    Ok(documents)
}

fn apply(tree: &mut Tree, operation: &PatchOperation) -> bool {
    match operation {
        PatchOperation::Add(add) => tree.set(add.path.as_str(), &add.value, true),
        PatchOperation::Replace(replace) => tree.set(replace.path.as_str(), &replace.value, false),
        // Injection only adds and replaces.
        _ => false,
    }
}

impl Result {
    /// Adds a document.
    fn push(&mut self, text: &str) {
        if !self.manifests.is_empty() {
            self.manifests.push_str("---\n");
        }
        // What stood behind its marker on the same line: mostly nothing, or a comment.
        let text = text.strip_prefix("\r\n").or_else(|| text.strip_prefix('\n')).unwrap_or(text);
        self.manifests.push_str(text.trim_start_matches(' '));
        if !text.ends_with('\n') {
            self.manifests.push('\n');
        }
    }

    fn note(&mut self, file: &str, note: &Note) {
        let Note { object, kind, message } = note;
        let mut text = format!("{file}: {object}: ");
        let ink = match kind {
            NoteKind::Injected => {
                text.push_str("gets the sidecar");
                Ink::Green
            }
            NoteKind::Unchanged => {
                text.push_str("has the sidecar");
                Ink::Dim
            }
            NoteKind::Skipped(skip) => {
                // Writing to a `String` does not fail.
                let _ = write!(text, "gets no sidecar ({skip}): {message}");
                self.is_bad |= !skip.is_expected();
                if skip.is_expected() { Ink::Dim } else { Ink::Red }
            }
            NoteKind::Warning => {
                let _ = write!(text, "warning: {message}");
                Ink::Yellow
            }
        };
        self.notes.push((ink, text));
    }
}

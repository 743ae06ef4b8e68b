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

use moorline_inject::{Asked, ManifestRequest, Note, NoteKind, TextError, inject_text, read_text};

pub(super) use self::args::InjectArgs;

use self::routed::Routed;
use super::outcome::{self, Done, Failure, Outcome};
use crate::source::manifests::{self, File};
use crate::style::{Ink, Style};

/// What to print.
#[derive(Debug, Default, PartialEq, Eq)]
struct Injected {
    manifests: String,
    notes: Vec<(Ink, String)>,
    /// Whether a workload that should have got the sidecar did not, or there was none.
    is_bad: bool,
}

/// Runs the command.
pub(super) fn run(args: &InjectArgs) -> Outcome {
    let files = manifests::read(&args.files);
    let injected = inject(&files, args)?;
    let style = Style::of_stderr();
    for (ink, note) in &injected.notes {
        // Nobody is left to tell when this fails.
        let _ = writeln!(std::io::stderr(), "{}", style.ink(*ink, note));
    }
    outcome::print(&injected.manifests)?;
    Ok(if injected.is_bad { Done::Badly } else { Done::Well })
}

/// Injects what files hold. A file that cannot be read is a failure of the whole: half of the manifests would be taken
/// for all of them.
fn inject(files: &[File], args: &InjectArgs) -> Result<Injected, Failure> {
    let mut texts = Vec::new();
    let mut documents = Vec::new();
    for file in files {
        let text = file.text.as_ref().map_err(|reason| Failure::config(&file.name, reason))?;
        documents.extend(read_text(text).map_err(|error| located(file, &error))?);
        texts.push((file, text));
    }
    let routed = Routed::of(documents.iter(), &args.namespace, args.services.clone());
    let settings = args.settings();
    let services = |namespace: &str, labels: &_| routed.selecting(namespace, labels);
    let request =
        ManifestRequest { asked: routed.asked(), namespace: &args.namespace, services: &services, settings: &settings };
    let mut injected = Injected::default();
    let mut workloads = 0;
    for (file, text) in texts {
        let (manifests, notes) = inject_text(text, &request).map_err(|error| located(file, &error))?;
        injected.push(&manifests);
        workloads += notes.iter().filter(|note| note.kind != NoteKind::Warning).count();
        for note in &notes {
            injected.note(&file.name, note);
        }
    }
    injected.notes.extend(routed.warnings.iter().map(|warning| (Ink::Yellow, format!("warning: {warning}"))));
    if workloads == 0 {
        injected.is_bad = true;
        injected.notes.push((Ink::Red, "there is no workload in these files".to_owned()));
    } else if request.asked == Asked::Pod {
        let warning = "warning: there is no WebSocketRoute or Service in these files: the sidecars mount no document and \
                       serve nothing. Add them, or --service NAME";
        injected.notes.push((Ink::Yellow, warning.to_owned()));
    }
    Ok(injected)
}

fn located(file: &File, error: &TextError) -> Failure {
    Failure::config(&format!("{}:{}", file.name, error.line()), error)
}

impl Injected {
    /// Adds a file.
    fn push(&mut self, text: &str) {
        if !self.manifests.is_empty() && !text.is_empty() && !text.starts_with("---") {
            self.manifests.push_str("---\n");
        }
        self.manifests.push_str(text);
        if !text.is_empty() && !text.ends_with('\n') {
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

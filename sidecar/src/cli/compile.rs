//! `moorline compile`: manifests to the document that `run` reads, as the operator does it.

use std::io::Write as _;
use std::path::Path;

use moorline_crds::codec;
use moorline_crds::document::Document;
use moorline_crds::names::DOCUMENT_FILE;

use super::args::CompileArgs;
use super::check;
use super::outcome::{self, Done, Failure, Outcome};
use crate::source::manifests;
use crate::source::upstreams::Upstreams;
use crate::style::{Ink, Style};

/// Runs the command.
pub(super) fn run(args: &CompileArgs) -> Outcome {
    let upstreams = Upstreams::new(args.upstreams.clone());
    let compiled = manifests::compile_all(&manifests::read(&args.files), &|route| upstreams.resolve(route));
    let style = Style::of_stderr();
    for problem in &compiled.problems {
        // Nobody is left to tell when this fails.
        let _ = writeln!(std::io::stderr(), "{}", check::located(problem, Ink::Red, style));
    }
    if !compiled.problems.is_empty() {
        return Ok(Done::Badly);
    }
    let document = match compiled.documents.as_slice() {
        [document] => document,
        documents => {
            let services: Vec<String> = documents.iter().map(|document| document.service.to_string()).collect();
            let rule = format!("a document is for one Service, and these are for {}", services.join(", "));
            return Err(Failure::config("--file", rule));
        }
    };
    if let Some(name) = upstreams.unused(std::slice::from_ref(&document.service)) {
        let rule = format!("{name}: the manifests are for {}", document.service);
        return Err(Failure::config("--upstream", rule));
    }
    match &args.output {
        None => outcome::print(&format!("{}\n", codec::encode(document)))?,
        Some(directory) => {
            write(directory, document)
                .map_err(|error| Failure::config("--output", format!("{}: {error}", directory.display())))?;
            let path = directory.join(DOCUMENT_FILE);
            outcome::print(&format!("{}  {}  {}\n", path.display(), document.service, document.hash()))?;
        }
    }
    Ok(Done::Well)
}

/// Writes beside and renames over, so that a sidecar that watches sees the old document or the new one.
fn write(directory: &Path, document: &Document) -> std::io::Result<()> {
    std::fs::create_dir_all(directory)?;
    let temporary = directory.join(format!(".{DOCUMENT_FILE}.{}", std::process::id()));
    std::fs::write(&temporary, codec::encode(document))?;
    std::fs::rename(&temporary, directory.join(DOCUMENT_FILE))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // tests fail by panicking
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::source::manifests::tests::manifest;
    use crate::source::{directory, documents::Documents};

    fn compile(texts: &[String], upstream: &str) -> (Outcome, Vec<Document>) {
        let root = tempfile::tempdir().unwrap();
        let files: Vec<PathBuf> = (0..texts.len()).map(|n| root.path().join(format!("{n}.yaml"))).collect();
        for (file, text) in files.iter().zip(texts) {
            std::fs::write(file, text).unwrap();
        }
        let output = root.path().join("made/config");
        let args = CompileArgs { files, upstreams: vec![upstream.parse().unwrap()], output: Some(output.clone()) };
        let outcome = run(&args);
        let update = Documents::new(&output).take(&directory::read(&output));
        (outcome, update.documents.into_iter().map(|loaded| loaded.document).collect())
    }

    #[test]
    fn what_compile_writes_run_reads() {
        let (outcome, documents) = compile(&[manifest("shop", "orders", "http", "/a")], "orders=http://127.0.0.1:5000");
        assert_eq!(outcome.unwrap(), Done::Well);
        assert_eq!(documents[0].routes[0].upstream, "127.0.0.1:5000");
    }

    #[test]
    fn a_document_is_for_one_service() {
        let texts = [manifest("shop", "orders", "1", "/a"), manifest("shop", "users", "1", "/a")];
        let (outcome, documents) = compile(&texts, "http://127.0.0.1:5000");
        let error = outcome.unwrap_err().to_string();
        assert!(error.starts_with("--file: ") && error.contains("shop/orders, shop/users"), "{error}");
        assert_eq!(documents, []);
    }

    #[test]
    fn a_problem_writes_nothing() {
        let (outcome, documents) = compile(&[manifest("shop", "orders", "1", "bad")], "http://127.0.0.1:5000");
        assert_eq!(outcome.unwrap(), Done::Badly);
        assert_eq!(documents, []);
    }
}

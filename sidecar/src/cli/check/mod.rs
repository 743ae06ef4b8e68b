//! `moorline check`: everything that is wrong with manifests, or what they will do.
//!
//! The same compiler as everywhere, asked without an app: a named port needs no address for a route to be right or
//! wrong.

mod describe;

use std::fmt::Write as _;

use moorline_crds::Backend;
use moorline_crds::v1alpha1::WebSocketRoute;

use super::args::CheckArgs;
use super::outcome::{Done, Outcome};
use crate::source::manifests::{self, Compilation, File, Located};
use crate::style::{Ink, Style};

/// Where an app is that will not be called.
const SOMEWHERE: &str = "127.0.0.1:80";

/// Runs the command.
pub(super) fn run(args: &CheckArgs) -> Outcome {
    let files = manifests::read(&args.files);
    let (text, good) = report(&files, args.quiet, Style::of_stdout());
    super::outcome::print(&text)?;
    Ok(if good { Done::Well } else { Done::Badly })
}

/// What to print, and whether all is well.
fn report(files: &[File], quiet: bool, style: Style) -> (String, bool) {
    let compiled = manifests::compile_all(files, &|_: &WebSocketRoute| Ok(Backend::at(SOMEWHERE)));
    let mut text = String::new();
    for problem in &compiled.problems {
        let _ = writeln!(text, "{}", located(problem, Ink::Red, style));
    }
    for warning in &compiled.warnings {
        let _ = writeln!(text, "{} {}", located(warning, Ink::Yellow, style), style.ink(Ink::Dim, "(warning)"));
    }
    let problems = compiled.problems.len();
    if problems > 0 {
        let _ = writeln!(text, "{}", style.ink(Ink::Bold, counted(problems, "problem")));
        return (text, false);
    }
    if !quiet {
        describe_all(&compiled, style, &mut text);
    }
    (text, true)
}

fn describe_all(compiled: &Compilation, style: Style, text: &mut String) {
    for (file, manifest) in &compiled.manifests {
        let id = moorline_crds::compile::route_id(manifest);
        let route = compiled.documents.iter().flat_map(|document| &document.routes).find(|route| route.id == id);
        if let Some(route) = route {
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(&describe::route(file, manifest, route, style));
        }
    }
    let summary = format!("no problems in {}", counted(compiled.manifests.len(), "route"));
    let _ = writeln!(text, "\n{}", style.ink(Ink::Green, summary));
}

/// Prints a problem so that an editor can jump to it and an eye can see it.
pub(super) fn located(located: &Located, ink: Ink, style: Style) -> String {
    let place = match located.line {
        Some(line) => format!("{}:{line}:", located.file),
        None => format!("{}:", located.file),
    };
    format!("{} {}", style.ink(Ink::Bold, place), style.ink(ink, &located.message))
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests;

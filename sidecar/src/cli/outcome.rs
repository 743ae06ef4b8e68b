//! How a command ends: exit codes, and what is said on standard error.
//!
//! 0 all is well, 1 something is not (a check found problems, a server could not start), 2 the command line or the
//! configuration is wrong, as the shell's own convention and clap have it.

use std::io::{self, Write as _};
use std::process::ExitCode;

/// A command that ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Done {
    /// And all is well.
    Well,
    /// And what it found, and has said, is not.
    Badly,
    /// Until a second signal ended it at once.
    Interrupted,
}

/// A command that could not run.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// What it was given is wrong; names the flag or field.
    #[error("{0}")]
    Config(String),
    /// The machine did not let it.
    #[error("{0}")]
    Runtime(String),
    /// What reads standard output has gone, as `head` does.
    #[error("standard output is closed")]
    OutputClosed,
}

/// The result of a command.
pub(super) type Outcome = Result<Done, Failure>;

impl Failure {
    pub(super) fn config(field: &str, rule: impl std::fmt::Display) -> Self {
        Self::Config(format!("{field}: {rule}"))
    }
}

/// Says what is left to say and gives the exit code.
pub(super) fn exit_code(outcome: &Outcome) -> ExitCode {
    match outcome {
        // Whoever closed the output knows why.
        Ok(Done::Well) | Err(Failure::OutputClosed) => ExitCode::SUCCESS,
        Ok(Done::Badly) => ExitCode::from(1),
        // 128 and SIGINT, as a shell reports it.
        Ok(Done::Interrupted) => ExitCode::from(130),
        Err(failure) => {
            // A closed standard error leaves nobody to tell.
            let _ = writeln!(io::stderr(), "moorline: {failure}");
            ExitCode::from(if matches!(failure, Failure::Config(_)) { 2 } else { 1 })
        }
    }
}

/// Prints text. Unlike `print!`, does not panic when the reader has gone.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes()).and_then(|()| output.flush()).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::OutputClosed,
        _ => Failure::Runtime(format!("standard output: {error}")),
    })
}

//! The command line: each command in a module of its own, over the same gateway and the same sources.
//!
//! What differs between `run`, `dev` and `demo` is where documents come from and who watches; serving until a signal
//! ([`serving`]) is the same for all three, so that a laptop stops the way a pod does.

mod args;
mod check;
mod compile;
mod demo;
mod dev;
mod drain;
mod http;
mod inject;
mod logging;
mod outcome;
mod probe;
mod run;
mod serving;
mod status;

use std::future::Future;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;

use self::args::{Cli, Command};
use self::outcome::{Done, Failure, Outcome};

/// How long blocking work of the runtime (reading a file that hangs) may hold up the end.
const RUNTIME_END: Duration = Duration::from_millis(200);

/// The `moorline` command: parses, runs, and gives the exit code.
pub fn main() -> ExitCode {
    // Exits by itself for help, and with 2 for what it cannot parse, naming the flag.
    let outcome = match Cli::parse().command {
        Command::Demo(args) => block_on(demo::run(args)),
        Command::Dev(args) => block_on(dev::run(args)),
        Command::Check(args) => check::run(&args),
        Command::Compile(args) => compile::run(&args),
        Command::Inject(args) => inject::run(&args),
        Command::Run(args) => block_on(run::run(args)),
        Command::Drain(args) => block_on(drain::run(args)),
        Command::Probe(args) => block_on(probe::run(args)),
        Command::Status(args) => block_on(status::run(args)),
        Command::Crd => crd(),
        Command::Version => version(),
    };
    outcome::exit_code(&outcome)
}

fn block_on(command: impl Future<Output = Outcome>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Runtime(format!("the threads cannot be started: {error}")))?;
    let outcome = runtime.block_on(command);
    runtime.shutdown_timeout(RUNTIME_END);
    outcome
}

fn crd() -> Outcome {
    let text = moorline_crds::yaml::crd().map_err(|error| Failure::Runtime(error.to_string()))?;
    outcome::print(&text)?;
    Ok(Done::Well)
}

fn version() -> Outcome {
    outcome::print(&format!(
        "moorline {}\ndocument format {}\n",
        env!("CARGO_PKG_VERSION"),
        moorline_crds::document::FORMAT_VERSION
    ))?;
    Ok(Done::Well)
}

//! The log of the process itself, on standard error, so that standard output is left to what was asked for.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::args::LogFormat;
use super::outcome::Failure;
use crate::style::Style;

/// Starts logging in a pod.
pub(super) fn start(filter: &str, format: LogFormat) -> Result<(), Failure> {
    let filter = EnvFilter::builder().parse(filter).map_err(|error| Failure::config("--log", error))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Text => builder.with_ansi(Style::of_stderr().has_colour()).finish().try_init(),
        LogFormat::Json => builder.json().flatten_event(true).finish().try_init(),
    };
    started.map_err(|error| Failure::Runtime(error.to_string()))
}

/// Starts logging on a laptop: only what needs attention, since the console tells the rest. `MOORLINE_LOG` wants more.
pub(super) fn start_quietly() {
    let filter = std::env::var("MOORLINE_LOG").unwrap_or_else(|_| "warn".to_owned());
    let filter = EnvFilter::builder().parse_lossy(filter);
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).without_time();
    // Started already when several commands run in one process, as tests do; then the first one's stays.
    let _ = builder.with_target(false).with_ansi(std::io::stderr().is_terminal()).finish().try_init();
}

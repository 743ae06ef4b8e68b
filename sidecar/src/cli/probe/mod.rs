//! `moorline probe`: opens a WebSocket and says what came of it, as `curl` does for HTTP.
//!
//! For `helm test`, whose image has no shell, and for whoever wants to know whether a route works before a client of
//! theirs exists. One connection per attempt and at most one message: more than that is a client. What was received
//! goes to standard output and everything else to standard error, so that the frame can be piped on.

mod attempt;
#[cfg(test)]
mod tests;

use std::io::Write as _;
use std::time::{Duration, Instant};

use self::attempt::{Attempt, ProbeError};
use super::args::ProbeArgs;
use super::outcome::{self, Done, Failure, Outcome};

/// Between attempts: short against how long a pod takes to start, long against what an attempt costs.
const PAUSE: Duration = Duration::from_secs(1);

/// Runs the command.
pub(super) async fn run(args: ProbeArgs) -> Outcome {
    if args.url.scheme_str() != Some("ws") || args.url.authority().is_none() {
        let rule = format!("{}: is a ws:// URL, as ws://127.0.0.1:8800/ws/acme", args.url);
        return Err(Failure::config("URL", rule));
    }
    let patience = args.retry_for;
    let attempt = Attempt {
        url: args.url,
        headers: args.headers.into_iter().map(|header| (header.name, header.value)).collect(),
        send: args.send,
        expect: args.expect,
        timeout: args.timeout,
    };
    match until(&attempt, patience).await {
        Ok(received) => {
            outcome::print(&(received.unwrap_or_else(|| "connected".to_owned()) + "\n"))?;
            Ok(Done::Well)
        }
        Err(error) => Err(Failure::Runtime(format!("{}: {error}", attempt.url))),
    }
}

/// Tries until it works or patience ends; the last error is the one told.
async fn until(attempt: &Attempt, patience: Duration) -> Result<Option<String>, ProbeError> {
    let started = Instant::now();
    let mut told = String::new();
    loop {
        let error = match attempt.make().await {
            Ok(received) => return Ok(received),
            Err(error) => error,
        };
        if started.elapsed() + PAUSE > patience {
            return Err(error);
        }
        let text = error.to_string();
        // Each reason once: the log of a test pod then reads as the story of the start.
        if text != told {
            note(&format!("{}: {text}; trying again", attempt.url));
            told = text;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn note(text: &str) {
    // A closed standard error leaves nobody to tell.
    let _ = writeln!(std::io::stderr(), "moorline: {text}");
}

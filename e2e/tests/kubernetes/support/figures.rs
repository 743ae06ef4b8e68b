//! Figures that scenarios measure. Printed and kept, never asserted: a busy machine is not a bug.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

/// Prints a line, and appends it to the file in `MOORLINE_E2E_FIGURES`.
pub(crate) fn tell(line: &str) {
    println!("figure: {line}");
    let Some(path) = std::env::var_os("MOORLINE_E2E_FIGURES") else { return };
    let written = std::fs::OpenOptions::new().create(true).append(true).open(path).and_then(|mut file| {
        writeln!(file, "{line}") // one write, so lines of parallel scenarios do not mix
    });
    if let Err(error) = written {
        println!("figure not kept: {error}");
    }
}

/// Median, 99th percentile and maximum.
pub(crate) fn spread(what: &str, mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |percent: usize| times.get((times.len() * percent).div_ceil(100).saturating_sub(1)).copied();
    let mut text = format!("{what}: n={}", times.len());
    for (name, value) in [("p50", at(50)), ("p99", at(99)), ("max", times.last().copied())] {
        let _ = write!(text, " {name}={} ms", value.unwrap_or_default().as_millis());
    }
    text
}

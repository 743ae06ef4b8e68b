//! Programs a person would type: helm and kubectl.

use std::process::{Output, Stdio};

use anyhow::{Context as _, Result, bail};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// Runs a program and gives what it printed; an error says what it printed too.
pub(crate) async fn run(program: &str, arguments: &[&str]) -> Result<String> {
    feed(program, arguments, "").await
}

/// As [`run`], with something on standard input.
pub(crate) async fn feed(program: &str, arguments: &[&str], input: &str) -> Result<String> {
    let output = output(program, arguments, input).await?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{program} {}: {}\n{text}{said}", arguments.join(" "), output.status);
    }
    Ok(text)
}

/// Runs a program, whatever comes of it.
pub(crate) async fn output(program: &str, arguments: &[&str], input: &str) -> Result<Output> {
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(super::ground::repository())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("start {program}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).await.with_context(|| format!("write to {program}"))?;
    }
    child.wait_with_output().await.with_context(|| format!("wait for {program}"))
}

/// Applies manifests.
pub(crate) async fn apply(manifests: &str) -> Result<()> {
    feed("kubectl", &["apply", "--server-side", "-f", "-"], manifests).await.map(drop)
}

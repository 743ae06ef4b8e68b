//! Programs that run beside a test: started, waited for by a line they print, ended with it.
//!
//! Threads and not an async runtime: a test drives two or three processes and waits for one line at a
//! time, and everything ends with the process in any case.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};

/// How long a program may take to say that it is ready. Generous: a busy machine starts Node slowly.
const READY_WITHIN: Duration = Duration::from_mins(1);
/// Lines kept for the message of a failed test.
const KEPT_LINES: usize = 200;

/// A running program. Ended when dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    lines: Receiver<String>,
    seen: VecDeque<String>,
    readers: Vec<JoinHandle<()>>,
}

impl Process {
    /// Starts a program whose output is collected.
    pub fn start(name: &str, command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("start {name}"))?;
        // Bounded, so that a program nobody listens to is slowed down by its own output.
        let (sender, lines) = sync_channel(10_000);
        let mut readers = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            readers.push(forward(stdout, sender.clone()));
        }
        if let Some(stderr) = child.stderr.take() {
            readers.push(forward(stderr, sender));
        }
        Ok(Self { name: name.to_owned(), child, lines, seen: VecDeque::new(), readers })
    }

    /// The id of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line in which `find` finds something.
    pub fn wait_for<T>(&mut self, what: &str, find: impl Fn(&str) -> Option<T>) -> Result<T> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    let found = find(&line);
                    self.keep(line);
                    if let Some(found) = found {
                        return Ok(found);
                    }
                }
                Err(RecvTimeoutError::Timeout) => return Err(self.failed(&format!("did not say {what}"))),
                Err(RecvTimeoutError::Disconnected) => return Err(self.failed(&format!("ended without {what}"))),
            }
        }
    }

    /// Waits for the program to end and fails unless it ended well.
    pub fn finish(mut self) -> Result<()> {
        while let Ok(line) = self.lines.recv_timeout(Duration::from_mins(2)) {
            self.keep(line);
        }
        let deadline = Instant::now() + READY_WITHIN;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                if status.success() {
                    return Ok(());
                }
                return Err(self.failed(&format!("ended with {status}")));
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
        Err(self.failed("did not end"))
    }

    /// An error that shows what the program printed.
    fn failed(&mut self, what: &str) -> anyhow::Error {
        while let Ok(line) = self.lines.try_recv() {
            self.keep(line);
        }
        let seen: Vec<String> = self.seen.iter().map(|line| format!("  {line}")).collect();
        anyhow!("{} {what}:\n{}", self.name, seen.join("\n"))
    }

    fn keep(&mut self, line: String) {
        if self.seen.len() == KEPT_LINES {
            self.seen.pop_front();
        }
        self.seen.push_back(line);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already, and then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
        // A reader that waits for room in the channel ends when the channel does.
        self.lines = sync_channel(0).1;
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
    }
}

fn forward(stream: impl Read + Send + 'static, sender: SyncSender<String>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    })
}

/// The top of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The `moorline` that was built together with the running test.
pub fn moorline() -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let profile = test.ancestors().nth(2).context("a test lives in target/PROFILE/deps")?;
    let program = profile.join("moorline");
    if !program.exists() {
        bail!("{} is not built: run `cargo build --workspace`, or `make e2e`", program.display());
    }
    Ok(program)
}

/// A program that `make tools` installs.
pub fn tool(path: &str) -> Result<PathBuf> {
    let tool = repository().join(path);
    if !tool.exists() {
        bail!("{path} is not installed: run `make tools`");
    }
    Ok(tool)
}

/// `node SCRIPT ARGS...`, in the folder with the installed packages.
pub fn node(script: &str, arguments: &[&str]) -> Result<Command> {
    tool("e2e/node/node_modules")?;
    let mut command = Command::new("node");
    command.current_dir(repository().join("e2e/node")).arg(script).args(arguments);
    Ok(command)
}

/// `python SCRIPT ARGS...` with the installed packages.
pub fn python(script: &str, arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(tool(".tools/python/bin/python")?);
    command.current_dir(repository().join("e2e/python")).arg(script).args(arguments);
    Ok(command)
}

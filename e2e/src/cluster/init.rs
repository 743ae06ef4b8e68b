//! Process 1 of the cluster: it ends everything when it ends, and cleans up before.
//!
//! Its standard input is a pipe whose other end is held by whoever started the cluster. However that ends, `kill -9`
//! included, the pipe closes, and this process kills the rest, removes what the kernel would keep (cgroups, the folder)
//! and exits. A death signal instead (`PR_SET_PDEATHSIG`) is tied to the starting thread and leaves no time to clean up.
//!
//! Separate from the supervisor because process 1 inherits every orphan (shims, above all) and has to wait for any
//! child, which would take the exit codes from under the supervisor's own children.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, kill_process_group, wait};

use super::error::{ClusterError, Result};
use super::host;
use super::layout::Layout;

/// Starts `supervisor` and stays until it or the standard input ends.
pub fn init(layout: &Layout, supervisor: &mut Command) -> Result<ExitCode> {
    let _lock = lock(&layout.lock()).map_err(ClusterError::file(&layout.lock()))?;

    let child = supervisor.stdin(Stdio::null()).spawn();
    let child = child.map_err(|source| ClusterError::StartComponent { component: "supervisor".to_owned(), source })?;
    let supervisor = Pid::from_child(&child);
    std::thread::spawn(move || {
        // Nobody writes: this returns when the other end is gone.
        let _ = io::stdin().read(&mut [0]);
        let _ = kill_process(supervisor, Signal::KILL);
    });
    let mut code = ExitCode::FAILURE;
    // `None` cannot come without NOHANG, and an error means that there is no child left.
    while let Ok(Some((process, status))) = wait(WaitOptions::empty()) {
        if process == supervisor {
            code = status.exit_status().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, Into::into);
            break;
        }
    }
    clean_up(layout);
    Ok(code)
}

/// Locked first and named then, so that a sweep never sees the lock of a living cluster free.
fn lock(path: &Path) -> io::Result<File> {
    let unnamed = path.with_extension("new");
    let lock = File::create(&unnamed)?;
    flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
    fs::rename(unnamed, path)?;
    Ok(lock)
}

fn clean_up(layout: &Layout) {
    // To the group of process 1 means to every process of the namespace but this one, and to none outside.
    let _ = kill_process_group(Pid::INIT, Signal::KILL);
    while wait(WaitOptions::empty()).is_ok() {}
    host::remove_cgroup(&layout.cgroup());
    host::unmount_data(layout);
    if layout.kept().exists() {
        let _ = fs::remove_dir(layout.root().join("data"));
    } else {
        let _ = fs::remove_dir_all(layout.root());
    }
}

//! The way into a cluster for any program of the host: its network, its processes, its mounts, its environment.
//!
//! Through `nsenter` and not by entering the namespaces in this process: that would need `unsafe`, change every thread
//! or none, and leave the caller there.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::binaries::search_path;
use super::error::{ClusterError, Result};
use super::layout::Layout;

/// A cluster that runs, seen from outside.
#[derive(Clone, Debug)]
pub struct Inside {
    layout: Layout,
    /// The process that made the namespaces. It is in all of them but the one for processes, which its child is in.
    holder: u32,
    components: PathBuf,
}

impl Inside {
    pub(super) fn new(layout: Layout, holder: u32, components: PathBuf) -> Self {
        Self { layout, holder, components }
    }

    /// The cluster that lies in a folder, for a process that did not start it.
    pub fn of(layout: Layout) -> Result<Self> {
        let path = layout.namespaces();
        let text = fs::read_to_string(&path).map_err(ClusterError::file(&path))?;
        let mut lines = text.lines();
        let holder = lines.next().and_then(|line| line.parse().ok());
        match (holder, lines.next()) {
            (Some(holder), Some(components)) => Ok(Self::new(layout, holder, components.into())),
            _ => Err(ClusterError::MakeNamespaces(format!("{} is not complete", path.display()))),
        }
    }

    /// For [`Self::of`] in another process.
    pub(super) fn save(&self) -> Result<()> {
        let path = self.layout.namespaces();
        let text = format!("{}\n{}\n", self.holder, self.components.display());
        fs::write(&path, text).map_err(ClusterError::file(&path))
    }

    /// A command that will run inside, in the caller's folder, with everything set that a test needs.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg("--target").arg(self.holder.to_string()).args(["--net", "--mount"]);
        command.arg(format!("--pid=/proc/{}/ns/pid_for_children", self.holder));
        // Entering the mounts changes to their root.
        let folder = env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
        command.args(["--", "env", "--chdir"]).arg(folder).arg("--").arg(program);
        for (name, value) in self.environment() {
            command.env(name, value);
        }
        command
    }

    /// What [`Self::command`] sets.
    fn environment(&self) -> [(&'static str, String); 6] {
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        [
            ("KUBECONFIG", text(self.layout.kubeconfig())),
            ("MOORLINE_E2E_CLUSTER", "own".to_owned()),
            ("MOORLINE_E2E_STATE", text(self.layout.root().to_owned())),
            ("PATH", search_path(&self.components)),
            // For `ctr` without options.
            ("CONTAINERD_ADDRESS", text(self.layout.containerd_socket())),
            ("CONTAINERD_NAMESPACE", "k8s.io".to_owned()),
        ]
    }

    /// Where its files are.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }
}

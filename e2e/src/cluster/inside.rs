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

/// The way into a running cluster. Works outside and inside.
#[derive(Clone, Debug)]
pub struct Inside {
    layout: Layout,
    door: Door,
    components: PathBuf,
}

#[derive(Clone, Debug)]
enum Door {
    /// Through the process that made the namespaces. It is in all of them but the one for processes, which its child
    /// is in.
    Through(u32),
    /// This process is inside already, where the holder's id means nothing.
    None,
}

impl Inside {
    pub(super) fn of_holder(layout: Layout, holder: u32, components: PathBuf) -> Self {
        Self { layout, door: Door::Through(holder), components }
    }

    /// The cluster that lies in a folder, for a process that did not start it.
    pub fn of(layout: Layout) -> Result<Self> {
        let path = layout.namespaces();
        let text = fs::read_to_string(&path).map_err(ClusterError::file(&path))?;
        let [holder, network, components] = *text.lines().collect::<Vec<_>>() else {
            return Err(ClusterError::MakeNamespaces(format!("{} is not complete", path.display())));
        };
        let door = if network_of("self")? == network {
            Door::None
        } else {
            Door::Through(holder.parse().map_err(|_| ClusterError::MakeNamespaces(format!("no process is {holder}")))?)
        };
        let components = PathBuf::from(components);
        Ok(Self { layout, door, components })
    }

    /// The cluster that this process runs in, or `None` when that is not one of ours.
    pub fn from_env() -> Option<Result<Self>> {
        std::env::var_os("MOORLINE_E2E_STATE").map(|root| Self::of(Layout::new(root)))
    }

    /// For [`Self::of`] in another process.
    pub(super) fn save(&self) -> Result<()> {
        let Door::Through(holder) = self.door else { return Ok(()) };
        let path = self.layout.namespaces();
        let text = format!("{holder}\n{}\n{}\n", network_of(&holder.to_string())?, self.components.display());
        fs::write(&path, text).map_err(ClusterError::file(&path))
    }

    /// A command that will run inside, in the caller's folder, with everything set that a test needs.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = match self.door {
            Door::None => Command::new(program),
            Door::Through(holder) => {
                let mut command = Command::new("nsenter");
                command.arg("--target").arg(holder.to_string()).args(["--net", "--mount"]);
                command.arg(format!("--pid=/proc/{holder}/ns/pid_for_children"));
                // Entering the mounts changes to their root.
                let folder = env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
                command.args(["--", "env", "--chdir"]).arg(folder).arg("--").arg(program);
                command
            }
        };
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

/// Names the network namespace of a process.
fn network_of(process: &str) -> Result<String> {
    let link = PathBuf::from(format!("/proc/{process}/ns/net"));
    let name = fs::read_link(&link).map_err(ClusterError::file(&link))?;
    Ok(name.to_string_lossy().into_owned())
}

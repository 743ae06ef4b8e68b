//! What the kernel has to offer before a component starts: mounts, devices, cgroups. All of it inside the namespaces
//! except the cgroups, whose hierarchy the cluster shares with the host.
//!
//! `ip` does the network: netlink by hand would be a dependency for five lines. The bridge stands in for a network card
//! (a `dummy` device is not in every kernel); it has no uplink, so nothing a test does can leave.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount};

use super::error::{ClusterError, Result};
use super::layout::{Layout, NODE_ADDRESS, NODE_NETWORK_BITS};

/// Where the kubelet, containerd and the CNI plugins keep files under names that no setting changes. A tmpfs over each
/// keeps clusters and host apart; the empty folders stay.
const SHARED_FOLDERS: [&str; 6] =
    ["/run/containerd", "/run/netns", "/var/lib/cni", "/var/lib/kubelet", "/var/log/containers", "/var/log/pods"];
const CGROUPS: &str = "/sys/fs/cgroup";

/// Makes this mount namespace the node's.
pub(super) fn mounts(layout: &Layout) -> Result<()> {
    // The kubelet's mounts have to reach the containers. Shared among the processes in here: `unshare` has cut the tie
    // to the host before.
    mount_change("/", MountPropagationFlags::SHARED | MountPropagationFlags::REC)
        .map_err(|error| ClusterError::file(Path::new("/"))(error.into()))?;
    for folder in SHARED_FOLDERS.iter().map(PathBuf::from).chain([layout.root().join("data")]) {
        fs::create_dir_all(&folder).map_err(ClusterError::file(&folder))?;
        mount("tmpfs", &folder, "tmpfs", MountFlags::NOSUID, Some(c"mode=755"))
            .map_err(|error| ClusterError::file(&folder)(error.into()))?;
    }
    Ok(())
}

/// Takes the data away, so that what is left of the cluster can be removed.
pub(super) fn unmount_data(layout: &Layout) {
    // Not mounted, or going with the namespace in a moment: both are fine.
    let _ = unmount(layout.root().join("data"), UnmountFlags::DETACH);
}

/// Makes this network namespace the node's.
pub(super) fn network() -> Result<()> {
    let address = format!("{NODE_ADDRESS}/{NODE_NETWORK_BITS}");
    run("ip", &["link", "set", "lo", "up"])?;
    run("ip", &["link", "add", "node", "type", "bridge"])?;
    run("ip", &["address", "add", &address, "dev", "node"])?;
    run("ip", &["link", "set", "node", "up"])?;
    run("ip", &["route", "add", "default", "via", NODE_ADDRESS, "dev", "node"])?;
    let forward = Path::new("/proc/sys/net/ipv4/ip_forward");
    fs::write(forward, "1").map_err(ClusterError::file(forward))?;
    // Pods on one bridge reach each other through a Service only if iptables sees bridged packets. Where the module is
    // not loaded there is no such file, and kube-proxy copes or says so.
    let _ = fs::write("/proc/sys/net/bridge/bridge-nf-call-iptables", "1");
    Ok(())
}

/// Makes the cgroup that the kubelet puts pods in: in each hierarchy of version 1, in the only one of version 2.
pub(super) fn create_cgroup(name: &str) -> Result<()> {
    for hierarchy in hierarchies() {
        let folder = hierarchy.join(name);
        fs::create_dir_all(&folder).map_err(ClusterError::file(&folder))?;
        // A new cpuset is empty and takes no process until it has what its parent has.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if let Ok(of_parent) = fs::read_to_string(hierarchy.join(file)) {
                let file = folder.join(file);
                fs::write(&file, of_parent).map_err(ClusterError::file(&file))?;
            }
        }
        // Version 2 hands a controller down only where it is asked to; one that the host keeps back stays there.
        if let Ok(controllers) = fs::read_to_string(folder.join("cgroup.controllers")) {
            for controller in controllers.split_whitespace() {
                let _ = fs::write(folder.join("cgroup.subtree_control"), format!("+{controller}"));
            }
        }
    }
    Ok(())
}

/// Removes the cgroup with everything below. Whatever holds a process still is left for the next sweep.
pub(super) fn remove_cgroup(name: &str) {
    for hierarchy in hierarchies() {
        remove_tree(&hierarchy.join(name));
    }
}

fn remove_tree(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_tree(&entry.path());
        }
    }
    let _ = fs::remove_dir(folder);
}

fn hierarchies() -> Vec<PathBuf> {
    let root = PathBuf::from(CGROUPS);
    if root.join("cgroup.controllers").exists() {
        return vec![root];
    }
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    // Links such as `cpu -> cpu,cpuacct` name a hierarchy a second time.
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()).collect()
}

/// Runs a command to its end and fails with what it printed.
pub(super) fn run(program: &str, arguments: &[&str]) -> Result<Vec<u8>> {
    let failed = |output: String| {
        let command = [&[program], arguments].concat().join(" ");
        ClusterError::RunCommand { command, output }
    };
    let output = Command::new(program).args(arguments).output().map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    Err(failed(format!("{}: {}", output.status, text.trim())))
}

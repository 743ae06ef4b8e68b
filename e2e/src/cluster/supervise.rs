//! Brings a cluster up, from inside its namespaces, and serves it until it is told to end.
//!
//! In waves, each as wide as it can be: what needs no API server, the API server, all that talks to it. The order is in
//! the waits and not in sleeps, so a warm machine is quick and a busy one is only slow.
//!
//! Speaks to whoever started it by lines on standard output: what it waits for, `ready`, a component that ended.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::{ClusterError, Result};
use super::layout::Layout;
use super::ready::{self, Questions};
use super::running::Running;
use super::{files, host, programs};

/// Printed when everything is up.
pub(super) const READY: &str = "ready";
/// Before the reason, when it is not going to be.
pub(super) const FAILED: &str = "failed ";

/// Where distributions (the first: Debian) and everybody else put the CNI plugins.
const PLUGIN_FOLDERS: [&str; 2] = ["/usr/lib/cni", "/opt/cni/bin"];

/// Starts everything in these namespaces and stays. The node has the images of these archives, the pause image among
/// them, before the cluster counts as ready.
pub fn supervise(layout: &Layout, images: &[PathBuf]) -> Result<()> {
    let outcome = bring_up(layout, images);
    let (mut running, listener) = match outcome {
        Ok(up) => up,
        Err(error) => {
            // One line, since the other side reads lines.
            say(&format!("{FAILED}{}", error.to_string().replace('\n', "\u{b}")));
            return Err(error);
        }
    };
    say(READY);
    running.serve(&listener, say)
}

fn bring_up(layout: &Layout, images: &[PathBuf]) -> Result<(Running, UnixListener)> {
    host::mounts(layout)?;
    host::network()?;
    host::create_cgroup(&layout.cgroup())?;
    write_files(layout)?;
    let listener = UnixListener::bind(layout.control()).map_err(ClusterError::file(&layout.control()))?;

    let mut running = Running::new(layout.clone(), programs::all(layout));
    running.start_all(|program| !program.after_api_server)?;

    say("waiting for containerd and the images");
    let socket = layout.containerd_socket();
    running.wait_for("containerd", || UnixStream::connect(&socket).is_ok())?;
    for archive in images {
        let mut ctr = Command::new("ctr");
        ctr.env("CONTAINERD_ADDRESS", &socket).env("CONTAINERD_NAMESPACE", "k8s.io");
        super::images::import(&mut ctr, archive)?;
    }

    say("waiting for the API server");
    let certificate = layout.config("pki/apiserver.crt");
    running.wait_for("kube-apiserver", || certificate.exists())?;
    let questions = Questions::new(layout)?;
    running.wait_for("kube-apiserver", || questions.api_server_is_ready())?;

    say("waiting for the node, Services and names");
    running.start_all(|program| program.after_api_server)?;
    running.wait_for("kube-controller-manager", || questions.service_account_exists())?;
    running.wait_for("kubelet", || questions.node_is_ready())?;
    running.wait_for("kube-proxy", ready::services_are_reachable)?;
    running.wait_for("coredns", ready::names_are_resolved)?;
    Ok((running, listener))
}

fn write_files(layout: &Layout) -> Result<()> {
    let plugins = PLUGIN_FOLDERS.iter().map(Path::new).find(|folder| folder.join("bridge").exists());
    let plugins = plugins.unwrap_or(Path::new(PLUGIN_FOLDERS[0]));
    for (path, text) in files::all(layout, plugins) {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(ClusterError::file(folder))?;
        }
        fs::write(&path, text).map_err(ClusterError::file(&path))?;
    }
    let key = layout.config("service-accounts.key");
    let key = key.to_string_lossy();
    host::run("openssl", &["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", &key]).map(drop)
}

fn say(line: &str) {
    // The other side is gone: then so is this process in a moment.
    let _ = writeln!(io::stdout().lock(), "{line}");
}

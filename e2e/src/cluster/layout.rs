//! Where everything of one cluster lies: its folder, its addresses.
//!
//! One folder per cluster, so that several run side by side and the end of one is the removal of one folder. What may
//! grow (etcd, containers, volumes) lies in `data/`, where a tmpfs is mounted inside the cluster's mount namespace: it is
//! fast, and the kernel drops it with the last process whatever kills that. What a person wants to read afterwards
//! (logs, the audit log) lies beside it on the disk.
//!
//! The addresses are the same in every cluster, since each has a network namespace of its own. They are from
//! 198.18.0.0/15, which is set aside for tests and never routed.

use std::path::{Path, PathBuf};

/// The address of the node: of the API server, the kubelet and `CoreDNS` too.
pub const NODE_ADDRESS: &str = "198.18.0.1";
/// The network the node's address is in.
pub const NODE_NETWORK_BITS: u8 = 24;
/// Where pods get their addresses from.
pub const POD_NETWORK: &str = "198.18.16.0/20";
/// Where Services get theirs from.
pub const SERVICE_NETWORK: &str = "198.19.0.0/16";
/// The first of them, which is the API server's own Service.
pub const API_SERVICE_ADDRESS: &str = "198.19.0.1";
/// Where the API server listens on [`NODE_ADDRESS`].
pub const API_PORT: u16 = 6443;
/// The only node.
pub const NODE_NAME: &str = "node";
/// What every pod starts with, see `hack/kube.sh`.
pub const PAUSE_IMAGE: &str = "moorline.dev/pause:1";

/// How containerd keeps images. `native`, which copies an image for every container, works on any file system; the
/// tmpfs that a cluster's data is on takes overlays everywhere.
pub(super) const SNAPSHOTTER: &str = "overlayfs";

/// How the folder of a cluster is called: this and something random.
pub(super) const PREFIX: &str = "moorline-cluster.";

/// The folder of one cluster.
#[derive(Clone, Debug)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The cluster that lies, or will lie, in this folder.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The folder itself: `MOORLINE_E2E_STATE`.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Held locked for as long as the cluster lives. A folder whose lock is free is a left-over.
    pub fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    /// What a process needs to know to come in, see [`super::Inside`].
    pub fn namespaces(&self) -> PathBuf {
        self.root.join("namespaces")
    }

    /// Says that a person wants to read this folder after the end of the cluster.
    pub fn kept(&self) -> PathBuf {
        self.root.join("kept")
    }

    /// For the user `admin`, who may do everything.
    pub fn kubeconfig(&self) -> PathBuf {
        self.root.join("kubeconfig")
    }

    /// Where the supervisor listens for [`super::Control`].
    pub fn control(&self) -> PathBuf {
        self.root.join("control.sock")
    }

    /// What service accounts asked the API server for, one JSON object a line.
    pub fn audit_log(&self) -> PathBuf {
        self.root.join("audit.log")
    }

    /// What a component printed.
    pub fn log(&self, component: &str) -> PathBuf {
        self.root.join("logs").join(format!("{component}.log"))
    }

    /// A file that a component reads.
    pub fn config(&self, file: &str) -> PathBuf {
        self.root.join("config").join(file)
    }

    /// On the tmpfs, visible inside only.
    pub fn data(&self, name: &str) -> PathBuf {
        self.root.join("data").join(name)
    }

    /// Where containerd listens. Visible inside only.
    pub fn containerd_socket(&self) -> PathBuf {
        self.data("containerd.sock")
    }

    /// The cgroup that all pods are in: one for each cluster, since the hierarchy is shared with the host.
    pub fn cgroup(&self) -> String {
        let name = self.root.file_name().map(|name| name.to_string_lossy().replace('.', "-"));
        name.unwrap_or_else(|| "moorline-cluster".to_owned())
    }

    /// The folders that have to be there before anything starts.
    pub(super) fn folders(&self) -> [PathBuf; 3] {
        ["logs", "config", "data"].map(|folder| self.root.join(folder))
    }
}

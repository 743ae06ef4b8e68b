//! A real Kubernetes for the tests: API server, controllers, scheduler, kubelet, kube-proxy, containerd and `CoreDNS`,
//! started by us in one process tree.
//!
//! Not `kind` or `k3d`: both need images from a registry and a container engine, and neither ends with the test that
//! started it. Here everything is a child of one process 1 in namespaces of its own, so several clusters run side by
//! side with the same addresses, and the kernel ends a cluster whatever ends its test.
//!
//! Who does what: [`Cluster`] starts it from outside (`unshare`), [`init`] is process 1, [`supervise`] brings the
//! components up, [`Control`] stops and starts them, [`Inside`] is the way in, [`images`] makes and loads images. By
//! hand: the program `moorline-cluster`, described in `docs/development/cluster.md`.

mod binaries;
mod control;
mod error;
mod files;
mod host;
pub mod images;
mod init;
mod inside;
pub mod layout;
mod programs;
mod ready;
mod running;
mod start;
mod supervise;
mod sweep;

pub use binaries::components;
pub use control::{Action, Control};
pub use error::{ClusterError, Result};
pub use init::init;
pub use inside::Inside;
pub use layout::Layout;
pub use start::{Cluster, Config};
pub use supervise::supervise;
pub use sweep::running_clusters;

//! What can go wrong with a cluster, named after the operation that failed.
//!
//! A test that fails here fails for a reason outside the product, so every variant carries what a person needs to see
//! that: the command and its output, or the end of the component's log.

use std::io;
use std::path::{Path, PathBuf};

/// Why a cluster could not be started, entered or changed.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// `hack/kube.sh` failed; what it said went to the terminal.
    #[error("build the components with hack/kube.sh: {0}")]
    BuildComponents(String),
    /// A file or folder of the cluster could not be read or written.
    #[error("prepare {path}: {source}")]
    PrepareFile {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A command that prepares or inspects the cluster failed.
    #[error("run `{command}`: {output}")]
    RunCommand {
        /// The command line.
        command: String,
        /// What it printed, or why it did not start.
        output: String,
    },
    /// The process that holds the namespaces could not be started or ended too early.
    #[error("make the namespaces (root is needed): {0}")]
    MakeNamespaces(String),
    /// A component could not be started.
    #[error("start {component}: {source}")]
    StartComponent {
        /// Which one.
        component: String,
        /// What the system said.
        source: io::Error,
    },
    /// A condition did not come true in time, or a component ended while it was waited for.
    #[error("wait for {what}: {why}")]
    BecomeReady {
        /// What was waited for.
        what: String,
        /// What was seen instead, with the end of a log.
        why: String,
    },
    /// The API server's client could not be made.
    #[error("connect to the API server: {0}")]
    ConnectClient(String),
    /// The supervisor could not be asked, or refused.
    #[error("ask the cluster's supervisor to `{request}`: {why}")]
    AskSupervisor {
        /// What was asked.
        request: String,
        /// What it or the system said.
        why: String,
    },
}

impl ClusterError {
    /// A fixed name for the kind of failure.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::BuildComponents(_) => "build_components",
            Self::PrepareFile { .. } => "prepare_file",
            Self::RunCommand { .. } => "run_command",
            Self::MakeNamespaces(_) => "make_namespaces",
            Self::StartComponent { .. } => "start_component",
            Self::BecomeReady { .. } => "become_ready",
            Self::ConnectClient(_) => "connect_client",
            Self::AskSupervisor { .. } => "ask_supervisor",
        }
    }

    /// For `map_err` on what files refuse.
    pub(super) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        move |source| Self::PrepareFile { path: path.to_owned(), source }
    }
}

/// Shorthand of this module.
pub type Result<T> = std::result::Result<T, ClusterError>;

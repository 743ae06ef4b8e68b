//! Why a plan could not be carried out.

use moorline_crds::document::RouteId;
use thiserror::Error;

use crate::api::{is_conflict, is_not_found, is_throttled};
use crate::view::ChildRef;

/// Why a plan could not be carried out.
#[derive(Debug, Error)]
pub(super) enum ActError {
    /// What is at the name of a child is not known.
    #[error("{child} cannot be read: {source}")]
    ReadChild { child: ChildRef, source: kube::Error },
    /// A child could not be applied.
    #[error("{child} cannot be applied: {source}")]
    ApplyChild { child: ChildRef, source: kube::Error },
    /// A child could not be deleted.
    #[error("{child} cannot be deleted: {source}")]
    DeleteChild { child: ChildRef, source: kube::Error },
    /// A status could not be written.
    #[error("the status of {route} cannot be written: {source}")]
    WriteStatus { route: RouteId, source: kube::Error },
    /// A pod that needs repair could not be read.
    #[error("the pod {pod} cannot be read: {source}")]
    ReadPod { pod: String, source: kube::Error },
    /// What owns it could not be read.
    #[error("the owner of the pod {pod} cannot be read: {source}")]
    ReadOwner { pod: String, source: kube::Error },
    /// A workload could not be restarted.
    #[error("{workload} cannot be restarted: {source}")]
    Restart { workload: String, source: kube::Error },
    /// A pod could not be evicted.
    #[error("the pod {pod} cannot be evicted: {source}")]
    Evict { pod: String, source: kube::Error },
}

impl ActError {
    /// A fixed name for the kind of error.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::ReadChild { .. } => "read_child",
            Self::ApplyChild { .. } => "apply_child",
            Self::DeleteChild { .. } => "delete_child",
            Self::WriteStatus { .. } => "write_status",
            Self::ReadPod { .. } => "read_pod",
            Self::ReadOwner { .. } => "read_owner",
            Self::Restart { .. } => "restart",
            Self::Evict { .. } => "evict",
        }
    }

    /// Whether it is of the kind that goes away by itself: not worth a warning.
    pub(super) fn is_expected(&self) -> bool {
        let source = match self {
            Self::ReadChild { source, .. }
            | Self::ApplyChild { source, .. }
            | Self::DeleteChild { source, .. }
            | Self::WriteStatus { source, .. }
            | Self::ReadPod { source, .. }
            | Self::ReadOwner { source, .. }
            | Self::Restart { source, .. }
            | Self::Evict { source, .. } => source,
        };
        is_conflict(source) || is_not_found(source) || is_throttled(source)
    }
}

//! What came of looking at a pod.
//!
//! A pod is never denied: its start must not depend on Moorline. So there is no error here, only reasons for leaving a
//! pod as it is, each with a fixed name because metrics count them and people search for them.

use std::fmt;

use json_patch::Patch;

/// The answer for one pod.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The pod gets the sidecar, or what an earlier injection could not give it yet.
    Injected {
        /// Turns the pod into the injected one.
        patch: Patch,
        /// What the author of the pod should know.
        warnings: Vec<String>,
    },
    /// The pod stays as it is.
    Skipped {
        /// Why.
        reason: Skip,
        /// Why, in a sentence that names what stands in the way.
        message: String,
        /// What the author of the pod should know besides.
        warnings: Vec<String>,
    },
    /// The pod was injected before, and nothing is missing.
    Unchanged,
}

impl Outcome {
    /// A fixed name, for metrics: `Injected`, `Unchanged`, or that of the reason.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Injected { .. } => "Injected",
            Self::Skipped { reason, .. } => reason.name(),
            Self::Unchanged => "Unchanged",
        }
    }

    /// What to show whoever made the pod: the warnings, and the message when the pod should have been injected.
    pub fn notices(&self) -> Vec<String> {
        match self {
            Self::Skipped { reason, message, warnings } if !reason.is_expected() => {
                let refused = format!("the pod starts without the Moorline sidecar ({reason}): {message}");
                std::iter::once(refused).chain(warnings.iter().cloned()).collect()
            }
            Self::Injected { warnings, .. } | Self::Skipped { warnings, .. } => warnings.clone(),
            Self::Unchanged => Vec::new(),
        }
    }
}

/// Why a pod is left as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Skip {
    /// Its label says so.
    Disabled,
    /// Asked because of its namespace, and no Service with a route selects it.
    NotSelected,
    /// It carries the sidecar of an earlier injection, which somebody changed since.
    AlreadyInjected,
    /// It carries a sidecar that injection did not make.
    SidecarByHand,
    /// It shares the node's network, where ports belong to the node.
    HostNetwork,
    /// Something in it uses the number of a port of the sidecar.
    PortTaken,
    /// Something in it uses the name of a port of the sidecar.
    PortNameTaken,
    /// It has a volume with the name of one of ours.
    VolumeTaken,
    /// It is the mirror of a static pod, which the kubelet does not read back.
    MirrorPod,
    /// It runs on Windows, for which there is no sidecar.
    Windows,
    /// It is not a pod, or not one the API server would take.
    Malformed,
}

impl Skip {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Disabled,
        Self::NotSelected,
        Self::AlreadyInjected,
        Self::SidecarByHand,
        Self::HostNetwork,
        Self::PortTaken,
        Self::PortNameTaken,
        Self::VolumeTaken,
        Self::MirrorPod,
        Self::Windows,
        Self::Malformed,
    ];

    /// The name in metrics, Events and documentation.
    pub fn name(self) -> &'static str {
        match self {
            Self::Disabled => "Disabled",
            Self::NotSelected => "NotSelected",
            Self::AlreadyInjected => "AlreadyInjected",
            Self::SidecarByHand => "SidecarByHand",
            Self::HostNetwork => "HostNetwork",
            Self::PortTaken => "PortTaken",
            Self::PortNameTaken => "PortNameTaken",
            Self::VolumeTaken => "VolumeTaken",
            Self::MirrorPod => "MirrorPod",
            Self::Windows => "Windows",
            Self::Malformed => "Malformed",
        }
    }

    /// Whether whoever made the pod meant it so, and needs no word about it.
    pub fn is_expected(self) -> bool {
        matches!(
            self,
            Self::Disabled | Self::NotSelected | Self::AlreadyInjected | Self::SidecarByHand | Self::MirrorPod
        )
    }
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_in_the_documentation() {
        let page = include_str!("../../docs/injection.md");
        for reason in Skip::ALL {
            assert!(page.contains(&format!("\n| `{reason}` |")), "{reason}");
        }
    }
}

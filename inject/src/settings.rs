//! What the admin of a cluster decides about the sidecars in it.
//!
//! Only what does not depend on the pod: what a pod wants otherwise it says in its annotations.

use std::str::FromStr;

use thiserror::Error;

/// The repository of the sidecar's image when nothing else is said.
pub(crate) const DEFAULT_REPOSITORY: &str = "moorline/moorline";
/// The user the image is made for.
const DEFAULT_USER: i64 = 65532;

/// How the sidecar is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InjectSettings {
    /// The image, with its tag or digest.
    pub image: String,
    /// When the kubelet pulls it.
    pub pull_policy: PullPolicy,
    /// Secrets of the pod's namespace with which it is pulled.
    pub pull_secrets: Vec<String>,
    /// The version that is noted on the pod; an image given by its digest does not tell.
    pub version: String,
    /// The user and group it runs as. `None` leaves the choice to the cluster: `OpenShift` refuses a number outside the
    /// range of the namespace, and runs the image as one of that range.
    pub run_as_user: Option<i64>,
}

impl Default for InjectSettings {
    fn default() -> Self {
        let version = env!("CARGO_PKG_VERSION");
        Self {
            image: format!("{DEFAULT_REPOSITORY}:{version}"),
            pull_policy: PullPolicy::IfNotPresent,
            pull_secrets: Vec::new(),
            version: version.to_owned(),
            run_as_user: Some(DEFAULT_USER),
        }
    }
}

/// When the kubelet pulls an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PullPolicy {
    /// At each start.
    Always,
    /// When the node does not have it.
    #[default]
    IfNotPresent,
    /// Not at all.
    Never,
}

impl PullPolicy {
    /// As Kubernetes writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}

/// A text is none of the pull policies.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("is one of Always, IfNotPresent and Never")]
pub struct UnknownPullPolicy;

impl FromStr for PullPolicy {
    type Err = UnknownPullPolicy;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Always, Self::IfNotPresent, Self::Never]
            .into_iter()
            .find(|policy| policy.name() == text)
            .ok_or(UnknownPullPolicy)
    }
}

/// An image without its tag and digest.
pub(crate) fn repository(image: &str) -> &str {
    let image = image.split('@').next().unwrap_or(image);
    // A colon before the last slash belongs to the port of a registry.
    let name_at = image.rfind('/').map_or(0, |at| at + 1);
    image[name_at..].find(':').map_or(image, |colon| &image[..name_at + colon])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_of_an_image_leaves_out_tag_and_digest_but_not_the_registrys_port() {
        assert_eq!(repository("moorline/moorline:0.1.0"), "moorline/moorline");
        assert_eq!(repository("registry.example:5000/a/moorline@sha256:00"), "registry.example:5000/a/moorline");
        assert_eq!(repository("registry.example:5000/moorline:1@sha256:00"), "registry.example:5000/moorline");
        assert_eq!(repository("moorline"), "moorline");
    }

    #[test]
    fn a_pull_policy_is_read_as_it_is_written() {
        assert_eq!("Never".parse(), Ok(PullPolicy::Never));
        assert_eq!("never".parse::<PullPolicy>(), Err(UnknownPullPolicy));
    }
}

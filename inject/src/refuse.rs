//! The reasons for leaving a pod as it is.
//!
//! In one place and in one order: first what its author meant, so that nobody is told about a port of a pod that was
//! never to be injected; then what the pod is; then what stands in the way.

use moorline_crds::names::{CONFIG_VOLUME, DISABLED, INJECT_LABEL, INJECTED_LABEL, NO_TOKEN_VOLUME};
use serde_json::Value;

use crate::outcome::Skip;
use crate::pod::{self, LISTS};
use crate::ports;
use crate::presence::Presence;
use crate::request::{Asked, Request};

/// What the kubelet marks the mirror of a static pod with.
const MIRROR_ANNOTATION: &str = "kubernetes.io/config.mirror";
/// The label of nodes that a pod selects its system by.
const SYSTEM_LABEL: &str = "kubernetes.io/os";

/// Why the pod is not injected, if it is not.
pub(crate) fn refusal(pod: &Value, request: &Request, presence: &Presence) -> Option<(Skip, String)> {
    let spec = &pod["spec"];
    if pod::list(pod, "containers").is_empty() {
        return skip(Skip::Malformed, "it has no containers");
    }
    if LISTS.iter().any(|field| pod::list(pod, field).iter().any(|element| !element.is_object())) {
        return skip(Skip::Malformed, "its containers are not what they are in a pod");
    }
    if !pod["metadata"]["annotations"][MIRROR_ANNOTATION].is_null() {
        return skip(Skip::MirrorPod, "it mirrors a static pod, which runs as its file on the node says");
    }
    if pod::label(pod, INJECT_LABEL) == Some(DISABLED) {
        return skip(Skip::Disabled, format!("its label {INJECT_LABEL} is `{DISABLED}`"));
    }
    if request.asked == Asked::Namespace && request.services.is_empty() {
        return skip(Skip::NotSelected, "no Service that a route names selects it");
    }
    match presence {
        Presence::Injected => return None,
        Presence::Altered => {
            return skip(Skip::AlreadyInjected, "it was injected before and changed since; it is left as it is");
        }
        Presence::ByHand(container) => {
            let message = format!(
                "{container} is a sidecar that was added by hand; for WebSocket traffic such a pod needs the label \
                 {INJECTED_LABEL}"
            );
            return skip(Skip::SidecarByHand, message);
        }
        Presence::Absent => {}
    }
    if spec["hostNetwork"] == true {
        return skip(
            Skip::HostNetwork,
            "it uses the network of its node, where the sidecar's ports would be the node's",
        );
    }
    if spec["os"]["name"] == "windows" || spec["nodeSelector"][SYSTEM_LABEL] == "windows" {
        return skip(Skip::Windows, "it runs on Windows, for which there is no sidecar");
    }
    ports::collision(pod, request).or_else(|| volume_taken(pod))
}

fn volume_taken(pod: &Value) -> Option<(Skip, String)> {
    let taken =
        pod::list(pod, "volumes").iter().map(pod::name).find(|name| [CONFIG_VOLUME, NO_TOKEN_VOLUME].contains(name))?;
    skip(Skip::VolumeTaken, format!("it has a volume `{taken}`, a name the sidecar needs"))
}

#[allow(clippy::unnecessary_wraps)] // every caller is at the end of a function that may find no reason
fn skip(reason: Skip, message: impl Into<String>) -> Option<(Skip, String)> {
    Some((reason, message.into()))
}

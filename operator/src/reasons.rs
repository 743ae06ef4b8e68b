//! The reasons of conditions and Events: a fixed set, because people search for them and alerts match on them.

/// Reasons of the condition `Accepted`.
pub mod accepted {
    /// The route is valid, and its host and path are its own.
    pub const ACCEPTED: &str = "Accepted";
    /// A field breaks a rule; the message names both.
    pub const INVALID: &str = "Invalid";
    /// An older route has this host and path.
    pub const CONFLICT: &str = "Conflict";
    /// An object that is not ours has the name of a child.
    pub const NAME_TAKEN: &str = "NameTaken";
    /// With this route the document would not fit into a ConfigMap.
    pub const DOCUMENT_TOO_LARGE: &str = "DocumentTooLarge";
}

/// Reasons of the condition `ResolvedRefs`.
pub mod resolved_refs {
    /// The Service and its port are there.
    pub const RESOLVED_REFS: &str = "ResolvedRefs";
    /// There is no such Service.
    pub const SERVICE_NOT_FOUND: &str = "ServiceNotFound";
    /// The Service has no such port.
    pub const PORT_NOT_FOUND: &str = "PortNotFound";
    /// The Service selects no pods: an `ExternalName`, or one without a selector.
    pub const SERVICE_UNSUPPORTED: &str = "ServiceUnsupported";
    /// The port is not TCP.
    pub const PORT_UNSUPPORTED: &str = "PortUnsupported";
}

/// Reasons of the condition `Programmed`.
pub mod programmed {
    /// Every sidecar serves this generation.
    pub const PROGRAMMED: &str = "Programmed";
    /// Some do not yet.
    pub const PROGRESSING: &str = "Progressing";
    /// The Service has no pods.
    pub const NO_PODS: &str = "NoPods";
    /// Pods run without the sidecar.
    pub const SIDECAR_MISSING: &str = "SidecarMissing";
    /// Pods have to be restarted to serve the route.
    pub const RESTART_NEEDED: &str = "RestartNeeded";
    /// The namespace is not opted in.
    pub const NAMESPACE_NOT_ENABLED: &str = "NamespaceNotEnabled";
    /// The newest spec is refused; an older one may still be served.
    pub const NOT_ACCEPTED: &str = "NotAccepted";
    /// `spec.serviceRef` leads to no app.
    pub const REFS_NOT_RESOLVED: &str = "RefsNotResolved";
    /// The API server refuses the ConfigMap or a Service that the operator makes.
    pub const APPLY_FAILED: &str = "ApplyFailed";
    /// The operator cannot ask the sidecars.
    pub const SIDECARS_UNREACHABLE: &str = "SidecarsUnreachable";
    /// A sidecar refuses the document.
    pub const DOCUMENT_REFUSED: &str = "DocumentRefused";
}

/// Reasons of the condition `Exposed`.
pub mod exposed {
    /// The Ingress or `HTTPRoute` is in place.
    pub const EXPOSED: &str = "Exposed";
    /// The admin has not switched it on.
    pub const EXPOSE_DISABLED: &str = "ExposeDisabled";
    /// The admin has not listed this host.
    pub const HOST_NOT_ALLOWED: &str = "HostNotAllowed";
    /// The cluster has no such API.
    pub const API_MISSING: &str = "APIMissing";
    /// An older route exposes this host and path.
    pub const CONFLICT: &str = "Conflict";
    /// An object that is not ours has the name of the Ingress or `HTTPRoute`.
    pub const NAME_TAKEN: &str = "NameTaken";
    /// The newest spec is not served, so there is nothing to expose.
    pub const NOT_ACCEPTED: &str = "NotAccepted";
    /// The API server refuses the Ingress or `HTTPRoute`.
    pub const APPLY_FAILED: &str = "ApplyFailed";
}

/// Reasons of Events.
pub mod event {
    /// A route is served, or a new generation of it.
    pub const ACCEPTED: &str = "Accepted";
    /// A route is refused; the message is the condition's.
    pub const REJECTED: &str = "Rejected";
    /// Every sidecar serves the route.
    pub const PROGRAMMED: &str = "Programmed";
    /// The operator restarted a workload.
    pub const RESTARTED_WORKLOAD: &str = "RestartedWorkload";
    /// A workload has to be restarted, and not by the operator.
    pub const RESTART_NEEDED: &str = "RestartNeeded";
    /// A pod did not get the sidecar; the message says why.
    pub const POD_NOT_INJECTED: &str = "PodNotInjected";
    /// The operator evicted a pod that started without the sidecar.
    pub const EVICTED_POD: &str = "EvictedPod";
    /// A pod has an annotation of ours that does not exist, or a value that does not fit.
    pub const UNKNOWN_ANNOTATION: &str = "UnknownAnnotation";
    /// A sidecar refuses its document.
    pub const SIDECAR_REFUSED_DOCUMENT: &str = "SidecarRefusedDocument";
}

#[cfg(test)]
mod tests {
    /// Every constant of this file, as `module`, `value`.
    fn all() -> Vec<(String, String)> {
        let mut module = String::new();
        let mut found = Vec::new();
        for line in include_str!("reasons.rs").lines() {
            if let Some(name) = line.strip_prefix("pub mod ") {
                name.trim_end_matches(" {").clone_into(&mut module);
            }
            if let Some((_, value)) = line.trim().strip_prefix("pub const ").and_then(|rest| rest.split_once(" = \"")) {
                found.push((module.clone(), value.trim_end_matches("\";").to_owned()));
            }
        }
        found
    }

    #[test]
    fn every_reason_is_explained_in_the_documentation() {
        let page = include_str!("../../docs/conditions.md");
        assert!(all().len() > 30);
        for (module, reason) in all() {
            let heading = match module.as_str() {
                "accepted" => "## Accepted\n",
                "resolved_refs" => "## ResolvedRefs\n",
                "programmed" => "## Programmed\n",
                "exposed" => "## Exposed\n",
                _ => "## Events\n",
            };
            let section = page.split(heading).nth(1).and_then(|rest| rest.split("\n## ").next()).unwrap_or_default();
            assert!(section.contains(&format!("\n| `{reason}` ")), "{module}: {reason}");
        }
    }
}

//! Every name Moorline puts on objects of a cluster, in one place.
//!
//! The operator writes them, the injector stamps them, the sidecar and the command line read them, and users
//! type some of them. A name spelled in two places is a name that will differ in one.

use sha2::{Digest, Sha256};

/// The prefix of every label and annotation of ours.
pub const PREFIX: &str = "moorline.dev/";

/// On a namespace or a pod, by the user: [`ENABLED`] or [`DISABLED`].
pub const INJECT_LABEL: &str = "moorline.dev/inject";
/// Opts in.
pub const ENABLED: &str = "enabled";
/// Opts out; on a pod it wins over everything.
pub const DISABLED: &str = "disabled";
/// On a pod, by the injector: the pod carries the sidecar. Part of every selector of our Services, so that a pod
/// without one never gets WebSocket traffic.
pub const INJECTED_LABEL: &str = "moorline.dev/injected";
/// The value of [`INJECTED_LABEL`].
pub const INJECTED: &str = "true";
/// On a child: the Service it belongs to.
pub const SERVICE_LABEL: &str = "moorline.dev/service";
/// On a child: who made it.
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";
/// The value of [`MANAGED_BY_LABEL`].
pub const MANAGED_BY: &str = "moorline";

/// On a pod, by the injector: the version of the sidecar.
pub const SIDECAR_VERSION_ANNOTATION: &str = "moorline.dev/sidecar-version";
/// On a pod, by the injector: the Services whose documents are mounted, sorted and separated by commas.
pub const SERVICES_ANNOTATION: &str = "moorline.dev/services";
/// On a pod, by the operator: what documents it should serve by now. The kubelet looks at a pod that changed, and at
/// its volumes, at once; without this it would do so after a minute.
pub const DOCUMENTS_ANNOTATION: &str = "moorline.dev/documents";
/// On a pod template, by the operator: when it restarted the workload, once, to have its pods injected.
pub const RESTARTED_AT_ANNOTATION: &str = "moorline.dev/restartedAt";
/// On a workload, by the operator: the hash of the template that was restarted, so that it is not restarted again.
pub const RESTARTED_TEMPLATE_ANNOTATION: &str = "moorline.dev/restarted-template";
/// On a ConfigMap with a document: the document's hash.
pub const HASH_ANNOTATION: &str = "moorline.dev/hash";

/// The sidecar's container.
pub const CONTAINER: &str = "moorline";
/// The volume with the documents.
pub const CONFIG_VOLUME: &str = "moorline-config";
/// The empty volume over the token of the pod's ServiceAccount.
pub const NO_TOKEN_VOLUME: &str = "moorline-no-token";
/// Where the documents are mounted.
pub const CONFIG_PATH: &str = "/etc/moorline";
/// The file of a document below the directory of its Service.
pub const DOCUMENT_FILE: &str = "document.json";
/// The same, compressed.
pub const COMPRESSED_DOCUMENT_FILE: &str = "document.json.gz";
/// The file of the Service's keys, of the Secret that the user makes.
pub const KEYS_FILE: &str = "keys.json";

/// The name of the port clients connect to.
pub const CLIENT_PORT_NAME: &str = "moorline-ws";
/// Its number.
pub const CLIENT_PORT: u16 = 8800;
/// Where the app pushes, on loopback only.
pub const CALLBACK_PORT: u16 = 8801;
/// The name of the port of probes, metrics and the report.
pub const ADMIN_PORT_NAME: &str = "moorline-admin";
/// Its number.
pub const ADMIN_PORT: u16 = 8802;
/// Where sidecars of one Service talk to each other.
pub const PEERS_PORT: u16 = 8803;

/// Names to numbers of the app's ports in this pod, as `http=3000,admin=9000`.
pub const APP_PORTS_VARIABLE: &str = "MOORLINE_APP_PORTS";

/// Owns the fields of children.
pub const CHILDREN_MANAGER: &str = "moorline-operator";
/// Owns the status of routes.
pub const STATUS_MANAGER: &str = "moorline-status";
/// Owns the annotations on pods.
pub const NUDGE_MANAGER: &str = "moorline-nudge";
/// Owns the restart annotations on workloads.
pub const ROLLOUT_MANAGER: &str = "moorline-rollout";
/// Owns the certificate and the caBundle.
pub const CERTIFICATES_MANAGER: &str = "moorline-certificates";

/// What a name of a Service may be at most.
const MAX_NAME: usize = 63;
/// Digits of the hash in a name that was cut.
const HASH_DIGITS: usize = 8;

/// A child of a Service, named after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Child {
    /// The ConfigMap with the document.
    Document,
    /// The Secret with the keys, which the user makes.
    Keys,
    /// The Service clients connect to, and the `HTTPRoute` or Ingress in front of it.
    WebSocket,
    /// The headless Service by which sidecars find each other.
    Peers,
}

impl Child {
    /// What follows the name of the Service.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Document => "-moorline",
            Self::Keys => "-moorline-keys",
            Self::WebSocket => "-ws",
            Self::Peers => "-peers",
        }
    }

    /// The name of this child of `service`. One that would be too long is cut and told apart by a hash.
    pub fn name(self, service: &str) -> String {
        let suffix = self.suffix();
        if service.len() + suffix.len() <= MAX_NAME {
            return format!("{service}{suffix}");
        }
        let keep = MAX_NAME - suffix.len() - HASH_DIGITS - 1;
        // Names of Services are ASCII; for anything else the cut is moved to a boundary instead of panicking.
        let cut = (0..=keep.min(service.len())).rev().find(|at| service.is_char_boundary(*at)).unwrap_or(0);
        let start = service[..cut].trim_end_matches('-');
        format!("{start}-{}{suffix}", &hex(service.as_bytes())[..HASH_DIGITS])
    }
}

/// The value of [`DOCUMENTS_ANNOTATION`]: the start of each hash is enough to see that it changed.
pub fn documents_annotation<'a>(documents: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut parts: Vec<String> = documents
        .into_iter()
        .map(|(service, hash)| {
            let digits = hash.rsplit(':').next().unwrap_or(hash);
            format!("{service}={}", digits.get(..16).unwrap_or(digits))
        })
        .collect();
    parts.sort();
    parts.join(",")
}

/// The SHA-256 of some bytes in lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;

    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_are_named_after_their_service() {
        assert_eq!(Child::WebSocket.name("orders"), "orders-ws");
        assert_eq!(Child::Document.name("orders"), "orders-moorline");
    }

    #[test]
    fn a_long_name_is_cut_and_stays_different_from_another_that_starts_the_same() {
        let (a, b) = (format!("{}a", "x".repeat(62)), format!("{}b", "x".repeat(62)));
        let (first, second) = (Child::Peers.name(&a), Child::Peers.name(&b));
        assert_ne!(first, second);
        assert!(first.len() <= 63 && first.ends_with("-peers"), "{first}");
    }

    #[test]
    fn the_annotation_of_documents_does_not_depend_on_their_order() {
        let (a, b) = (("orders", "sha256:0123456789abcdef0123"), ("users", "sha256:fedcba98765432100000"));
        assert_eq!(documents_annotation([b, a]), documents_annotation([a, b]));
        assert_eq!(documents_annotation([a, b]), "orders=0123456789abcdef,users=fedcba9876543210");
    }
}

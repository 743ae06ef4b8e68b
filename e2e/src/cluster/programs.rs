//! The components and their command lines, in the order they start.
//!
//! Pure: what to run, from a [`Layout`]. Flags that a distribution would not have say why they are here.

use std::path::Path;

use super::layout::{API_PORT, Layout, NODE_ADDRESS, NODE_NAME, POD_NETWORK, SERVICE_NETWORK};

/// One component.
#[derive(Clone, Debug)]
pub(super) struct Program {
    /// What [`super::Control`] calls it, and the name of its log.
    pub(super) name: &'static str,
    pub(super) arguments: Vec<String>,
    /// Whether it needs an API server that answers: the controllers give up if theirs does not within seconds.
    pub(super) after_api_server: bool,
}

/// All of them. Programs are found on the `PATH`, where the folder of `hack/kube.sh` comes first.
pub(super) fn all(layout: &Layout) -> Vec<Program> {
    vec![
        program("containerd", false, containerd(layout)),
        program("etcd", false, etcd(layout)),
        program("kube-apiserver", false, kube_apiserver(layout)),
        program("kube-controller-manager", true, kube_controller_manager(layout)),
        program("kube-scheduler", true, kube_scheduler(layout)),
        program("kubelet", true, kubelet(layout)),
        program("kube-proxy", true, kube_proxy(layout)),
        program("coredns", true, coredns(layout)),
    ]
}

fn program(name: &'static str, after_api_server: bool, arguments: Vec<String>) -> Program {
    Program { name, arguments, after_api_server }
}

fn containerd(layout: &Layout) -> Vec<String> {
    vec![format!("--config={}", path(&layout.config("containerd.toml")))]
}

fn etcd(layout: &Layout) -> Vec<String> {
    vec![
        format!("--data-dir={}", path(&layout.data("etcd"))),
        "--listen-client-urls=http://127.0.0.1:2379".to_owned(),
        "--advertise-client-urls=http://127.0.0.1:2379".to_owned(),
        "--listen-peer-urls=http://127.0.0.1:2380".to_owned(),
        // Nothing of it outlives the cluster.
        "--unsafe-no-fsync".to_owned(),
        "--log-level=warn".to_owned(),
    ]
}

fn kube_apiserver(layout: &Layout) -> Vec<String> {
    let key = path(&layout.config("service-accounts.key"));
    vec![
        "--etcd-servers=http://127.0.0.1:2379".to_owned(),
        "--bind-address=0.0.0.0".to_owned(),
        format!("--advertise-address={NODE_ADDRESS}"),
        format!("--secure-port={API_PORT}"),
        // It makes its own serving certificate there.
        format!("--cert-dir={}", path(&layout.config("pki"))),
        format!("--service-cluster-ip-range={SERVICE_NETWORK}"),
        "--allow-privileged=true".to_owned(),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--enable-admission-plugins=NodeRestriction".to_owned(),
        format!("--token-auth-file={}", path(&layout.config("tokens.csv"))),
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local".to_owned(),
        format!("--service-account-signing-key-file={key}"),
        format!("--service-account-key-file={key}"),
        // Else exec and logs look for the node's name in DNS.
        "--kubelet-preferred-address-types=InternalIP".to_owned(),
        format!("--audit-policy-file={}", path(&layout.config("audit-policy.yaml"))),
        format!("--audit-log-path={}", path(&layout.audit_log())),
        // One file however long the tests are: a reader need not follow a rotation.
        "--audit-log-maxsize=4096".to_owned(),
        "--profiling=false".to_owned(),
    ]
}

fn kube_controller_manager(layout: &Layout) -> Vec<String> {
    vec![
        format!("--kubeconfig={}", path(&layout.config("kube-controller-manager.kubeconfig"))),
        "--use-service-account-credentials=true".to_owned(),
        format!("--root-ca-file={}", path(&layout.config("pki/apiserver.crt"))),
        format!("--service-account-private-key-file={}", path(&layout.config("service-accounts.key"))),
        format!("--cluster-cidr={POD_NETWORK}"),
        "--allocate-node-cidrs=false".to_owned(),
        "--leader-elect=false".to_owned(),
        "--secure-port=0".to_owned(),
        // A Node object that a test made up never sends a heartbeat, and its pods shall stay all the same. The price: a
        // stopped kubelet is not noticed.
        "--node-monitor-grace-period=24h".to_owned(),
        "--node-startup-grace-period=24h".to_owned(),
        "--terminated-pod-gc-threshold=0".to_owned(),
        "--kube-api-qps=200".to_owned(),
        "--kube-api-burst=400".to_owned(),
    ]
}

fn kube_scheduler(layout: &Layout) -> Vec<String> {
    vec![
        format!("--kubeconfig={}", path(&layout.config("kube-scheduler.kubeconfig"))),
        "--leader-elect=false".to_owned(),
        "--secure-port=0".to_owned(),
        "--kube-api-qps=200".to_owned(),
        "--kube-api-burst=400".to_owned(),
    ]
}

fn kubelet(layout: &Layout) -> Vec<String> {
    vec![
        format!("--config={}", path(&layout.config("kubelet.yaml"))),
        format!("--kubeconfig={}", path(&layout.config("kubelet.kubeconfig"))),
        format!("--hostname-override={NODE_NAME}"),
        format!("--node-ip={NODE_ADDRESS}"),
        format!("--root-dir={}", path(&layout.data("kubelet"))),
    ]
}

fn kube_proxy(layout: &Layout) -> Vec<String> {
    vec![format!("--config={}", path(&layout.config("kube-proxy.yaml")))]
}

fn coredns(layout: &Layout) -> Vec<String> {
    vec![format!("-conf={}", path(&layout.config("Corefile")))]
}

/// The folder of a cluster has a name of ours, which is always text.
fn path(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

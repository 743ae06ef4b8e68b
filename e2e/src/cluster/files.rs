//! What the components read: their configuration files, the tokens, the kubeconfigs.
//!
//! Everybody has a token of their own and the name that a kubeadm cluster would give them, so that the Node authorizer
//! and the default RBAC rules decide here as they do there. Only `CoreDNS` goes as an administrator: the rules it needs
//! are shipped with its manifests, not with Kubernetes.
//!
//! Pure: texts from a [`Layout`]. Where a setting is not what a distribution has, the comment in it says why.

use std::path::{Path, PathBuf};

use super::layout::{
    API_PORT, API_SERVICE_ADDRESS, Layout, NODE_ADDRESS, NODE_NAME, PAUSE_IMAGE, POD_NETWORK, SNAPSHOTTER,
};

/// Who talks to the API server: file name of the kubeconfig, user, groups.
const USERS: [(&str, &str, &str); 6] = [
    ("admin", "admin", "system:masters"),
    ("kubelet", "system:node:node", "system:nodes"),
    ("kube-controller-manager", "system:kube-controller-manager", ""),
    ("kube-scheduler", "system:kube-scheduler", ""),
    ("kube-proxy", "system:kube-proxy", ""),
    ("coredns", "coredns", "system:masters"),
];

/// Every file a component reads, with its path. `plugins` is where the CNI plugins are.
pub(super) fn all(layout: &Layout, plugins: &Path) -> Vec<(PathBuf, String)> {
    let mut files = vec![
        (layout.config("tokens.csv"), tokens()),
        (layout.config("audit-policy.yaml"), AUDIT_POLICY.to_owned()),
        (layout.config("kubelet.yaml"), kubelet(layout)),
        (layout.config("kube-proxy.yaml"), kube_proxy(layout)),
        (layout.config("containerd.toml"), containerd(layout, plugins)),
        (layout.config("cni/10-bridge.conflist"), cni(layout)),
        (layout.config("Corefile"), corefile(layout)),
        // What a pod with `dnsPolicy: Default` gets. The host's own file names servers that nobody reaches in here.
        (layout.config("resolv.conf"), format!("nameserver {NODE_ADDRESS}\n")),
        (layout.kubeconfig(), kubeconfig(layout, "admin")),
    ];
    for (name, ..) in USERS {
        files.push((layout.config(&format!("{name}.kubeconfig")), kubeconfig(layout, name)));
    }
    files
}

/// Tokens are the users' names: the cluster has no way in from outside its namespace.
fn tokens() -> String {
    let lines = USERS.map(|(name, user, groups)| format!("{name}-token,{user},{name},\"{groups}\"\n"));
    lines.concat()
}

fn kubeconfig(layout: &Layout, name: &str) -> String {
    let authority = layout.config("pki/apiserver.crt");
    format!(
        "apiVersion: v1
kind: Config
clusters:
- name: moorline
  cluster:
    server: https://{NODE_ADDRESS}:{API_PORT}
    certificate-authority: {authority}
users:
- name: {name}
  user: {{token: {name}-token}}
contexts:
- name: moorline
  context: {{cluster: moorline, user: {name}}}
current-context: moorline
",
        authority = authority.display(),
    )
}

/// Only what service accounts ask for, so that a test can say which RBAC rule nobody uses. The controllers of
/// Kubernetes itself, which live in kube-system, would be most of the log.
const AUDIT_POLICY: &str = "apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  userGroups: ['system:serviceaccounts:kube-system']
- level: Metadata
  userGroups: ['system:serviceaccounts']
- level: None
";

fn kubelet(layout: &Layout) -> String {
    format!(
        "apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
# Only the API server and the node's own processes reach this port, and exec and logs need no certificate this way.
authentication: {{anonymous: {{enabled: true}}, webhook: {{enabled: false}}}}
authorization: {{mode: AlwaysAllow}}
containerRuntimeEndpoint: unix://{socket}
cgroupDriver: cgroupfs
cgroupRoot: /{cgroup}
failCgroupV1: false
failSwapOn: false
enforceNodeAllocatable: []
clusterDNS: [{NODE_ADDRESS}]
clusterDomain: cluster.local
resolvConf: {resolv}
maxPods: 250
# A test that starts many pods is not slowed down by limits meant for a fleet.
kubeAPIQPS: 200
kubeAPIBurst: 400
# The disk is the host's: it may be fuller than a node's without any harm to a test.
evictionHard: {{memory.available: 100Mi, nodefs.available: 1%, nodefs.inodesFree: 1%, imagefs.available: 1%}}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
",
        socket = layout.containerd_socket().display(),
        cgroup = layout.cgroup(),
        resolv = layout.config("resolv.conf").display(),
    )
}

fn kube_proxy(layout: &Layout) -> String {
    format!(
        "apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
clientConnection: {{kubeconfig: {kubeconfig}}}
clusterCIDR: {POD_NETWORK}
hostnameOverride: {NODE_NAME}
# The limits of the connection table belong to the host and cannot be written in a namespace.
conntrack: {{maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}}
",
        kubeconfig = layout.config("kube-proxy.kubeconfig").display(),
    )
}

fn containerd(layout: &Layout, plugins: &Path) -> String {
    format!(
        "version = 2
root = '{root}'
state = '{state}'
disabled_plugins = ['io.containerd.snapshotter.v1.aufs', 'io.containerd.snapshotter.v1.btrfs', 'io.containerd.snapshotter.v1.devmapper', 'io.containerd.snapshotter.v1.zfs']

[grpc]
address = '{socket}'

[plugins.'io.containerd.grpc.v1.cri']
sandbox_image = '{PAUSE_IMAGE}'
# Without CAP_SYS_RESOURCE, as in many sandboxes, every pod would fail over its negative oom_score_adj.
restrict_oom_score_adj = true

[plugins.'io.containerd.grpc.v1.cri'.containerd]
snapshotter = '{SNAPSHOTTER}'

[plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes.runc]
runtime_type = 'io.containerd.runc.v2'

[plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes.runc.options]
SystemdCgroup = false

[plugins.'io.containerd.grpc.v1.cri'.cni]
bin_dir = '{plugins}'
conf_dir = '{networks}'
",
        root = layout.data("containerd").display(),
        state = layout.data("containerd-state").display(),
        socket = layout.containerd_socket().display(),
        plugins = plugins.display(),
        networks = layout.config("cni").display(),
    )
}

/// `hairpinMode`: a pod that reaches itself through its Service comes back in by the port it left from.
fn cni(layout: &Layout) -> String {
    let plugins = serde_json::json!([{
        "type": "bridge",
        "bridge": "pods",
        "isGateway": true,
        "hairpinMode": true,
        "ipam": {
            "type": "host-local",
            "dataDir": layout.data("cni"),
            "ranges": [[{"subnet": POD_NETWORK}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }]);
    format!("{:#}\n", serde_json::json!({"cniVersion": "0.4.0", "name": "pods", "plugins": plugins}))
}

/// No cache, as kubeadm's has none for the cluster's own names, and nobody to forward others to.
fn corefile(layout: &Layout) -> String {
    format!(
        ".:53 {{
    bind {NODE_ADDRESS}
    errors
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
        kubeconfig {kubeconfig}
        pods insecure
        ttl 30
    }}
    loadbalance
}}
",
        kubeconfig = layout.config("coredns.kubeconfig").display(),
    )
}

/// The name that a pod asks for to reach the API server, for the check that `CoreDNS` answers, and the answer.
pub(super) const KNOWN_NAME: (&str, &str) = ("kubernetes.default.svc.cluster.local", API_SERVICE_ADDRESS);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::programs;

    #[test]
    fn every_file_that_a_component_is_given_is_written() {
        let layout = Layout::new("/tmp/moorline-cluster.x");
        let written: Vec<_> = all(&layout, Path::new("/plugins")).into_iter().map(|(path, _)| path).collect();
        // The API server makes the one, openssl the other.
        let made = [layout.config("pki"), layout.config("pki/apiserver.crt"), layout.config("service-accounts.key")];
        for program in programs::all(&layout) {
            let values = program.arguments.iter().filter_map(|argument| argument.split_once('='));
            for path in values.map(|(_, value)| PathBuf::from(value)).filter(|path| path.starts_with(layout.config("")))
            {
                assert!(written.contains(&path) || made.contains(&path), "{}: {}", program.name, path.display());
            }
        }
    }

    #[test]
    fn the_kubelet_has_the_name_that_the_node_authorizer_knows_it_by() {
        assert!(tokens().contains(&format!("system:node:{NODE_NAME},")));
    }

    #[test]
    fn the_name_of_a_cgroup_has_no_dot_which_would_end_it_in_a_tool() {
        assert_eq!(Layout::new("/tmp/moorline-cluster.x").cgroup(), "moorline-cluster-x");
    }
}

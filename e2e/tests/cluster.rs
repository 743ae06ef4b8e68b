//! The cluster that the other tests rely on, from inside: `moorline-cluster run -- cargo test --test cluster -- --ignored`.
//!
//! What is proved is what Kubernetes promises and a home-made cluster may break: admission, native sidecars, names,
//! Services, and that parts can be stopped under running pods. Images come from `moorline-probe`, compiled here.

// Tests fail by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use moorline_e2e::cluster::{Control, Inside, images};
use moorline_e2e::process::repository;
use parking_lot::{Mutex, MutexGuard};

const IMAGE: &str = "moorline.dev/probe:1";
const WITHIN: Duration = Duration::from_mins(1);

/// The cluster, or `None` when it is somebody else's: images cannot be loaded there, nor its parts stopped.
fn own_cluster() -> Option<Inside> {
    if std::env::var("MOORLINE_E2E_CLUSTER").as_deref() == Ok("external") {
        let thread = std::thread::current();
        println!("skipped: {} needs a cluster of its own", thread.name().unwrap_or("this test"));
        return None;
    }
    let inside = Inside::from_env().expect("inside of `moorline-cluster run -- ...`, or with KUBECONFIG").unwrap();
    load_probe(&inside);
    Some(inside)
}

/// Once for all tests, which run in threads of one process.
fn load_probe(inside: &Inside) {
    static LOADED: OnceLock<()> = OnceLock::new();
    LOADED.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let (program, archive) = (folder.path().join("moorline-probe"), folder.path().join("probe.tar"));
        let source = repository().join("e2e/src/bin/moorline-probe.rs");
        images::compile(&source, &program).unwrap();
        images::pack(IMAGE, &program, &archive).unwrap();
        images::load(inside, &archive).unwrap();
    });
}

/// One test at a time: one of them stops the API server under the others.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock()
}

/// `kubectl ARGUMENTS...`: what it printed, or what it complained about.
fn try_kubectl(arguments: &[&str], input: &str) -> Result<String, String> {
    let mut child = Command::new("kubectl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("kubectl is on the PATH");
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() { Ok(text) } else { Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()) }
}

fn kubectl(arguments: &[&str]) -> String {
    try_kubectl(arguments, "").unwrap_or_else(|error| panic!("kubectl {}: {error}", arguments.join(" ")))
}

/// What a server in a pod says to a process of the node.
fn probe(address: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_moorline-probe")).args(["get", address]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Repeats until the answer is yes, and tells the last other answer.
fn eventually<T>(mut attempt: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + WITHIN;
    loop {
        match attempt() {
            Ok(value) => return value,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

/// A namespace with restricted Pod Security. Removed when dropped, so that a cluster is fit for the next run.
struct Namespace(&'static str);

impl Namespace {
    fn create(name: &'static str) -> Self {
        kubectl(&["create", "namespace", name]);
        kubectl(&["label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted"]);
        Self(name)
    }

    fn apply(&self, manifest: &str) {
        // The controller that makes the service account is not done when the namespace is.
        eventually(|| try_kubectl(&["--namespace", self.0, "apply", "-f", "-"], manifest));
    }

    fn wait_until_ready(&self, pod: &str) {
        let arguments = ["--namespace", self.0, "wait", "--for=condition=Ready", "--timeout=60s", pod];
        if let Err(error) = try_kubectl(&arguments, "") {
            panic!("{error}\n{}", kubectl(&["--namespace", self.0, "describe", pod]));
        }
    }

    /// What `path` of the pod is.
    fn field(&self, pod: &str, path: &str) -> String {
        kubectl(&["--namespace", self.0, "get", pod, &format!("--output=jsonpath={path}")])
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = try_kubectl(&["delete", "namespace", self.0, "--wait=false"], "");
    }
}

/// A pod that may run where Pod Security is restricted, with these init containers.
fn restricted_pod(name: &str, sidecars: &str) -> String {
    let container = container("main", 8080, "");
    format!(
        "apiVersion: v1
kind: Pod
metadata: {{name: {name}, labels: {{app: {name}}}}}
spec:
  terminationGracePeriodSeconds: 1
  securityContext: {{runAsNonRoot: true, seccompProfile: {{type: RuntimeDefault}}}}
  initContainers: [{sidecars}]
  containers: [{container}]
"
    )
}

/// A container that serves, with a named port.
fn container(name: &str, port: u16, more: &str) -> String {
    format!(
        "{{name: {name}, image: '{IMAGE}', imagePullPolicy: Never, args: [serve, '{port}'], {more}
    ports: [{{name: {name}, containerPort: {port}}}], readinessProbe: {{httpGet: {{port: {port}}}, periodSeconds: 1}},
    securityContext: {{allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {{drop: [ALL]}}}}}}"
    )
}

fn sidecar(name: &str, port: u16) -> String {
    container(name, port, "restartPolicy: Always,")
}

#[test]
#[ignore = "needs a cluster: run it through moorline-cluster"]
fn a_restricted_pod_with_a_native_sidecar_becomes_ready() {
    let Some(_cluster) = own_cluster() else { return };
    let _alone = alone();
    let namespace = Namespace::create("sidecar");
    namespace.apply(&restricted_pod("app", &sidecar("side", 8081)));
    namespace.wait_until_ready("pod/app");
    assert_eq!(namespace.field("pod/app", "{.status.initContainerStatuses[0].ready}"), "true");
    assert_eq!(namespace.field("pod/app", "{.status.containerStatuses[0].ready}"), "true");
}

#[test]
#[ignore = "needs a cluster: run it through moorline-cluster"]
fn a_pod_without_restrictions_is_refused_where_pod_security_is_restricted() {
    let Some(_cluster) = own_cluster() else {
        return;
    };
    let _alone = alone();
    let namespace = Namespace::create("refused");
    let manifest = restricted_pod("app", "").replace("runAsNonRoot: true", "runAsNonRoot: false");
    let arguments = ["--namespace", namespace.0, "apply", "-f", "-"];
    let refused = eventually(|| match try_kubectl(&arguments, &manifest) {
        Err(why) if why.contains("serviceaccount") => Err(why),
        other => Ok(other),
    });
    assert!(refused.as_ref().is_err_and(|why| why.contains("violates PodSecurity")), "{refused:?}");
}

#[test]
#[ignore = "needs a cluster: run it through moorline-cluster"]
fn a_service_is_reached_by_its_name_from_a_pod() {
    let Some(_cluster) = own_cluster() else { return };
    let _alone = alone();
    let namespace = Namespace::create("names");
    namespace.apply(&restricted_pod("server", &sidecar("side", 8081)));
    namespace.apply(&restricted_pod("client", ""));
    // By number, and by the name of the native sidecar's port.
    for (service, target) in [("app", "8080"), ("side", "side")] {
        namespace.apply(&format!(
            "{{apiVersion: v1, kind: Service, metadata: {{name: {service}}}, \
             spec: {{selector: {{app: server}}, ports: [{{port: 80, targetPort: {target}}}]}}}}"
        ));
    }
    namespace.wait_until_ready("pod/server");
    namespace.wait_until_ready("pod/client");
    for address in ["app:80", "side.names.svc.cluster.local:80"] {
        let get = ["--namespace", "names", "exec", "client", "--", "/moorline-probe", "get", address];
        // kube-proxy and CoreDNS learn of the Service on their own time.
        assert_eq!(eventually(|| try_kubectl(&get, "")), "server");
    }
    // From the node, as the API server reaches a webhook.
    assert_eq!(probe(&format!("{}:80", namespace.field("service/app", "{.spec.clusterIP}"))), "server");
}

#[test]
#[ignore = "needs a cluster: run it through moorline-cluster"]
fn pods_live_on_while_the_api_server_is_stopped() {
    let Some(cluster) = own_cluster() else { return };
    let _alone = alone();
    let namespace = Namespace::create("stopped");
    namespace.apply(&restricted_pod("app", ""));
    namespace.wait_until_ready("pod/app");
    let address = namespace.field("pod/app", "{.status.podIP}");
    let container = namespace.field("pod/app", "{.status.containerStatuses[0].containerID}");

    let control = Control::new(cluster.layout().clone());
    control.stop("kube-apiserver").unwrap();
    assert!(control.status().unwrap().contains("kube-apiserver ended"), "{}", control.status().unwrap());
    assert!(try_kubectl(&["get", "namespaces"], "").is_err());
    assert_eq!(probe(&format!("{address}:8080")), "app");

    control.start("kube-apiserver").unwrap();
    control.wait_for_api_server().unwrap();
    namespace.wait_until_ready("pod/app");
    assert_eq!(namespace.field("pod/app", "{.status.containerStatuses[0].containerID}"), container);
    assert_eq!(namespace.field("pod/app", "{.status.containerStatuses[0].restartCount}"), "0");
}

#[test]
#[ignore = "needs a cluster: run it through moorline-cluster"]
fn what_a_service_account_asks_for_is_in_the_audit_log() {
    let Some(cluster) = own_cluster() else { return };
    let _alone = alone();
    let namespace = Namespace::create("audit");
    let token = eventually(|| try_kubectl(&["--namespace", namespace.0, "create", "token", "default"], ""));
    let refused = try_kubectl(&["--token", &token, "--namespace", namespace.0, "get", "secrets"], "");
    assert!(refused.as_ref().is_err_and(|why| why.contains("cannot list resource \"secrets\"")), "{refused:?}");
    let log = std::fs::read_to_string(cluster.layout().audit_log()).unwrap();
    let found = log
        .lines()
        .any(|line| line.contains("\"resource\":\"secrets\"") && line.contains("system:serviceaccount:audit:"));
    assert!(found, "no line of {} speaks of the request", cluster.layout().audit_log().display());
}

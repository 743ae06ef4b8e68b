//! The sidecar as a container.
//!
//! A native sidecar: an init container that restarts always starts before the app, ends after it, and does not keep a
//! Job from finishing. Ports are numbers wherever they are referred to; names of ports of such containers were not seen
//! by all parts of Kubernetes for a while. The command is spelled out, so that an image made by somebody else needs no
//! particular entry point.

use std::time::Duration;

use moorline_crds::names::{
    ADMIN_PORT, ADMIN_PORT_NAME, APP_PORTS_VARIABLE, CLIENT_PORT, CLIENT_PORT_NAME, CONFIG_PATH, CONFIG_VOLUME,
    CONTAINER, NO_TOKEN_VOLUME,
};
use serde_json::{Value, json};

use crate::annotations::{AppPreStop, Tuning};
use crate::ports;
use crate::resources::Resources;
use crate::settings::InjectSettings;

/// The program in the image, found along the image's `PATH`.
const PROGRAM: &str = "moorline";
/// Where Kubernetes mounts the token of the pod's ServiceAccount. It does so in each container that mounts nothing there.
const TOKEN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// On the admin port: waits for a drain to begin and to end.
const DRAINED_PATH: &str = "/drained";

/// Makes the container.
pub(crate) fn sidecar(pod: &Value, tuning: &Tuning, resources: &Resources, settings: &InjectSettings) -> Value {
    let mut mounts = vec![json!({"name": CONFIG_VOLUME, "mountPath": CONFIG_PATH, "readOnly": true})];
    if !tuning.wants_token {
        mounts.push(json!({"name": NO_TOKEN_VOLUME, "mountPath": TOKEN_PATH, "readOnly": true}));
    }
    json!({
        "name": CONTAINER,
        "image": settings.image,
        "imagePullPolicy": settings.pull_policy.name(),
        "command": [PROGRAM, "run", "--config", CONFIG_PATH],
        "restartPolicy": "Always",
        "env": environment(pod, tuning, resources),
        "ports": [
            {"name": CLIENT_PORT_NAME, "containerPort": CLIENT_PORT, "protocol": "TCP"},
            {"name": ADMIN_PORT_NAME, "containerPort": ADMIN_PORT, "protocol": "TCP"},
        ],
        // The app waits for this one, so it is asked often; two minutes are for a node that is busy with everything.
        "startupProbe": probe("/startupz", 1, 2, 120),
        "readinessProbe": probe("/readyz", 5, 3, 3),
        // Patient: a restart costs every client its connection, and what is slow for a minute is not dead.
        "livenessProbe": probe("/livez", 10, 5, 6),
        "lifecycle": {"preStop": {"exec": {"command": [PROGRAM, "drain"]}}},
        "resources": resources.value,
        "securityContext": security(settings),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts,
    })
}

/// The hook that keeps a container of the app alive while clients are let go.
pub(crate) fn app_pre_stop(tuning: &Tuning) -> Option<Value> {
    match tuning.app_pre_stop {
        // Without a host the kubelet asks at the address of the pod, where the admin port is served as well.
        AppPreStop::Drained => Some(json!({"httpGet": {"path": DRAINED_PATH, "port": ADMIN_PORT, "scheme": "HTTP"}})),
        // Nothing to wait for; a sleep of 0 is refused by clusters before 1.34.
        AppPreStop::Sleep if tuning.drain_seconds() == 0 => None,
        AppPreStop::Sleep => Some(json!({"sleep": {"seconds": tuning.drain_seconds()}})),
        AppPreStop::Disabled => None,
    }
}

fn environment(pod: &Value, tuning: &Tuning, resources: &Resources) -> Vec<Value> {
    let variable = |name: &str, value: String| json!({"name": name, "value": value});
    let mut variables = vec![
        variable(APP_PORTS_VARIABLE, ports::app_ports_variable(pod)),
        variable("MOORLINE_DRAIN_GRACE", duration(tuning.drain_grace)),
        variable("MOORLINE_DRAIN_WINDOW", duration(tuning.drain_window)),
        // The default of the program does not know how little memory there is.
        variable("MOORLINE_MAX_BUFFERED_BYTES", resources.buffered_bytes.to_string()),
    ];
    variables.extend(tuning.max_connections.map(|count| variable("MOORLINE_MAX_CONNECTIONS", count.to_string())));
    variables.extend(tuning.log_level.clone().map(|level| variable("MOORLINE_LOG", level)));
    variables.extend(tuning.access_log.clone().map(|switch| variable("MOORLINE_ACCESS_LOG", switch)));
    variables.push(json!({"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}));
    variables
}

/// As the sidecar reads it: at most five digits for each unit.
fn duration(duration: Duration) -> String {
    match (duration.as_secs(), duration.subsec_millis()) {
        (seconds, 0) => format!("{seconds}s"),
        (0, millis) => format!("{millis}ms"),
        (seconds, millis) => format!("{seconds}s{millis}ms"),
    }
}

fn probe(path: &str, period_seconds: u32, timeout_seconds: u32, failures: u32) -> Value {
    json!({
        "httpGet": {"path": path, "port": ADMIN_PORT, "scheme": "HTTP"},
        "periodSeconds": period_seconds,
        "timeoutSeconds": timeout_seconds,
        "failureThreshold": failures,
    })
}

/// What the Pod Security Standard `restricted` asks of each container, and a root file system that cannot be written.
fn security(settings: &InjectSettings) -> Value {
    let mut context = json!({
        "allowPrivilegeEscalation": false,
        "capabilities": {"drop": ["ALL"]},
        "privileged": false,
        "readOnlyRootFilesystem": true,
        "runAsNonRoot": true,
        "seccompProfile": {"type": "RuntimeDefault"},
    });
    if let Some(user) = settings.run_as_user {
        context["runAsUser"] = json!(user);
        context["runAsGroup"] = json!(user);
    }
    context
}

//! Ports of a pod: their names, and who has those of the sidecar.
//!
//! All containers of a pod share one network, so a port that any of them uses is one the sidecar cannot have, wherever
//! in the pod it is: init containers run beside it, too, since it starts before them. Only TCP counts; a UDP port of the
//! same number is another port.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use moorline_crds::names::{ADMIN_PORT, ADMIN_PORT_NAME, CALLBACK_PORT, CLIENT_PORT, CLIENT_PORT_NAME, CONTAINER};
use serde_json::Value;

use crate::outcome::Skip;
use crate::pod;
use crate::request::Request;

/// The number behind the name of a port, found as Kubernetes finds it: in the containers, in their order, and then in
/// the init containers that run as long as the pod.
pub fn target_port(pod: &Value, name: &str) -> Option<u16> {
    app_ports(pod).find(|(known, _)| *known == name).map(|(_, number)| number)
}

/// Names and numbers of the app's ports, for the sidecar to resolve names with.
pub(crate) fn app_ports_variable(pod: &Value) -> String {
    let mut seen: Vec<&str> = Vec::new();
    let mut parts = Vec::new();
    for (name, number) in app_ports(pod) {
        if !seen.contains(&name) {
            seen.push(name);
            parts.push(format!("{name}={number}"));
        }
    }
    parts.join(",")
}

fn app_ports(pod: &Value) -> impl Iterator<Item = (&str, u16)> {
    pod::all_containers(pod)
        .filter(|(field, container)| *field == "containers" || pod::is_sidecar(container))
        .filter(|(_, container)| pod::name(container) != CONTAINER)
        .flat_map(|(_, container)| ports(container))
        .filter(|port| !port.name.is_empty())
        .map(|port| (port.name, port.number))
}

/// Who has a port that the sidecar needs.
pub(crate) fn collision(pod: &Value, request: &Request) -> Option<(Skip, String)> {
    for (field, container) in pod::all_containers(pod) {
        let owner = pod::describe(field, container);
        for port in ports(container) {
            if let Some(purpose) = purpose(port.number) {
                return Some((Skip::PortTaken, format!("{owner} uses port {}, {purpose}", port.number)));
            }
            if port.name == CLIENT_PORT_NAME || port.name == ADMIN_PORT_NAME {
                let message =
                    format!("{owner} calls its port {} `{}`, a name the sidecar needs", port.number, port.name);
                return Some((Skip::PortNameTaken, message));
            }
        }
    }
    // A port need not be declared to be used, so what a route calls counts as well.
    request.services.iter().find_map(|service| {
        let number = service.target_ports.iter().find_map(|target| match target {
            IntOrString::Int(number) => u16::try_from(*number).ok().filter(|number| purpose(*number).is_some()),
            IntOrString::String(_) => None,
        })?;
        let purpose = purpose(number)?;
        let message =
            format!("a route calls Service {}/{} at port {number}, {purpose}", request.namespace, service.name);
        Some((Skip::PortTaken, message))
    })
}

/// Names of target ports that nothing in the pod has.
pub(crate) fn unknown_targets(pod: &Value, request: &Request) -> Vec<String> {
    let mut warnings = Vec::new();
    for service in &request.services {
        for target in &service.target_ports {
            if let IntOrString::String(name) = target
                && target_port(pod, name).is_none()
            {
                warnings.push(format!(
                    "Service {}/{} leads to port `{name}`, which no container of this pod has",
                    request.namespace, service.name
                ));
            }
        }
    }
    warnings
}

fn purpose(number: u16) -> Option<&'static str> {
    match number {
        CLIENT_PORT => Some("where the sidecar takes clients"),
        CALLBACK_PORT => Some("where the sidecar has its callback API"),
        ADMIN_PORT => Some("where the sidecar answers probes"),
        _ => None,
    }
}

struct Port<'a> {
    name: &'a str,
    number: u16,
}

fn ports(container: &Value) -> impl Iterator<Item = Port<'_>> {
    container["ports"].as_array().into_iter().flatten().filter_map(|port| {
        let is_tcp = port["protocol"].as_str().is_none_or(|protocol| protocol == "TCP");
        let number = port["containerPort"].as_u64().and_then(|number| u16::try_from(number).ok())?;
        is_tcp.then(|| Port { name: pod::name(port), number })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_name_is_found_as_kubernetes_finds_it() {
        let pod = json!({"spec": {
            "initContainers": [
                {"name": "setup", "ports": [{"name": "once", "containerPort": 1}]},
                {"name": "mesh", "restartPolicy": "Always", "ports": [{"name": "http", "containerPort": 2}, {"name": "mesh", "containerPort": 3}]},
            ],
            "containers": [
                {"name": "a", "ports": [{"name": "dns", "containerPort": 53, "protocol": "UDP"}, {"name": "http", "containerPort": 3000}]},
                {"name": "b", "ports": [{"containerPort": 9000}, {"name": "http", "containerPort": 3001}]},
            ],
        }});
        assert_eq!(target_port(&pod, "http"), Some(3000));
        assert_eq!(target_port(&pod, "mesh"), Some(3));
        assert_eq!(target_port(&pod, "once"), None);
        assert_eq!(target_port(&pod, "dns"), None);
        assert_eq!(app_ports_variable(&pod), "http=3000,mesh=3");
    }
}

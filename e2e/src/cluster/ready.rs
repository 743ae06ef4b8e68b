//! Waiting until the cluster is one: conditions with a deadline, seen from inside.
//!
//! What counts is what a test needs next, not that processes run: a pod can be created and scheduled, a Service's
//! address leads somewhere, a name is resolved.

use std::net::{TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Node, ServiceAccount};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client};

use super::error::{ClusterError, Result};
use super::files::KNOWN_NAME;
use super::layout::{API_SERVICE_ADDRESS, Layout, NODE_ADDRESS, NODE_NAME};

/// Generous: other builds may have the machine to themselves.
const READY_WITHIN: Duration = Duration::from_mins(3);
const ASKED_EVERY: Duration = Duration::from_millis(50);
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// Waits until the API server of a cluster serves, for instance after it was started again. Makes an async runtime of
/// its own, so not for async code.
pub(super) fn wait_for_api_server(layout: &Layout) -> Result<()> {
    let questions = Questions::new(layout)?;
    wait_until("the API server", || questions.api_server_is_ready(), || None)
}

/// Waits until `check` says yes, at most three minutes. `failed` can end the waiting early with a reason.
pub(super) fn wait_until(
    what: &str,
    mut check: impl FnMut() -> bool,
    mut failed: impl FnMut() -> Option<String>,
) -> Result<()> {
    let not_ready = |why| ClusterError::BecomeReady { what: what.to_owned(), why };
    let deadline = Instant::now() + READY_WITHIN;
    while !check() {
        if let Some(why) = failed() {
            return Err(not_ready(why));
        }
        if Instant::now() > deadline {
            return Err(not_ready(format!("not within {} s", READY_WITHIN.as_secs())));
        }
        std::thread::park_timeout(ASKED_EVERY);
    }
    Ok(())
}

/// Questions to the cluster, answered yes or no.
pub(super) struct Questions {
    runtime: tokio::runtime::Runtime,
    client: Client,
}

impl Questions {
    /// Asks as the administrator. The API server has to have made its certificate.
    pub(super) fn new(layout: &Layout) -> Result<Self> {
        let failed = |why: String| ClusterError::ConnectClient(why);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| failed(error.to_string()))?;
        let kubeconfig = Kubeconfig::read_from(layout.kubeconfig()).map_err(|error| failed(error.to_string()))?;
        let client = runtime.block_on(async {
            let options = KubeConfigOptions::default();
            let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await;
            Client::try_from(config.map_err(|error| failed(error.to_string()))?)
                .map_err(|error| failed(error.to_string()))
        })?;
        Ok(Self { runtime, client })
    }

    /// Whether the API server has finished starting.
    pub(super) fn api_server_is_ready(&self) -> bool {
        let Ok(request) = http::Request::get("/readyz").body(Vec::new()) else { return false };
        self.answer(self.client.request_text(request)).is_some_and(|text| text == "ok")
    }

    /// Whether pods can be created in the namespace `default`: admission refuses them until their account exists.
    pub(super) fn service_account_exists(&self) -> bool {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), "default");
        self.answer(accounts.get("default")).is_some()
    }

    /// Whether the kubelet takes pods.
    pub(super) fn node_is_ready(&self) -> bool {
        let nodes: Api<Node> = Api::all(self.client.clone());
        let Some(node) = self.answer(nodes.get(NODE_NAME)) else { return false };
        let conditions = node.status.and_then(|status| status.conditions).unwrap_or_default();
        let tainted = node.spec.and_then(|spec| spec.taints).is_some_and(|taints| !taints.is_empty());
        !tainted && conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
    }

    fn answer<T>(&self, request: impl Future<Output = std::result::Result<T, kube::Error>>) -> Option<T> {
        self.runtime.block_on(async { tokio::time::timeout(ANSWER_WITHIN, request).await }).ok()?.ok()
    }
}

/// Whether kube-proxy has made the first Service reachable.
pub(super) fn services_are_reachable() -> bool {
    let Ok(address) = format!("{API_SERVICE_ADDRESS}:443").parse() else { return false };
    TcpStream::connect_timeout(&address, ANSWER_WITHIN).is_ok()
}

/// Whether `CoreDNS` knows the first Service.
pub(super) fn names_are_resolved() -> bool {
    let ask = || -> std::io::Result<bool> {
        let socket = UdpSocket::bind((NODE_ADDRESS, 0))?;
        socket.set_read_timeout(Some(ANSWER_WITHIN))?;
        socket.connect((NODE_ADDRESS, 53))?;
        socket.send(&question(KNOWN_NAME.0))?;
        let mut answer = [0; 512];
        let length = socket.recv(&mut answer)?;
        Ok(answers_with(&answer[..length], KNOWN_NAME.1))
    };
    ask().unwrap_or(false)
}

/// A DNS question for the IPv4 address of a name.
fn question(name: &str) -> Vec<u8> {
    // Number 1, recursion desired, one question.
    let mut packet = vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        packet.push(u8::try_from(label.len()).unwrap_or(0));
        packet.extend(label.bytes());
    }
    // End of the name, type A, class IN.
    packet.extend([0, 0, 1, 0, 1]);
    packet
}

/// Whether a DNS answer ends with this IPv4 address: there is one record, and its data comes last.
fn answers_with(packet: &[u8], address: &str) -> bool {
    let Ok(address) = address.parse::<std::net::Ipv4Addr>() else { return false };
    // The error code is in the lower four bits.
    let no_error = packet.get(3).is_some_and(|flags| flags.trailing_zeros() >= 4);
    no_error && packet.ends_with(&address.octets())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_spells_the_name_in_labels() {
        let packet = question("a.bc");
        assert_eq!(&packet[12..], [1, b'a', 2, b'b', b'c', 0, 0, 1, 0, 1]);
    }

    #[test]
    fn an_answer_with_an_error_code_is_none() {
        let mut packet = vec![0, 1, 0x81, 0x80, 198, 19, 0, 1];
        assert!(answers_with(&packet, "198.19.0.1"));
        packet[3] = 0x83;
        assert!(!answers_with(&packet, "198.19.0.1"));
    }
}

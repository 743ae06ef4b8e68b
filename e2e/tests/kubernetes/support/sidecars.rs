//! Sidecars, looked at and killed from outside.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::command::run;

/// A GET, with its status and body.
pub(crate) async fn get(address: &str, path: &str) -> Result<(u16, String)> {
    request("GET", address, path).await
}

/// A request without a body.
pub(crate) async fn request(method: &str, address: &str, path: &str) -> Result<(u16, String)> {
    let exchange = async {
        let stream = TcpStream::connect(address).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let request = hyper::Request::builder()
            .method(method)
            .uri(path)
            .header("host", address)
            .header("authorization", "Bearer alice")
            .body(Empty::<Bytes>::new())?;
        let answer = async move {
            let response = sender.send_request(request).await?;
            let status = response.status().as_u16();
            let body = response.into_body().collect().await?.to_bytes();
            Ok::<_, anyhow::Error>((status, String::from_utf8_lossy(&body).into_owned()))
        };
        // The connection is driven here and not by a task: it ends with the answer.
        let connection = async {
            let _ = connection.await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            answer = answer => answer,
            () = connection => Err(anyhow!("unreachable")),
        }
    };
    timeout(Duration::from_secs(5), exchange)
        .await
        .map_err(|_| anyhow!("no answer"))?
        .with_context(|| format!("{method} http://{address}{path}"))
}

/// The address of a pod.
pub(crate) fn ip(pod: &Pod) -> Result<String> {
    let ip = pod.status.as_ref().and_then(|status| status.pod_ip.clone());
    ip.ok_or_else(|| anyhow!("pod {} has no address", name(pod)))
}

/// The name of a pod.
pub(crate) fn name(pod: &Pod) -> String {
    pod.metadata.name.clone().unwrap_or_default()
}

/// Whether a pod carries the sidecar.
pub(crate) fn has_sidecar(pod: &Pod) -> bool {
    sidecar(pod).is_some()
}

/// The status of the sidecar's container.
pub(crate) fn sidecar(pod: &Pod) -> Option<&ContainerStatus> {
    container(pod, "moorline")
}

/// The status of a container.
pub(crate) fn container<'a>(pod: &'a Pod, name: &str) -> Option<&'a ContainerStatus> {
    let status = pod.status.as_ref()?;
    let all = status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten());
    all.into_iter().find(|status| status.name == name)
}

/// Kills the process of a container, as a bug or the kernel would.
pub(crate) async fn kill(pod: &Pod, name: &str) -> Result<()> {
    let id = container(pod, name)
        .and_then(|status| status.container_id.as_deref())
        .and_then(|id| id.strip_prefix("containerd://"))
        .ok_or_else(|| anyhow!("container {name} does not run"))?;
    run("ctr", &["-n", "k8s.io", "tasks", "kill", "--signal", "SIGKILL", id]).await.map(drop)
}

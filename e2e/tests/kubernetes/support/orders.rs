//! The unmodified REST service of the scenarios, as its team would deploy it, and routes to it.

use anyhow::Result;

use super::client::Client;
use super::namespace::Namespace;

/// The image of `examples/orders/app`.
pub(crate) fn image() -> String {
    std::env::var("MOORLINE_E2E_APP").unwrap_or_else(|_| "moorline.dev/orders:e2e".to_owned())
}

/// A Deployment and its Service, with nothing in them that knows of Moorline.
pub(crate) fn deployment(name: &str, replicas: u32) -> String {
    deployment_with(name, replicas, "")
}

/// As [`deployment`], with more lines in the pod's metadata.
pub(crate) fn deployment_with(name: &str, replicas: u32, metadata: &str) -> String {
    let image = image();
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: {name}}}}}
  strategy: {{rollingUpdate: {{maxSurge: 1, maxUnavailable: 0}}}}
  template:
    metadata:
      labels: {{app: {name}}}
{metadata}
    spec:
      automountServiceAccountToken: false
      securityContext: {{runAsNonRoot: true, runAsUser: 65532, seccompProfile: {{type: RuntimeDefault}}}}
      containers:
      - name: app
        image: {image}
        imagePullPolicy: IfNotPresent
        ports: [{{name: http, containerPort: 3000}}]
        readinessProbe: {{httpGet: {{path: /healthz, port: http}}, periodSeconds: 1}}
        resources: {{requests: {{cpu: 10m, memory: 16Mi}}}}
        securityContext: {{allowPrivilegeEscalation: false, capabilities: {{drop: [ALL]}}, readOnlyRootFilesystem: true}}
---
{}",
        service(name)
    )
}

/// Its Service.
pub(crate) fn service(name: &str) -> String {
    format!(
        "apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec:
  selector: {{app: {name}}}
  ports: [{{name: http, port: 80, targetPort: http}}]
---
"
    )
}

/// A route to it. `mark` becomes part of every answer to the action `mark`, so that a client sees which one it got.
pub(crate) fn route(name: &str, service: &str, path: &str, mark: &str) -> String {
    format!(
        "apiVersion: moorline.dev/v1alpha1
kind: WebSocketRoute
metadata: {{name: {name}}}
spec:
  serviceRef: {{name: {service}, port: http}}
  path: {path}/{{tenant}}
  routes:
  - key: $connect
    request: {{method: POST, path: \"/tenants/${{request.path.tenant}}/sessions\", body: {{session: \"${{context.connectionId}}\"}}}}
    join: [\"tenant-${{request.path.tenant}}\"]
  - key: get
    request: {{method: GET, path: \"/orders/${{request.body.id}}\"}}
    reply: {{envelope: true}}
  - key: create
    request: {{method: POST, path: /orders, body: \"${{request.body.order}}\"}}
    reply: {{to: Group, group: \"tenant-${{request.path.tenant}}\"}}
  - key: mark
    reply: {{body: {{id: \"${{request.body.requestId}}\", mark: {mark}}}}}
  - key: $disconnect
    request: {{method: DELETE, path: \"/sessions/${{context.connectionId}}\"}}
---
"
    )
}

/// Deploys the service with its route in a namespace that is enabled, and waits until every sidecar serves it.
pub(crate) async fn served(namespace: &Namespace, replicas: u32) -> Result<String> {
    namespace.apply(&route("orders", "orders", "/ws", "first")).await?;
    namespace.apply(&deployment("orders", replicas)).await?;
    namespace.rolled_out("orders").await?;
    namespace.condition("orders", "Programmed", "True").await?;
    namespace.address("orders-ws").await
}

/// Which route answers on this connection.
pub(crate) async fn mark(client: &mut Client) -> Result<String> {
    let answer = client.ask("mark", &serde_json::Value::Null).await?;
    Ok(answer["mark"].as_str().unwrap_or_default().to_owned())
}

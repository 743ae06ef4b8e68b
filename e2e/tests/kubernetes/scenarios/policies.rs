//! What the operator's account can do beyond what the operator does: nothing.
//!
//! RBAC gives it `patch` on whole objects; the chart's `ValidatingAdmissionPolicies` say which part. Here somebody has its
//! token and tries.

use anyhow::{Context as _, Result, bail, ensure};
use kube::{Client, Config};
use serde_json::Value;

use crate::support::ground::alongside;
use crate::support::install::NAMESPACE;
use crate::support::namespace::Namespace;
use crate::support::{orders, sidecars};

/// Somebody with the operator's token.
struct Thief {
    client: Client,
    namespace: String,
}

impl Thief {
    async fn of(namespace: &Namespace) -> Result<Self> {
        let mut config = Config::infer().await?;
        config.auth_info.impersonate = Some(format!("system:serviceaccount:{NAMESPACE}:moorline-operator"));
        Ok(Self { client: Client::try_from(config)?, namespace: namespace.name.clone() })
    }

    /// A merge patch as a dry run, which passes through admission too. Not with kubectl, which reads what it patches, and
    /// the operator may not read everything that it writes.
    async fn patch(&self, object: &str, change: &str) -> Result<Result<(), String>> {
        let (kind, name) = object.split_once('/').context("a kind and a name")?;
        let (api, part) = match kind {
            "pods" => ("/api/v1", "/status"),
            "configmaps" | "services" => ("/api/v1", ""),
            _ => ("/apis/apps/v1", ""),
        };
        let path = format!("{api}/namespaces/{}/{kind}/{name}{part}?dryRun=All", self.namespace);
        let request = http::Request::patch(path)
            .header(http::header::CONTENT_TYPE, "application/merge-patch+json")
            .body(change.as_bytes().to_vec())?;
        match self.client.request::<Value>(request).await {
            Ok(_) => Ok(Ok(())),
            Err(kube::Error::Api(status)) => Ok(Err(status.message)),
            Err(error) => Err(error.into()),
        }
    }
}

#[test]
#[ignore = "needs a cluster: make e2e"]
fn whoever_has_the_operators_token_can_change_its_annotations_and_nothing_else() {
    alongside(async |ground| {
        let shop = Namespace::plain(&ground, "policies").await?;
        shop.apply(&orders::deployment("orders", 1)).await?;
        shop.apply(WORKLOADS).await?;
        shop.rolled_out("orders").await?;
        let thief = Thief::of(&shop).await?;
        let pod = format!("pods/{}", sidecars::name(&shop.pods("orders").await?[0]));
        let pod = pod.as_str();

        for (object, change) in [
            (pod, r#"{"metadata":{"annotations":{"moorline.dev/documents":"orders=1"}}}"#),
            ("deployments/orders", RESTART),
            ("statefulsets/state", RESTART),
            ("daemonsets/each", RESTART),
            ("configmaps/ours", r#"{"data":{"document.json":"{}"}}"#),
        ] {
            let done = thief.patch(object, change).await?;
            ensure!(done.is_ok(), "{object} {change}: {done:?}");
        }

        let mut refused = vec![
            (pod, r#"{"metadata":{"annotations":{"moorline.dev/services":"orders"}}}"#),
            (pod, r#"{"metadata":{"annotations":{"other":"x"}}}"#),
            (pod, r#"{"metadata":{"labels":{"app":null}}}"#),
            (pod, r#"{"metadata":{"labels":{"other":"x"}}}"#),
            (pod, r#"{"metadata":{"finalizers":["example.com/stay"]}}"#),
            (pod, r#"{"status":{"phase":"Failed"}}"#),
            ("deployments/orders", r#"{"spec":{"replicas":0}}"#),
            ("statefulsets/state", r#"{"spec":{"replicas":0}}"#),
            ("daemonsets/each", r#"{"spec":{"updateStrategy":{"type":"OnDelete"}}}"#),
            // Of somebody else's.
            ("configmaps/theirs", r#"{"data":{"a":"b"}}"#),
            ("configmaps/theirs", r#"{"metadata":{"labels":{"app.kubernetes.io/managed-by":"moorline"}}}"#),
            ("configmaps/ours", r#"{"metadata":{"labels":{"app.kubernetes.io/managed-by":null}}}"#),
            ("services/orders", r#"{"spec":{"selector":{"app":"other"}}}"#),
        ];
        for object in ["deployments/orders", "statefulsets/state", "daemonsets/each"] {
            refused.extend(OF_WORKLOADS.map(|change| (object, change)));
        }
        for (object, change) in refused {
            let Err(said) = thief.patch(object, change).await? else {
                bail!("{object} {change}: is allowed");
            };
            ensure!(said.contains("denied request: Moorline's operator"), "{object} {change}: {said}");
        }
        shop.delete().await
    });
}

const RESTART: &str = r#"{"metadata":{"annotations":{"moorline.dev/restarted-template":"h"}},
    "spec":{"template":{"metadata":{"annotations":{"moorline.dev/restartedAt":"2026-01-01T00:00:00Z"}}}}}"#;

const OF_WORKLOADS: [&str; 6] = [
    r#"{"metadata":{"annotations":{"other":"x"}}}"#,
    r#"{"metadata":{"labels":{"other":"x"}}}"#,
    r#"{"spec":{"template":{"metadata":{"annotations":{"moorline.dev/service-account-token":"enabled"}}}}}"#,
    r#"{"spec":{"template":{"metadata":{"labels":{"other":"x"}}}}}"#,
    r#"{"spec":{"template":{"spec":{"hostNetwork":true}}}}"#,
    r#"{"spec":{"template":{"spec":{"serviceAccountName":"admin"}}}}"#,
];

/// With nodes that take none of their pods: what a policy says needs none.
const WORKLOADS: &str = "apiVersion: apps/v1
kind: StatefulSet
metadata: {name: state}
spec:
  serviceName: state
  selector: {matchLabels: {app: state}}
  template:
    metadata: {labels: {app: state}}
    spec: {nodeSelector: {no: such}, containers: [{name: app, image: none}]}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: each}
spec:
  selector: {matchLabels: {app: each}}
  template:
    metadata: {labels: {app: each}}
    spec: {nodeSelector: {no: such}, containers: [{name: app, image: none}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: ours, labels: {app.kubernetes.io/managed-by: moorline}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: theirs}
";

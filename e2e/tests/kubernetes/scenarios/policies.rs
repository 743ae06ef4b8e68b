//! What the operator's account can do beyond what the operator does: nothing.
//!
//! RBAC gives it `patch` on whole objects; the chart's `ValidatingAdmissionPolicies` say which part. Here somebody has its
//! token and tries.

use anyhow::{Context as _, Result, ensure};
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use kube::{Client, Config};

use crate::support::ground::alongside;
use crate::support::install::NAMESPACE;
use crate::support::namespace::Namespace;
use crate::support::{orders, sidecars};

/// A merge patch with the operator's account, as a dry run, which passes through admission too. Not through `kubectl patch`,
/// which reads first what the operator never reads.
async fn patch(shop: &Namespace, object: &str, patch: &str) -> Result<Result<(), String>> {
    let mut config = Config::infer().await?;
    config.auth_info.impersonate = Some(format!("system:serviceaccount:{NAMESPACE}:moorline-operator"));
    let (kind, name) = object.split_once('/').context("kind/name")?;
    let (group, kind, plural) = match kind {
        "pod" => ("", "Pod", "pods"),
        "service" => ("", "Service", "services"),
        "configmap" => ("", "ConfigMap", "configmaps"),
        "deployment" => ("apps", "Deployment", "deployments"),
        "statefulset" => ("apps", "StatefulSet", "statefulsets"),
        "daemonset" => ("apps", "DaemonSet", "daemonsets"),
        other => anyhow::bail!("{other}: is a kind of this test"),
    };
    let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, "v1", kind), plural);
    let objects: Api<DynamicObject> = Api::namespaced_with(Client::try_from(config)?, &shop.name, &resource);
    let (parameters, change) = (
        PatchParams { dry_run: true, ..PatchParams::default() },
        Patch::Merge(serde_json::from_str::<serde_json::Value>(patch)?),
    );
    // There is no right to change pods themselves.
    let done = match kind {
        "Pod" => objects.patch_subresource("status", name, &parameters, &change).await,
        _ => objects.patch(name, &parameters, &change).await,
    };
    Ok(done.map(drop).map_err(|error| error.to_string()))
}

#[test]
#[ignore = "needs a cluster: make e2e"]
fn whoever_has_the_operators_token_can_change_its_annotations_and_nothing_else() {
    alongside(async |ground| {
        let shop = Namespace::plain(&ground, "policies").await?;
        shop.apply(&orders::deployment("orders", 1)).await?;
        shop.apply(WORKLOADS).await?;
        shop.rolled_out("orders").await?;
        let pod = format!("pod/{}", sidecars::name(&shop.pods("orders").await?[0]));
        let pod = pod.as_str();

        for (object, change) in [
            (pod, r#"{"metadata":{"annotations":{"moorline.dev/documents":"orders=1"}}}"#),
            ("deployment/orders", RESTART),
            ("statefulset/state", RESTART),
            ("daemonset/each", RESTART),
            ("configmap/ours", r#"{"data":{"document.json":"{}"}}"#),
        ] {
            let done = patch(&shop, object, change).await?;
            ensure!(done.is_ok(), "{object} {change}: {done:?}");
        }

        let mut refused = vec![
            (pod, r#"{"metadata":{"annotations":{"moorline.dev/services":"orders"}}}"#),
            (pod, r#"{"metadata":{"annotations":{"other":"x"}}}"#),
            (pod, r#"{"metadata":{"labels":{"app":null}}}"#),
            (pod, r#"{"metadata":{"labels":{"other":"x"}}}"#),
            (pod, r#"{"metadata":{"finalizers":["example.com/stay"]}}"#),
            (pod, r#"{"status":{"phase":"Failed"}}"#),
            ("deployment/orders", r#"{"spec":{"replicas":0}}"#),
            ("statefulset/state", r#"{"spec":{"replicas":0}}"#),
            ("daemonset/each", r#"{"spec":{"updateStrategy":{"type":"OnDelete"}}}"#),
            // Of somebody else's.
            ("configmap/theirs", r#"{"data":{"a":"b"}}"#),
            ("configmap/theirs", r#"{"metadata":{"labels":{"app.kubernetes.io/managed-by":"moorline"}}}"#),
            ("configmap/ours", r#"{"metadata":{"labels":{"app.kubernetes.io/managed-by":null}}}"#),
            ("service/orders", r#"{"spec":{"selector":{"app":"other"}}}"#),
        ];
        for object in ["deployment/orders", "statefulset/state", "daemonset/each"] {
            refused.extend(OF_WORKLOADS.map(|change| (object, change)));
        }
        for (object, change) in refused {
            let Err(said) = patch(&shop, object, change).await? else {
                anyhow::bail!("{object} {change}: is allowed");
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

//! Brings the sidecar to pods that lack it: looks at a pod and what owns it, has the core decide, and does that.
//!
//! The pod is read afresh, since the index may lag behind and a restart cannot be taken back. What was done lately to a
//! workload is remembered here and not in the cluster; a new leader begins with nothing, and what must happen at most
//! once is noted on the workload itself.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::Eviction;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{DeleteOptions, ObjectMeta, Preconditions};
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, ResourceExt as _};
use moorline_crds::document::ServiceId;
use moorline_crds::names;
use moorline_inject::{Asked, InjectSettings, Outcome, Request, Skip, inject, labels};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::time::Instant;

use super::error::ActError;
use super::events::Events;
use super::owner;
use crate::api::{is_not_found, is_throttled};
use crate::metrics::Metrics;
use crate::plan::{
    Injection, Lack, Owner, Repair, RepairCase, RepairDecision, RepairHistory, WorkloadRef, decide_repair,
    restart_patch,
};
use crate::store::Store;
use crate::view::RepairNote;

/// How long what was done is remembered.
const REMEMBERED_FOR: Duration = Duration::from_hours(1);
/// How long a pod is left alone that a disruption budget protects.
const BUDGET_AGAIN: Duration = Duration::from_secs(30);

/// Repairs pods.
#[derive(Debug)]
pub(super) struct Repairer {
    pub(super) store: Arc<Store>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) settings: Arc<InjectSettings>,
    pub(super) events: Arc<Events>,
    /// By the uid of the workload, or of the pod where there is none.
    history: Mutex<HashMap<String, (RepairHistory, Instant)>>,
}

impl Repairer {
    pub(super) fn new(
        store: Arc<Store>,
        metrics: Arc<Metrics>,
        settings: Arc<InjectSettings>,
        events: Arc<Events>,
    ) -> Self {
        Self { store, metrics, settings, events, history: Mutex::default() }
    }

    /// Does what one repair needs.
    pub(super) async fn repair(&self, client: &Client, service: &ServiceId, repair: &Repair) -> Result<(), ActError> {
        let namespace = service.namespace.as_str();
        let pods: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &pod_resource());
        let pod = match pods.get(&repair.pod).await {
            Ok(pod) => pod,
            Err(error) if is_not_found(&error) => return Ok(()),
            Err(source) => return Err(ActError::ReadPod { pod: repair.pod.clone(), source }),
        };
        if !still_lacks(&pod, service, repair) {
            return Ok(());
        }
        let found = owner::find(client, namespace, &pod, |controller| {
            self.store.read(|index| index.has_served(namespace, controller, &service.name, repair.lack))
        })
        .await
        .map_err(|source| ActError::ReadOwner { pod: repair.pod.clone(), source })?;
        let key = match &found.owner {
            Owner::Workload(facts) => facts.workload.uid.clone(),
            Owner::Other { .. } | Owner::Nobody if found.controller.is_empty() => repair.uid.clone(),
            Owner::Other { .. } | Owner::Nobody => found.controller.clone(),
        };
        let injection = self.injection(namespace, &pod, repair.lack);
        let history = self.recall(&key);
        let now = Timestamp::now();
        let decision = decide_repair(&RepairCase {
            now,
            service,
            repair,
            pod_created: pod.metadata.creation_timestamp.as_ref().map(|time| time.0),
            owner: &found.owner,
            injection: &injection,
            history: &history,
        });
        let is_done = self.carry_out(client, service, repair, &found.owner, &decision).await?;
        let note = if is_done {
            self.remember(key, &decision, now);
            decision.note().clone()
        } else {
            let again = now.checked_add(BUDGET_AGAIN).unwrap_or(Timestamp::MAX);
            RepairNote {
                again,
                needs_hand: false,
                message: "a PodDisruptionBudget does not allow to evict it".to_owned(),
            }
        };
        self.store.update(|index| index.put_repair(service, &repair.uid, &note));
        Ok(())
    }

    /// False when a disruption budget is against it.
    async fn carry_out(
        &self,
        client: &Client,
        service: &ServiceId,
        repair: &Repair,
        owner: &Owner,
        decision: &RepairDecision,
    ) -> Result<bool, ActError> {
        let event = match (decision, owner) {
            (RepairDecision::Restart { template_hash, event, .. }, Owner::Workload(facts)) => {
                self.restart(client, service, &facts.workload, template_hash).await?;
                event
            }
            (RepairDecision::Evict { event, .. }, _) => {
                if !self.evict(client, service, repair).await? {
                    return Ok(false);
                }
                event
            }
            (RepairDecision::Event { event, .. }, _) => event,
            (RepairDecision::Restart { .. } | RepairDecision::Wait { .. }, _) => return Ok(true),
        };
        self.events.publish(client, &self.metrics, &service.namespace, event).await;
        Ok(true)
    }

    async fn restart(
        &self,
        client: &Client,
        service: &ServiceId,
        workload: &WorkloadRef,
        template_hash: &str,
    ) -> Result<(), ActError> {
        let namespace = service.namespace.as_str();
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &owner::resource(workload.kind));
        let params = PatchParams { field_manager: Some(names::ROLLOUT_MANAGER.to_owned()), ..PatchParams::default() };
        let patch = restart_patch(template_hash, Timestamp::now());
        let title = format!("{} {}", workload.kind.as_str(), workload.name);
        if let Err(source) = api.patch(&workload.name, &params, &Patch::Merge(&patch)).await {
            self.metrics.restarted("error");
            return Err(ActError::Restart { workload: title, source });
        }
        tracing::info!(%namespace, workload = %title, %service, "restarted, so that its pods get the sidecar");
        self.metrics.restarted("ok");
        Ok(())
    }

    /// False when a disruption budget is against it.
    async fn evict(&self, client: &Client, service: &ServiceId, repair: &Repair) -> Result<bool, ActError> {
        let namespace = service.namespace.as_str();
        let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
        // By hand: kube's `evict` misspells the field of the options, and the server passes over what it does not know.
        let only = Preconditions { uid: Some(repair.uid.clone()), resource_version: None };
        let eviction = Eviction {
            metadata: ObjectMeta { name: Some(repair.pod.clone()), ..ObjectMeta::default() },
            delete_options: Some(DeleteOptions { preconditions: Some(only), ..DeleteOptions::default() }),
        };
        let sent = PostParams::default();
        match pods.create_subresource::<_, Value>("eviction", &repair.pod, &sent, &eviction).await {
            Ok(_) => {}
            Err(error) if is_not_found(&error) => return Ok(true),
            Err(error) if is_throttled(&error) => {
                self.metrics.evicted("budget");
                return Ok(false);
            }
            Err(source) => {
                self.metrics.evicted("error");
                return Err(ActError::Evict { pod: repair.pod.clone(), source });
            }
        }
        tracing::info!(%namespace, pod = %repair.pod, %service, "evicted, so that the pod in its place gets the sidecar");
        self.metrics.evicted("ok");
        Ok(true)
    }

    /// Whether a pod like this one would get the sidecar if it were made now.
    fn injection(&self, namespace: &str, pod: &DynamicObject, lack: Lack) -> Injection {
        let Ok(manifest) = serde_json::to_value(pod) else { return Injection::Succeeds };
        let labels = labels(&manifest);
        let is_asked = labels.get(names::INJECT_LABEL).map(String::as_str) == Some(names::ENABLED);
        let request = Request {
            asked: if is_asked { Asked::Pod } else { Asked::Namespace },
            namespace: namespace.to_owned(),
            services: self.store.routed(namespace, &labels),
        };
        match inject(&manifest, &request, &self.settings) {
            Outcome::Skipped { reason: Skip::Disabled, .. } => Injection::OptedOut,
            // It has the sidecar of another day; the next one will have today's.
            Outcome::Skipped { reason, .. } if lack == Lack::Source && reason.is_expected() => Injection::Succeeds,
            Outcome::Skipped { reason, message, .. } => {
                Injection::Skipped { reason: reason.name().to_owned(), message }
            }
            Outcome::Injected { .. } | Outcome::Unchanged => Injection::Succeeds,
        }
    }

    fn recall(&self, key: &str) -> RepairHistory {
        let mut history = self.history.lock();
        history.retain(|_, (_, at)| at.elapsed() < REMEMBERED_FOR);
        history.get(key).map(|(history, _)| history.clone()).unwrap_or_default()
    }

    fn remember(&self, key: String, decision: &RepairDecision, now: Timestamp) {
        let mut history = self.history.lock();
        let entry = history.entry(key).or_insert_with(|| (RepairHistory::default(), Instant::now()));
        entry.0.remember(decision, now);
        entry.1 = Instant::now();
    }
}

fn still_lacks(pod: &DynamicObject, service: &ServiceId, repair: &Repair) -> bool {
    if pod.metadata.uid.as_deref() != Some(repair.uid.as_str()) || pod.metadata.deletion_timestamp.is_some() {
        return false;
    }
    let phase = pod.data.pointer("/status/phase").and_then(Value::as_str);
    if matches!(phase, Some("Succeeded" | "Failed")) {
        return false;
    }
    match repair.lack {
        Lack::Sidecar => pod.labels().get(names::INJECTED_LABEL).map(String::as_str) != Some(names::INJECTED),
        Lack::Source => {
            let mounted = pod.annotations().get(names::SERVICES_ANNOTATION).map(String::as_str).unwrap_or_default();
            !mounted.split(',').any(|name| name == service.name)
        }
    }
}

fn pod_resource() -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("", "v1", "Pod"), "pods")
}

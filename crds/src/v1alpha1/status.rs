//! What the operator tells of a route.
//!
//! Conditions carry the generation they are about, so that a reader can tell "done" from "not looked at yet".
//! Nothing here changes with traffic: a status that did would be written, stored and sent to every watcher all day.
//! Connections are a metric.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// What the operator tells of a route.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct WebSocketRouteStatus {
    /// The generation of the spec that the rest of the status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// Accepted: the route is valid and no older route has its host and path. ResolvedRefs: the Service and its
    /// port exist. Programmed: every sidecar behind the Service serves this generation. Exposed, only with
    /// `spec.expose`: the Ingress or HTTPRoute is in place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,

    /// The sidecars behind the Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sidecars: Option<SidecarCounts>,

    /// Where clients connect, as `ws://orders-ws.shop.svc/ws/{tenant}`, or below the first host of `spec.expose`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,

    /// The generation that is served while this one is refused. Absent when the newest one is served, and when none
    /// ever was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served_generation: Option<i64>,
}

/// Sidecars that serve a route.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SidecarCounts {
    /// Sidecars that serve this generation of the route.
    pub programmed: i32,
    /// Pods behind the Service that are not being deleted, with a sidecar or without one.
    pub total: i32,
    /// Pods whose sidecar is of another version than the operator's. They serve; the next rollout of their workload
    /// brings the new one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub outdated: i32,
    /// The first two as `3/3`, for the column of `kubectl get`.
    pub summary: String,
}

// serde hands over a reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(count: &i32) -> bool {
    *count == 0
}

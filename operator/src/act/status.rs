//! Writes the status of routes.
//!
//! Only what the plan says, which says only what differs. The answer goes into the index, so that the watch's echo of
//! it is no news.

use std::sync::Arc;

use jiff::Timestamp;
use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use moorline_crds::names;
use moorline_crds::v1alpha1::{self, WebSocketRoute};
use serde_json::json;

use super::error::ActError;
use crate::api::{is_conflict, is_not_found};
use crate::metrics::Metrics;
use crate::plan::StatusWrite;
use crate::reasons;
use crate::store::Store;
use crate::view::StatusWritten;

/// Writes the status of one route. False when the route is gone, or another one of this name.
pub(super) async fn write(
    store: &Store,
    client: &Client,
    metrics: &Arc<Metrics>,
    write: &StatusWrite,
) -> Result<bool, ActError> {
    let resource = ApiResource::from_gvk_with_plural(
        &GroupVersionKind::gvk(v1alpha1::GROUP, v1alpha1::VERSION, v1alpha1::KIND),
        "websocketroutes",
    );
    // Not the typed API: an answer with a field this version does not know is still an answer.
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &write.route.namespace, &resource);
    let body = json!({
        "apiVersion": format!("{}/{}", v1alpha1::GROUP, v1alpha1::VERSION),
        "kind": v1alpha1::KIND,
        // The uid makes it fail for another route of this name.
        "metadata": {"name": write.route.name, "uid": write.uid},
        "status": write.status,
    });
    let params = PatchParams::apply(names::STATUS_MANAGER).force();
    let answer = match api.patch_status(&write.route.name, &params, &Patch::Apply(&body)).await {
        Ok(answer) => answer,
        Err(error) if is_not_found(&error) || is_conflict(&error) => return Ok(false),
        Err(source) => return Err(ActError::WriteStatus { route: write.route.clone(), source }),
    };
    let route: Option<WebSocketRoute> = serde_json::to_value(answer).and_then(serde_json::from_value).ok();
    let appeared = store.update(|index| {
        if let Some(mut route) = route {
            route.metadata.managed_fields = None;
            route.metadata.annotations = None;
            index.put_route(route, None);
        }
        index.status_written(&write.route, StatusWritten { at: Timestamp::now(), is_churn: write.is_churn });
        programmed_generation(write).and_then(|generation| index.take_appeared(&write.route, generation))
    });
    if let Some(appeared) = appeared {
        metrics.programmed(appeared.elapsed());
    }
    Ok(true)
}

/// The generation that every sidecar serves, when this status says so.
fn programmed_generation(write: &StatusWrite) -> Option<i64> {
    let programmed = write.status.conditions.iter().find(|condition| condition.type_ == "Programmed")?;
    (programmed.reason == reasons::programmed::PROGRAMMED).then_some(programmed.observed_generation?)
}

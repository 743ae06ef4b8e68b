//! Applies and deletes children.
//!
//! Server-side apply with force: what we own in an object is put right, and what others add to it stays. Apply also
//! creates, and would silently take over an object of somebody else, so a child that no watch has shown is asked for by
//! its name first. What the server answers goes into the index at once: the next plan must not be made of an older world
//! than the one it changed.

use jiff::Timestamp;
use kube::Client;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, Preconditions};
use kube::core::{ApiResource, GroupVersionKind};
use moorline_crds::document::ServiceId;
use moorline_crds::names;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;

use super::error::ActError;
use crate::api::{is_conflict, is_not_found};
use crate::plan::is_ours;
use crate::store::Store;
use crate::store::index::{Document, Version, child_of};
use crate::store::objects;
use crate::view::{ChildKind, ChildRef};

/// What came of an apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Applied {
    /// It is done.
    Well,
    /// The place is taken by something that is not ours; the index knows.
    Taken,
}

/// Applies and deletes the children of one Service.
pub(super) struct Children<'a> {
    pub(super) store: &'a Store,
    pub(super) client: &'a Client,
    pub(super) service: &'a ServiceId,
}

impl Children<'_> {
    /// Applies one.
    pub(super) async fn apply(&self, child: &ChildRef, object: &Value) -> Result<Applied, ActError> {
        let known = self.store.read(|index| index.has_child(&self.service.namespace, child));
        if !known && self.is_taken(child).await? {
            return Ok(Applied::Taken);
        }
        let params = PatchParams::apply(names::CHILDREN_MANAGER).force();
        let applied = match self.api(child.kind).patch(&child.name, &params, &Patch::Apply(object)).await {
            Ok(applied) => applied,
            Err(source) => {
                if let Some(message) = refusal(&source) {
                    self.store.update(|index| {
                        index.refused(&self.service.namespace, &self.service.name, child, message);
                    });
                }
                return Err(ActError::ApplyChild { child: child.clone(), source });
            }
        };
        self.keep(child, applied);
        Ok(Applied::Well)
    }

    /// Deletes one. It is read before, so that one that is not ours any more stays.
    pub(super) async fn delete(&self, child: &ChildRef) -> Result<(), ActError> {
        let fail = |source| ActError::DeleteChild { child: child.clone(), source };
        let api = self.api(child.kind);
        let Some(found) = api.get_opt(&child.name).await.map_err(fail)? else { return Ok(()) };
        if !is_ours(found.metadata.labels.as_ref(), &self.service.name) {
            return Ok(());
        }
        let only = Preconditions { uid: found.metadata.uid, resource_version: found.metadata.resource_version };
        match api.delete(&child.name, &DeleteParams::default().preconditions(only)).await {
            Ok(_) => Ok(()),
            Err(error) if is_not_found(&error) => Ok(()),
            Err(source) => Err(fail(source)),
        }
    }

    /// Looks again at places that were taken before this time.
    pub(super) async fn look_again(&self, before: Instant) -> Result<(), ActError> {
        let (namespace, service) = (&self.service.namespace, &self.service.name);
        for child in self.store.read(|index| index.foreign_since(namespace, service, before)) {
            self.is_taken(&child).await?;
        }
        Ok(())
    }

    /// Whether something that is not ours has the name; the index knows then.
    async fn is_taken(&self, child: &ChildRef) -> Result<bool, ActError> {
        let found = self.api(child.kind).get_opt(&child.name).await;
        let found = found.map_err(|source| ActError::ReadChild { child: child.clone(), source })?;
        let is_taken = found.is_some_and(|found| !is_ours(found.metadata.labels.as_ref(), &self.service.name));
        self.store.update(|index| {
            index.found_foreign(&self.service.namespace, &self.service.name, child, is_taken);
        });
        Ok(is_taken)
    }

    fn api(&self, kind: ChildKind) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.service.namespace, &resource(kind))
    }

    fn keep(&self, child: &ChildRef, applied: DynamicObject) {
        let (namespace, service) = (&self.service.namespace, &self.service.name);
        let version = Version::parse(applied.metadata.resource_version.as_deref());
        let owner = child_of(&applied.metadata);
        let put_at = Some(Instant::now());
        match child.kind {
            ChildKind::ConfigMap => {
                if let Some(document) = typed(applied).as_ref().and_then(Document::read) {
                    self.store.update(|index| index.put_document(namespace, &child.name, document, put_at));
                }
            }
            ChildKind::Service => {
                if let Some(found) = typed::<objects::Service>(applied) {
                    self.store.update(|index| index.put_service(namespace, &child.name, found));
                }
            }
            ChildKind::Ingress | ChildKind::HttpRoute => {
                if let Some(owner) = owner {
                    self.store.update(|index| index.put_owned(namespace, child, owner, version));
                }
            }
        }
        self.store.update(|index| index.applied(namespace, service, child, Timestamp::now()));
    }
}

/// As a trimmed object. One that cannot be decoded is left to the watch, which says so.
fn typed<T: DeserializeOwned>(object: DynamicObject) -> Option<T> {
    serde_json::to_value(object).and_then(serde_json::from_value).ok()
}

/// The message of a server that refuses the object, and will refuse it again. A conflict, or a server that is busy, it
/// is not.
fn refusal(error: &kube::Error) -> Option<String> {
    match error {
        kube::Error::Api(status) if (400..500).contains(&status.code) && status.code != 429 && !is_conflict(error) => {
            Some(status.message.clone())
        }
        _ => None,
    }
}

pub(crate) fn resource(kind: ChildKind) -> ApiResource {
    let (group, version, plural) = match kind {
        ChildKind::ConfigMap => ("", "v1", "configmaps"),
        ChildKind::Service => ("", "v1", "services"),
        ChildKind::Ingress => ("networking.k8s.io", "v1", "ingresses"),
        ChildKind::HttpRoute => ("gateway.networking.k8s.io", "v1", "httproutes"),
    };
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind.as_str()), plural)
}

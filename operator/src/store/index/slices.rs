//! `EndpointSlices` in the index: only which pods are behind which Service.
//!
//! They are how pods without a sidecar are found: those carry no label of ours, and watching every pod of a cluster for
//! the few that should have been injected was rejected.

use std::collections::BTreeSet;

use super::{Index, Namespace, Reason, Slice, Version};
use crate::store::objects;

/// The label of a slice that names its Service.
const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";

impl Index {
    /// A slice as it is now.
    pub(crate) fn put_slice(&mut self, namespace: &str, name: &str, slice: objects::EndpointSlice) {
        let version = Version::parse(slice.metadata.resource_version.as_deref());
        let labels = slice.metadata.labels.unwrap_or_default();
        let Some(service) = labels.get(SERVICE_NAME_LABEL).cloned() else { return };
        let mut pods: Vec<(String, String)> = slice
            .endpoints
            .into_iter()
            .filter(|endpoint| endpoint.conditions.terminating != Some(true))
            .filter_map(|endpoint| endpoint.target_ref)
            .filter(|target| target.kind == "Pod")
            .map(|target| (target.name, target.uid))
            .collect();
        pods.sort();
        pods.dedup();
        pods.shrink_to_fit();
        let known = self.namespace(namespace);
        let old = known.slices.get(name);
        if old.is_some_and(|old| !version.replaces(old.version)) {
            return;
        }
        let is_changed = old.is_none_or(|old| old.pods != pods || old.service != service);
        if let Some(old) = known.slices.insert(name.to_owned(), Slice { service: service.clone(), version, pods })
            && old.service != service
        {
            known.unlink_slice(&old.service, name);
        }
        known.slices_of.entry(service.clone()).or_default().insert(name.to_owned());
        if is_changed {
            self.mark_if_tracked(namespace, &service, Reason::Pods);
        }
    }

    /// A slice that is gone.
    pub(crate) fn remove_slice(&mut self, namespace: &str, name: &str, version: Version) {
        let Some(known) = self.namespaces.get_mut(namespace) else { return };
        if known.slices.get(name).is_none_or(|slice| !version.deletes(slice.version)) {
            return;
        }
        let Some(old) = known.slices.remove(name) else { return };
        known.unlink_slice(&old.service, name);
        self.mark_if_tracked(namespace, &old.service, Reason::Pods);
    }

    /// The slices of one namespace, or of all.
    pub(crate) fn slice_names(&self, scope: Option<&str>) -> Vec<(String, String)> {
        self.scope(scope)
            .flat_map(|(namespace, known)| known.slices.keys().map(|name| (namespace.clone(), name.clone())))
            .collect()
    }
}

impl Namespace {
    /// Pods behind a Service that have no sidecar, and were not deleted just now.
    pub(super) fn bare_pods(&self, service: &str) -> Vec<(String, String)> {
        let slices = self.slices_of.get(service).into_iter().flatten().filter_map(|name| self.slices.get(name));
        let bare: BTreeSet<&(String, String)> = slices
            .flat_map(|slice| &slice.pods)
            .filter(|(name, uid)| self.pods.get(name).is_none_or(|pod| pod.facts.uid != *uid))
            .filter(|(_, uid)| !self.deleted.contains(uid))
            .collect();
        bare.into_iter().cloned().collect()
    }

    fn unlink_slice(&mut self, service: &str, name: &str) {
        if let Some(slices) = self.slices_of.get_mut(service) {
            slices.remove(name);
            if slices.is_empty() {
                self.slices_of.remove(service);
            }
        }
    }
}

//! Children in the index: objects of ours, and what is in the place of one.
//!
//! Services are watched all and the documents have a place of their own; this is for the rest. Objects of ours are
//! watched by their label, so an object without it is not seen: before the first apply its name is asked for, and what
//! is found there is remembered here until it is asked for again.

use std::collections::BTreeMap;

use jiff::Timestamp;
use moorline_crds::names::Child;
use tokio::time::Instant;

use super::{Index, Namespace, Reason, Version};
use crate::view::{ChildFacts, ChildKind, ChildRef};

/// What is known of a child beside what its watch brings.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Something else was found at the name, at this time; its watch does not show it.
    foreign: Option<Instant>,
    /// When we applied it last.
    applied: Option<Timestamp>,
    /// Why the API server refused to.
    error: Option<String>,
}

/// An Ingress or `HTTPRoute` of ours.
#[derive(Debug)]
pub(super) struct Owned {
    service: String,
    digest: Option<String>,
    version: Version,
}

impl Index {
    /// An Ingress or `HTTPRoute` of ours as it is now.
    pub(crate) fn put_owned(
        &mut self,
        namespace: &str,
        child: &ChildRef,
        (service, digest): (String, Option<String>),
        version: Version,
    ) {
        let known = self.namespace(namespace);
        let old = known.owned.get(child);
        if old.is_some_and(|old| !version.replaces(old.version)) {
            return;
        }
        let was = old.map(|old| (old.service.clone(), old.digest.clone()));
        known.owned.insert(child.clone(), Owned { service: service.clone(), digest: digest.clone(), version });
        self.child_changed(namespace, child, was.as_ref(), Some(&(service, digest)), true);
    }

    /// One that is gone.
    pub(crate) fn remove_owned(&mut self, namespace: &str, child: &ChildRef) {
        let Some(old) = self.namespaces.get_mut(namespace).and_then(|known| known.owned.remove(child)) else { return };
        self.child_changed(namespace, child, Some(&(old.service, old.digest)), None, true);
    }

    /// Those of this kind in one namespace, or in all.
    pub(crate) fn owned_names(&self, scope: Option<&str>, kind: ChildKind) -> Vec<(String, String)> {
        self.scope(scope)
            .flat_map(|(namespace, known)| {
                let of_kind = known.owned.keys().filter(move |child| child.kind == kind);
                of_kind.map(|child| (namespace.clone(), child.name.clone()))
            })
            .collect()
    }

    /// Whether an object of ours is known to be there.
    pub(crate) fn has_child(&self, namespace: &str, child: &ChildRef) -> bool {
        self.namespaces.get(namespace).is_some_and(|known| match child.kind {
            ChildKind::ConfigMap => known.documents.contains_key(&child.name),
            ChildKind::Service => known.services.get(&child.name).is_some_and(|found| found.child_of.is_some()),
            ChildKind::Ingress | ChildKind::HttpRoute => known.owned.contains_key(child),
        })
    }

    /// Something else was found at the name of a child, or is not there any more.
    pub(crate) fn found_foreign(&mut self, namespace: &str, service: &str, child: &ChildRef, is_there: bool) {
        let notes = self.notes(namespace, service, child);
        let was_there =
            notes.is_some_and(|notes| std::mem::replace(&mut notes.foreign, is_there.then(Instant::now)).is_some());
        if was_there != is_there {
            self.mark_if_tracked(namespace, service, Reason::Child);
        }
    }

    /// Children whose place was found taken before this time.
    pub(crate) fn foreign_since(&self, namespace: &str, service: &str, before: Instant) -> Vec<ChildRef> {
        let tracked = self.namespaces.get(namespace).and_then(|known| known.tracked.get(service));
        let notes = tracked.into_iter().flat_map(|tracked| &tracked.notes);
        notes
            .filter(|(_, notes)| notes.foreign.is_some_and(|since| since < before))
            .map(|(child, _)| child.clone())
            .collect()
    }

    /// A child was applied.
    pub(crate) fn applied(&mut self, namespace: &str, service: &str, child: &ChildRef, at: Timestamp) {
        if let Some(notes) = self.notes(namespace, service, child) {
            *notes = Notes { applied: Some(at), ..Notes::default() };
        }
    }

    /// The API server refused to apply a child.
    pub(crate) fn refused(&mut self, namespace: &str, service: &str, child: &ChildRef, error: String) {
        let Some(notes) = self.notes(namespace, service, child) else { return };
        if notes.error.as_ref() != Some(&error) {
            notes.error = Some(error);
            self.mark(namespace, service, Reason::Child);
        }
    }

    fn notes(&mut self, namespace: &str, service: &str, child: &ChildRef) -> Option<&mut Notes> {
        let tracked = self.namespaces.get_mut(namespace)?.tracked.get_mut(service)?;
        Some(tracked.notes.entry(child.clone()).or_default())
    }

    /// An object that is, or was, a child of a Service.
    pub(super) fn child_changed(
        &mut self,
        namespace: &str,
        child: &ChildRef,
        was: Option<&(String, Option<String>)>,
        is: Option<&(String, Option<String>)>,
        is_news: bool,
    ) {
        if let Some((owner, _)) = was
            && is.is_none_or(|(new, _)| new != owner)
        {
            self.mark_if_tracked(namespace, owner, Reason::Child);
            self.untrack(namespace, owner, |tracked| {
                tracked.children.remove(child);
            });
        }
        if let Some((owner, _)) = is {
            self.track(namespace, owner, |tracked| {
                tracked.children.insert(child.clone());
            });
            if is_news || was != is {
                self.mark(namespace, owner, Reason::Child);
            }
        }
    }
}

impl Namespace {
    /// What has the names of a Service's children, and every other object that is labelled as one.
    pub(super) fn children(&self, service: &str) -> BTreeMap<ChildRef, ChildFacts> {
        let mut children = BTreeMap::new();
        // Services are all known, so one in the place of a child is seen also when it is not ours.
        for role in [Child::WebSocket, Child::Peers] {
            let child = ChildRef { kind: ChildKind::Service, name: role.name(service) };
            if self.services.contains_key(&child.name) {
                children.insert(child, ChildFacts::Foreign);
            }
        }
        let Some(tracked) = self.tracked.get(service) else { return children };
        for (child, notes) in &tracked.notes {
            if notes.foreign.is_some() {
                children.insert(child.clone(), ChildFacts::Foreign);
            }
        }
        for child in &tracked.children {
            let (digest, found) = match child.kind {
                ChildKind::ConfigMap => (self.documents.get(&child.name).and_then(|found| found.digest.clone()), None),
                ChildKind::Service => {
                    let found = self.services.get(&child.name);
                    let digest = found.and_then(|found| found.child_of.as_ref()).and_then(|(_, digest)| digest.clone());
                    (digest, found.map(|found| found.facts.clone()))
                }
                ChildKind::Ingress | ChildKind::HttpRoute => {
                    (self.owned.get(child).and_then(|found| found.digest.clone()), None)
                }
            };
            let applied = tracked.notes.get(child).and_then(|notes| notes.applied);
            children.insert(child.clone(), ChildFacts::Ours { digest, found, applied });
        }
        children
    }

    /// Why children were refused.
    pub(super) fn apply_errors(&self, service: &str) -> BTreeMap<ChildRef, String> {
        let notes = self.tracked.get(service).into_iter().flat_map(|tracked| &tracked.notes);
        notes.filter_map(|(child, notes)| Some((child.clone(), notes.error.clone()?))).collect()
    }
}

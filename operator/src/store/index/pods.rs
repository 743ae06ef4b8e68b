//! Pods with a sidecar in the index.

use std::collections::BTreeSet;

use moorline_crds::names;

use super::{Index, Pod, PodKey, Reason, Version, selects};
use crate::plan::Lack;
use crate::store::objects;
use crate::view::PodFacts;

/// Annotations that the operator or the injector writes, which the plan reads elsewhere or not at all.
const WRITTEN: [&str; 3] = [names::SIDECAR_VERSION_ANNOTATION, names::SERVICES_ANNOTATION, names::DOCUMENTS_ANNOTATION];

impl Index {
    /// A pod as it is now. One that has ended serves nothing and is as good as gone.
    pub(crate) fn put_pod(&mut self, namespace: &str, name: &str, pod: objects::Pod) {
        let version = Version::parse(pod.metadata.resource_version.as_deref());
        if matches!(pod.status.phase.as_deref(), Some("Succeeded" | "Failed")) {
            self.remove_pod(namespace, name, version);
            return;
        }
        let labels = pod.metadata.labels.clone().unwrap_or_default();
        let announced = annotation(&pod, names::DOCUMENTS_ANNOTATION);
        let sidecar = pod.status.init_container_statuses.iter().find(|status| status.name == names::CONTAINER);
        let restarts = sidecar.map_or(0, |status| status.restart_count);
        let controller = pod.metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true));
        let controller = controller.map(|owner| owner.uid.clone()).unwrap_or_default();
        let mut facts = facts(name, pod);

        let known = self.namespace(namespace);
        let old = known.pods.get(name);
        if old.is_some_and(|old| !version.replaces(old.version)) {
            return;
        }
        let old_of_it = old.filter(|old| old.facts.uid == facts.uid);
        let mut reported = old_of_it.and_then(|old| old.reported.clone());
        facts.is_advised = old_of_it.is_some_and(|old| old.facts.is_advised);
        let nudged = old_of_it.map(|old| old.nudged.clone()).unwrap_or_default();
        let is_other = old_of_it.is_none_or(|old| !is_same(&old.facts, &facts) || old.restarts != restarts);
        let is_asked_anew = old_of_it.is_none_or(|old| {
            old.facts.ip != facts.ip || old.facts.is_started != facts.is_started || old.restarts != restarts
        });
        if is_asked_anew {
            // What it said before it restarted says nothing about now.
            reported = None;
        }
        let labels_changed = old.is_none_or(|old| old.labels != labels);
        let before = old.map(|old| old.selected_by.clone()).unwrap_or_default();
        let selected_by: BTreeSet<String> = if labels_changed {
            let services = known
                .tracked
                .keys()
                .filter(|service| known.services.get(*service).is_some_and(|service| selects(&service.facts, &labels)));
            services.cloned().collect()
        } else {
            before.clone()
        };
        for service in before.difference(&selected_by) {
            if let Some(tracked) = known.tracked.get_mut(service) {
                tracked.pods.remove(name);
            }
        }
        for service in selected_by.difference(&before) {
            if let Some(tracked) = known.tracked.get_mut(service) {
                tracked.pods.insert(name.to_owned());
            }
        }
        let concerned: Vec<String> = before.union(&selected_by).cloned().collect();
        known.pods.insert(
            name.to_owned(),
            Pod { facts, labels, version, restarts, controller, announced, selected_by, reported, nudged },
        );
        if is_other || labels_changed {
            for service in concerned {
                self.mark(namespace, &service, Reason::Pods);
            }
            self.ask(namespace, name);
        }
    }

    /// A pod that is gone.
    pub(crate) fn remove_pod(&mut self, namespace: &str, name: &str, version: Version) {
        let Some(known) = self.namespaces.get_mut(namespace) else { return };
        if known.pods.get(name).is_none_or(|pod| !version.deletes(pod.version)) {
            return;
        }
        let Some(old) = known.pods.remove(name) else { return };
        known.deleted.insert(old.facts.uid);
        for service in &old.selected_by {
            if let Some(tracked) = known.tracked.get_mut(service) {
                tracked.pods.remove(name);
            }
        }
        for service in old.selected_by {
            self.mark(namespace, &service, Reason::Pods);
        }
        self.ask(namespace, name);
    }

    /// What there is to say about the annotations of a pod was said.
    pub(crate) fn advised(&mut self, key: &PodKey, uid: &str) {
        let pod = self.namespaces.get_mut(&key.namespace).and_then(|known| known.pods.get_mut(&key.name));
        if let Some(pod) = pod.filter(|pod| pod.facts.uid == uid) {
            pod.facts.is_advised = true;
        }
    }

    /// The pods of one namespace, or of all.
    pub(crate) fn pod_names(&self, scope: Option<&str>) -> Vec<(String, String)> {
        self.scope(scope)
            .flat_map(|(namespace, known)| known.pods.keys().map(|name| (namespace.clone(), name.clone())))
            .collect()
    }

    /// Every pod.
    pub(crate) fn pod_keys(&self) -> Vec<PodKey> {
        let all = self.namespaces.iter();
        all.flat_map(|(namespace, known)| {
            known.pods.keys().map(|name| PodKey { namespace: namespace.clone(), name: name.clone() })
        })
        .collect()
    }

    /// Whether a pod of this controller has what another one of it lacks: then the next one will have it, too.
    pub(crate) fn has_served(&self, namespace: &str, controller: &str, service: &str, lack: Lack) -> bool {
        let Some(known) = self.namespaces.get(namespace) else { return false };
        let pods = known.tracked.get(service).into_iter().flat_map(|tracked| &tracked.pods);
        pods.filter_map(|pod| known.pods.get(pod)).any(|pod| {
            pod.controller == controller
                && (lack == Lack::Sidecar || pod.facts.services.iter().any(|mounted| mounted == service))
        })
    }

    /// The version of every sidecar, for the metrics.
    pub(crate) fn sidecar_versions(&self) -> impl Iterator<Item = &str> {
        self.namespaces.values().flat_map(|known| known.pods.values().map(|pod| pod.facts.sidecar_version.as_str()))
    }
}

fn annotation(pod: &objects::Pod, name: &str) -> String {
    pod.metadata.annotations.as_ref().and_then(|annotations| annotations.get(name)).cloned().unwrap_or_default()
}

fn facts(name: &str, pod: objects::Pod) -> PodFacts {
    let services = annotation(&pod, names::SERVICES_ANNOTATION);
    let sidecar_version = annotation(&pod, names::SIDECAR_VERSION_ANNOTATION);
    let annotations = pod.metadata.annotations.unwrap_or_default().into_iter();
    PodFacts {
        name: name.to_owned(),
        uid: pod.metadata.uid.unwrap_or_default(),
        ip: pod.status.pod_ip.filter(|ip| !ip.is_empty()),
        is_terminating: pod.metadata.deletion_timestamp.is_some(),
        is_started: pod
            .status
            .init_container_statuses
            .iter()
            .any(|status| status.name == names::CONTAINER && status.started == Some(true)),
        sidecar_version,
        services: services.split(',').filter(|service| !service.is_empty()).map(str::to_owned).collect(),
        annotations: annotations
            .filter(|(name, _)| !WRITTEN.contains(&name.as_str()))
            .filter_map(|(name, value)| Some((name.strip_prefix(names::PREFIX)?.to_owned(), value)))
            .collect(),
        created: pod.metadata.creation_timestamp.map(|time| time.0),
        is_advised: false,
        report: None,
        nudged: None,
        repair: None,
    }
}

fn is_same(a: &PodFacts, b: &PodFacts) -> bool {
    a.uid == b.uid
        && a.ip == b.ip
        && a.is_terminating == b.is_terminating
        && a.is_started == b.is_started
        && a.sidecar_version == b.sidecar_version
        && a.services == b.services
        && a.annotations == b.annotations
}

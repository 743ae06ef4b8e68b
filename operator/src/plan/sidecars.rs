//! What the pods behind the Service serve, counted once for all of its routes.
//!
//! Grouped by the document they report: sidecars that serve the same document serve the same routes, so that a thousand
//! routes over five hundred pods are two or three groups and not half a million comparisons.
//!
//! A sidecar is believed as long as it answered lately; one that missed a question or two is not lost yet.

use std::collections::BTreeMap;

use moorline_crds::document::{RouteId, ServiceId};

use super::document::has_source;
use crate::view::{PodFacts, Refused, RepairNote, Report, ReportedService, ServiceView};

/// How often in a row a sidecar may not answer before it counts as unreachable.
pub(super) const LOST_AFTER: u32 = 3;

/// A pod that cannot serve the Service before it is replaced.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unfit<'a> {
    pub(super) name: &'a str,
    pub(super) uid: &'a str,
    pub(super) note: Option<&'a RepairNote>,
}

/// The pods behind the Service. Those that are being deleted are none of them.
#[derive(Debug, Default)]
pub(super) struct Sidecars<'a> {
    /// Pods, with a sidecar or without one.
    pub(super) total: usize,
    /// Pods whose sidecar is not of the operator's version.
    pub(super) outdated: usize,
    /// Pods without the sidecar.
    pub(super) bare: Vec<Unfit<'a>>,
    /// Pods whose sidecar does not mount the document of the Service.
    pub(super) lacking: Vec<Unfit<'a>>,
    /// Sidecars that refuse the stored document.
    pub(super) refusing: Vec<(&'a PodFacts, &'a Refused)>,
    /// Sidecars that did not answer lately.
    pub(super) unreachable: Vec<&'a str>,
    /// Pods whose sidecar has not started.
    pub(super) starting: Vec<&'a str>,
    /// Sidecars that answered, and serve something older.
    pub(super) behind: Vec<&'a str>,
    /// Whether there are sidecars that were not asked yet, or not often enough to call them unreachable.
    pub(super) has_unasked: bool,
    groups: BTreeMap<&'a str, Group<'a>>,
}

/// Sidecars that serve the same document.
#[derive(Debug)]
struct Group<'a> {
    pods: usize,
    routes: BTreeMap<&'a str, i64>,
}

impl<'a> Sidecars<'a> {
    /// Counts; `hash` is that of the document that should be served.
    pub(super) fn of(view: &'a ServiceView, hash: &str) -> Self {
        let mut pods: Vec<&PodFacts> = view.pods.iter().filter(|pod| !pod.is_terminating).collect();
        pods.sort_by(|a, b| a.name.cmp(&b.name));
        let mut sidecars = Self { total: pods.len() + view.bare_pods.len(), ..Self::default() };
        for pod in pods {
            sidecars.add(view, pod, hash);
        }
        let bare = view.bare_pods.iter();
        sidecars.bare = bare.map(|pod| Unfit { name: &pod.name, uid: &pod.uid, note: pod.repair.as_ref() }).collect();
        sidecars.bare.sort_by_key(|pod| pod.name);
        sidecars
    }

    /// How many serve this generation of a route. `is_newest` is whether the document that should be served has it.
    pub(super) fn serving(&self, route: &RouteId, generation: i64, hash: &str, is_newest: bool) -> usize {
        self.groups
            .iter()
            .filter(|(served, group)| {
                (is_newest && **served == hash) || group.routes.get(route.name.as_str()) == Some(&generation)
            })
            .map(|(_, group)| group.pods)
            .sum()
    }

    fn add(&mut self, view: &'a ServiceView, pod: &'a PodFacts, hash: &str) {
        if pod.sidecar_version != view.settings.sidecar_version {
            self.outdated += 1;
        }
        if !has_source(view, pod) {
            self.lacking.push(Unfit { name: &pod.name, uid: &pod.uid, note: pod.repair.as_ref() });
            return;
        }
        if !pod.is_started || pod.ip.is_none() {
            self.starting.push(&pod.name);
            return;
        }
        let failures = pod.report.as_ref().map_or(0, |reported| reported.failures);
        let report = pod.report.as_ref().and_then(|reported| reported.report.as_deref());
        if failures >= LOST_AFTER {
            self.unreachable.push(&pod.name);
            return;
        }
        let Some(report) = report else {
            self.has_unasked = true;
            return;
        };
        let found = served(report, &view.id);
        let refused = found.and_then(|found| found.refused.as_ref());
        let served_hash = found.and_then(|found| found.hash.as_deref());
        if let Some(refused) = refused.filter(|_| served_hash != Some(hash)) {
            self.refusing.push((pod, refused));
        } else if served_hash != Some(hash) {
            self.behind.push(&pod.name);
        }
        if let Some(found) = found {
            let group = self.groups.entry(served_hash.unwrap_or_default()).or_insert_with(|| Group {
                pods: 0,
                routes: found.routes.iter().map(|route| (route.name.as_str(), route.generation)).collect(),
            });
            group.pods += 1;
        }
    }
}

/// What a sidecar says of one Service.
pub(super) fn served<'a>(report: &'a Report, id: &ServiceId) -> Option<&'a ReportedService> {
    report.services.iter().find(|service| service.namespace == id.namespace && service.name == id.name)
}

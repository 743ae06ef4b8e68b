//! What sidecars said, and what they are still to be told.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use moorline_crds::names;

use super::{Index, Namespace, Pod, PodKey, Reason};
use crate::view::{Nudged, Report, Reported};

/// How many failures in a row are news, each of them. The plan judges by them; later ones change nothing.
const NEWS_UP_TO: u32 = 5;

/// A pod that is to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AskTarget {
    pub(crate) uid: String,
    pub(crate) ip: String,
    /// Whether it is known to serve what it should.
    pub(crate) is_behind: bool,
}

/// What came of asking.
#[derive(Debug)]
pub(crate) enum Answer {
    /// It answered.
    Report(Report),
    /// It did not.
    Unreachable,
}

/// What is known of a pod that was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It serves what it should.
    Well,
    /// It serves something else, or is not known to serve anything.
    Behind,
    /// It did not answer.
    Silent,
}

/// What a pod is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Nudge {
    pub(crate) uid: String,
    /// The value of the annotation.
    pub(crate) value: String,
    /// The hashes in it, by Service.
    pub(crate) hashes: BTreeMap<String, String>,
}

impl Index {
    /// How to ask a pod; none when it is not to be asked.
    pub(crate) fn ask_target(&self, key: &PodKey) -> Option<AskTarget> {
        let known = self.namespaces.get(&key.namespace)?;
        let pod = known.pods.get(&key.name)?;
        // A terminating one still serves its sockets, but nothing waits for what it says.
        if !pod.facts.is_started || pod.facts.is_terminating || pod.selected_by.is_empty() {
            return None;
        }
        let ip = pod.facts.ip.clone()?;
        Some(AskTarget { uid: pod.facts.uid.clone(), ip, is_behind: known.is_behind(pod) })
    }

    /// What came of asking. None when it is another pod by now.
    pub(crate) fn put_answer(&mut self, key: &PodKey, uid: &str, answer: Answer, at: Timestamp) -> Option<Standing> {
        let known = self.namespaces.get_mut(&key.namespace)?;
        let pod = known.pods.get_mut(&key.name).filter(|pod| pod.facts.uid == uid)?;
        let before = pod.reported.take();
        let reported = match answer {
            Answer::Report(report) => Reported { at, report: Some(Arc::new(report)), failures: 0 },
            Answer::Unreachable => {
                let failures = before.as_ref().map_or(0, |before| before.failures).saturating_add(1);
                Reported { at, report: before.as_ref().and_then(|before| before.report.clone()), failures }
            }
        };
        let is_news = is_news(before.as_ref(), &reported);
        let is_silent = reported.failures > 0;
        pod.reported = Some(reported);
        let services: Vec<String> = pod.selected_by.iter().cloned().collect();
        let is_behind = known.pods.get(&key.name).is_some_and(|pod| known.is_behind(pod));
        let standing = match (is_silent, is_behind) {
            (true, _) => Standing::Silent,
            (false, true) => Standing::Behind,
            (false, false) => Standing::Well,
        };
        if is_news {
            for service in services {
                self.mark(&key.namespace, &service, Reason::Report);
            }
        }
        Some(standing)
    }

    /// What to tell a pod, and none when it is up to date or gone.
    pub(crate) fn nudge(&self, key: &PodKey) -> Option<Nudge> {
        let known = self.namespaces.get(&key.namespace)?;
        let pod = known.pods.get(&key.name)?;
        if !known.is_behind(pod) {
            return None;
        }
        let hashes: BTreeMap<String, String> =
            known.expected(pod).map(|(service, hash)| (service.to_owned(), hash.to_owned())).collect();
        let text = names::documents_annotation(hashes.iter().map(|(service, hash)| (service.as_str(), hash.as_str())));
        Some(Nudge { uid: pod.facts.uid.clone(), value: next_value(&text, &pod.announced), hashes })
    }

    /// A pod was told.
    pub(crate) fn nudged(&mut self, key: &PodKey, nudge: Nudge, at: Timestamp) {
        let Some(known) = self.namespaces.get_mut(&key.namespace) else { return };
        let Some(pod) = known.pods.get_mut(&key.name).filter(|pod| pod.facts.uid == nudge.uid) else { return };
        pod.announced = nudge.value;
        for (service, hash) in nudge.hashes {
            let attempts = match pod.nudged.get(&service) {
                Some(before) if before.hash == hash => before.attempts.saturating_add(1),
                _ => 1,
            };
            pod.nudged.insert(service, Nudged { hash, attempts, at });
        }
    }
}

impl Namespace {
    /// The documents a pod should serve: those that it mounts and that are there.
    fn expected<'a>(&'a self, pod: &'a Pod) -> impl Iterator<Item = (&'a str, &'a str)> {
        pod.facts.services.iter().filter_map(|service| {
            let document = self.documents.get(&names::Child::Document.name(service))?;
            (!document.live.hash.is_empty()).then_some((service.as_str(), document.live.hash.as_str()))
        })
    }

    /// Whether a pod is not known to serve all of them.
    fn is_behind(&self, pod: &Pod) -> bool {
        let report = pod.reported.as_ref().and_then(|reported| reported.report.as_deref());
        self.expected(pod).any(|(service, hash)| {
            let served = report.and_then(|report| report.services.iter().find(|served| served.name == service));
            served.and_then(|served| served.hash.as_deref()) != Some(hash)
        })
    }
}

/// Whether the plan reads anything that differs. The number of connections it does not.
fn is_news(before: Option<&Reported>, after: &Reported) -> bool {
    let Some(before) = before else { return true };
    if before.failures != after.failures && before.failures.min(after.failures) < NEWS_UP_TO {
        return true;
    }
    match (&before.report, &after.report) {
        (Some(before), Some(after)) => {
            before.version != after.version
                || before.draining != after.draining
                || before.services.len() != after.services.len()
                || before.services.iter().zip(&after.services).any(|(before, after)| {
                    before.namespace != after.namespace
                        || before.name != after.name
                        || before.hash != after.hash
                        || before.routes != after.routes
                        || before.refused != after.refused
                })
        }
        (before, after) => before.is_some() != after.is_some(),
    }
}

/// The value to write so that it differs from what is there: a patch that changes nothing reaches no kubelet.
fn next_value(text: &str, announced: &str) -> String {
    let (same, attempt) = match announced.split_once(';') {
        Some((base, attempt)) => (base == text, attempt.parse().unwrap_or(1u32)),
        None => (announced == text, 1),
    };
    if same { format!("{text};{}", attempt.saturating_add(1)) } else { text.to_owned() }
}

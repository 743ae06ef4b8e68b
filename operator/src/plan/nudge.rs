//! Which kubelets to make look at their volumes.
//!
//! A kubelet reads a changed ConfigMap about a minute later, and at once when the pod changes. So a pod that serves an
//! older document is touched, again and again but ever more slowly: a nudge may come before the kubelet has seen the
//! ConfigMap. Only once the document is known to be stored, for the same reason.

use std::time::Duration;

use super::Nudge;
use super::document::has_source;
use super::sidecars::{LOST_AFTER, served};
use super::wait::{Clock, after};
use crate::view::{PodFacts, ServiceView};

/// How long to wait after the first nudge, after the second and so on.
const PAUSES: [Duration; 4] =
    [Duration::from_secs(2), Duration::from_secs(5), Duration::from_secs(10), Duration::from_secs(30)];

/// The pods to nudge now.
pub(super) fn plan(view: &ServiceView, hash: &str, clock: &mut Clock) -> Vec<Nudge> {
    let mut pods: Vec<&PodFacts> = view.pods.iter().filter(|pod| is_in_reach(view, pod)).collect();
    pods.sort_by(|a, b| (&a.name, &a.uid).cmp(&(&b.name, &b.uid)));
    pods.into_iter().filter_map(|pod| nudge(view, pod, hash, clock)).collect()
}

/// Whether a nudge can bring the document of the Service to this pod.
pub(super) fn is_in_reach(view: &ServiceView, pod: &PodFacts) -> bool {
    !pod.is_terminating && pod.is_started && has_source(view, pod)
}

fn nudge(view: &ServiceView, pod: &PodFacts, hash: &str, clock: &mut Clock) -> Option<Nudge> {
    let nudged = pod.nudged.as_ref().filter(|nudged| nudged.hash == hash);
    let attempts = nudged.map_or(0, |nudged| nudged.attempts);
    let reported = pod.report.as_ref()?;
    if reported.failures >= LOST_AFTER {
        // It cannot be asked, perhaps for a NetworkPolicy, and gets one nudge all the same: nobody can tell whether it
        // needs a second.
        if attempts > 0 {
            return None;
        }
    } else {
        let report = reported.report.as_deref()?;
        if served(report, &view.id).and_then(|service| service.hash.as_deref()) == Some(hash) {
            return None;
        }
    }
    if let Some(nudged) = nudged {
        let pause = usize::try_from(attempts).unwrap_or(usize::MAX).saturating_sub(1).min(PAUSES.len() - 1);
        if !clock.due(after(nudged.at, PAUSES[pause])) {
            return None;
        }
    }
    Some(Nudge {
        pod: pod.name.clone(),
        uid: pod.uid.clone(),
        hash: hash.to_owned(),
        attempt: attempts.saturating_add(1),
    })
}

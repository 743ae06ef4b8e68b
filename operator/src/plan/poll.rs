//! Which sidecars to ask what they serve.
//!
//! Often just after a nudge, when the answer is about to change, ever more seldom after that, and every few minutes
//! when all is well: a sidecar that lost its document by some accident should not be called programmed for ever.

use std::time::Duration;

use jiff::Timestamp;

use super::Poll;
use super::nudge::is_in_reach;
use super::sidecars::served;
use super::wait::{Clock, after};
use crate::view::{PodFacts, ServiceView};

/// How often a sidecar is asked that serves what it should.
const CALM: Duration = Duration::from_mins(5);
/// By how much those times are spread, so that the sidecars of a cluster are not asked all at once.
const SPREAD_SECONDS: u64 = 60;
/// After the first failure, the second and so on.
const FAILED: [Duration; 5] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(30),
];
/// After an answer that is behind: by how often the pod was nudged for the document.
const BEHIND: [Duration; 5] = [
    Duration::from_secs(5),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(10),
];

/// The pods to ask now.
pub(super) fn plan(view: &ServiceView, hash: &str, clock: &mut Clock) -> Vec<Poll> {
    let mut pods: Vec<&PodFacts> = view.pods.iter().filter(|pod| is_in_reach(view, pod)).collect();
    pods.sort_by(|a, b| (&a.name, &a.uid).cmp(&(&b.name, &b.uid)));
    pods.into_iter()
        .filter_map(|pod| {
            let ip = pod.ip.clone()?;
            let is_due = next(view, pod, hash).is_none_or(|at| clock.due(at));
            is_due.then(|| Poll { pod: pod.name.clone(), uid: pod.uid.clone(), ip })
        })
        .collect()
}

/// When to ask; `None` for at once.
fn next(view: &ServiceView, pod: &PodFacts, hash: &str) -> Option<Timestamp> {
    let reported = pod.report.as_ref()?;
    if let Some(failure) = reported.failures.checked_sub(1) {
        return Some(after(reported.at, step(&FAILED, failure)));
    }
    let report = reported.report.as_deref()?;
    if served(report, &view.id).and_then(|service| service.hash.as_deref()) == Some(hash) {
        let spread = pod.uid.bytes().fold(0u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
        return Some(after(reported.at, CALM + Duration::from_secs(spread % SPREAD_SECONDS)));
    }
    let attempts = pod.nudged.as_ref().filter(|nudged| nudged.hash == hash).map_or(0, |nudged| nudged.attempts);
    Some(after(reported.at, step(&BEHIND, attempts)))
}

fn step(steps: &[Duration], at: u32) -> Duration {
    let last = steps.len() - 1;
    steps[usize::try_from(at).unwrap_or(last).min(last)]
}

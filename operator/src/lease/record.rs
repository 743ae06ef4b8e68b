//! The lease as an object, and what one who waits makes of it.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use tokio::time::Instant;

use super::Candidate;

/// What to do about a lease that somebody may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// Somebody holds it.
    Wait,
    /// Nobody does.
    Take,
}

/// The lease as it was when it last changed, and since when we know it so.
#[derive(Debug, Default)]
pub(super) struct Observed {
    last: Option<(Seen, Instant)>,
}

/// What changes with each renewal. Not the resource version: a label changes that, too.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    holder: Option<String>,
    renewed: Option<MicroTime>,
    transitions: Option<i32>,
}

impl Observed {
    /// Looks at the lease once more.
    pub(super) fn look(&mut self, lease: &Lease, now: Instant, ours: Duration) -> Decision {
        let spec = lease.spec.clone().unwrap_or_default();
        let holder = spec.holder_identity.filter(|holder| !holder.is_empty());
        let seen = Seen { holder, renewed: spec.renew_time, transitions: spec.lease_transitions };
        if seen.holder.is_none() {
            return Decision::Take;
        }
        // What its holder promised counts, which may be another version of us.
        let promised = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let duration = promised.map_or(ours, Duration::from_secs);
        match &self.last {
            Some((last, since)) if *last == seen => {
                if now.saturating_duration_since(*since) >= duration {
                    Decision::Take
                } else {
                    Decision::Wait
                }
            }
            _ => {
                self.last = Some((seen, now));
                Decision::Wait
            }
        }
    }
}

/// Who holds it.
pub(super) fn holder(lease: &Lease) -> Option<&str> {
    lease.spec.as_ref()?.holder_identity.as_deref()
}

/// The lease of the first leader ever.
pub(super) fn first(candidate: &Candidate, duration: Duration, now: Timestamp) -> Lease {
    let metadata = ObjectMeta {
        name: Some(candidate.name.clone()),
        namespace: Some(candidate.namespace.clone()),
        ..ObjectMeta::default()
    };
    taken(Lease { metadata, spec: None }, &candidate.identity, duration, now)
}

/// The lease, held by somebody new.
pub(super) fn taken(lease: Lease, identity: &str, duration: Duration, now: Timestamp) -> Lease {
    let before = lease.spec.unwrap_or_default();
    let spec = LeaseSpec {
        holder_identity: Some(identity.to_owned()),
        lease_duration_seconds: Some(i32::try_from(duration.as_secs()).unwrap_or(i32::MAX)),
        acquire_time: Some(MicroTime(now)),
        renew_time: Some(MicroTime(now)),
        lease_transitions: Some(before.lease_transitions.unwrap_or(0).saturating_add(1)),
        ..LeaseSpec::default()
    };
    Lease { spec: Some(spec), ..lease }
}

/// The lease, held on.
pub(super) fn renewed(lease: Lease, now: Timestamp) -> Lease {
    let spec = LeaseSpec { renew_time: Some(MicroTime(now)), ..lease.spec.unwrap_or_default() };
    Lease { spec: Some(spec), ..lease }
}

/// The lease, held by nobody.
pub(super) fn released(lease: Lease, now: Timestamp) -> Lease {
    let spec = LeaseSpec {
        // Empty and not absent, as the components of Kubernetes do it.
        holder_identity: Some(String::new()),
        renew_time: Some(MicroTime(now)),
        ..lease.spec.unwrap_or_default()
    };
    Lease { spec: Some(spec), ..lease }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: Duration = Duration::from_secs(15);

    fn candidate() -> Candidate {
        Candidate { namespace: "m".to_owned(), name: "l".to_owned(), identity: "a".to_owned() }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap_or_default()
    }

    #[test]
    fn a_lease_is_taken_when_it_has_not_changed_for_its_duration_by_our_clock() {
        let start = Instant::now();
        // The holder's clock is an hour behind, which must not matter.
        let lease = first(&candidate(), OURS, at(-3600));
        let mut observed = Observed::default();
        assert_eq!(observed.look(&lease, start, OURS), Decision::Wait);
        assert_eq!(observed.look(&lease, start + Duration::from_secs(14), OURS), Decision::Wait);
        assert_eq!(observed.look(&lease, start + Duration::from_secs(15), OURS), Decision::Take);
    }

    #[test]
    fn every_renewal_starts_the_wait_again() {
        let start = Instant::now();
        let mut lease = first(&candidate(), OURS, at(0));
        let mut observed = Observed::default();
        for second in [0u32, 10, 20, 30] {
            lease = renewed(lease, at(i64::from(second)));
            let now = start + Duration::from_secs(u64::from(second));
            assert_eq!(observed.look(&lease, now, OURS), Decision::Wait, "{second}");
        }
    }

    #[test]
    fn a_lease_that_was_given_up_is_taken_at_once() {
        let lease = released(first(&candidate(), OURS, at(0)), at(1));
        assert_eq!(Observed::default().look(&lease, Instant::now(), OURS), Decision::Take);
        assert_eq!(Observed::default().look(&Lease::default(), Instant::now(), OURS), Decision::Take);
    }

    #[test]
    fn the_duration_its_holder_promised_counts() {
        let start = Instant::now();
        let lease = first(&candidate(), Duration::from_mins(1), at(0));
        let mut observed = Observed::default();
        observed.look(&lease, start, OURS);
        assert_eq!(observed.look(&lease, start + Duration::from_secs(59), OURS), Decision::Wait);
        assert_eq!(observed.look(&lease, start + Duration::from_mins(1), OURS), Decision::Take);
    }

    #[test]
    fn each_new_holder_counts_one_transition() {
        let lease = taken(first(&candidate(), OURS, at(0)), "b", OURS, at(20));
        assert_eq!(holder(&lease), Some("b"));
        assert_eq!(lease.spec.and_then(|spec| spec.lease_transitions), Some(2));
    }
}

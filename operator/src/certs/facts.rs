//! What is decided on: the dates of certificates and who signed which, without the certificates.

use std::time::Duration;

use jiff::Timestamp;

/// How far clocks may differ: certificates begin this much before they are made.
pub(super) const CLOCK_SKEW: Duration = Duration::from_hours(1);

/// From when to when a certificate holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) from: Timestamp,
    pub(super) until: Timestamp,
}

impl Validity {
    /// From now, clocks allowed for, and for `lifetime`.
    pub(super) fn starting(now: Timestamp, lifetime: Duration) -> Self {
        let from = now.saturating_sub(CLOCK_SKEW).unwrap_or(now);
        Self { from, until: now.saturating_add(lifetime).unwrap_or(now) }
    }

    pub(super) fn holds_at(&self, now: Timestamp) -> bool {
        self.from <= now && now < self.until
    }

    /// When `part` of `parts` of the time are over.
    pub(super) fn passed(&self, part: u32, parts: u32) -> Timestamp {
        let whole = Duration::try_from(self.until.duration_since(self.from)).unwrap_or_default();
        self.from.saturating_add(whole / parts * part).unwrap_or(self.until)
    }

    /// How long ago it was made. Nothing for one of the future.
    pub(super) fn age_at(&self, now: Timestamp) -> Duration {
        Duration::try_from(now.duration_since(self.from)).unwrap_or_default().saturating_sub(CLOCK_SKEW)
    }
}

/// Who signed the certificate that is presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Issuer {
    /// The authority whose key there is.
    Signing,
    /// An authority that is only still trusted, with its dates.
    Old(Validity),
    /// Nobody in the bundle.
    Unknown,
}

/// The certificate that is presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LeafFacts {
    pub(super) valid: Validity,
    pub(super) issuer: Issuer,
    /// Whether it is for the names that the API server asks for.
    pub(super) names_fit: bool,
}

/// What a decision depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Facts {
    /// The authority whose key there is.
    pub(super) signing: Option<Validity>,
    /// How many more are in the bundle.
    pub(super) old: usize,
    /// The certificate that is presented, when it and its key can be read.
    pub(super) leaf: Option<LeafFacts>,
    /// How long the bundle has been known to be published as it is. By a monotonic clock, so no jump can shorten it.
    pub(super) published_for: Option<Duration>,
}

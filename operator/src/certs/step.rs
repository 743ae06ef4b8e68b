//! What is to be done next about the certificates.
//!
//! One step at a time from what is there, not a procedure with a memory: whichever replica leads goes on where another
//! stopped, and every step leaves a state that works. The order of a rotation follows from the rules: the new authority
//! joins the bundle, the bundle is published, the certificate is renewed by it, and the old authority goes when nobody
//! can still present what it signed.
//!
//! `now` is the API server's clock, because the API server is who checks the dates.

use std::time::Duration;

use jiff::Timestamp;

use super::facts::{Facts, Issuer, LeafFacts};

/// How long an authority is trusted.
pub(super) const AUTHORITY_LIFETIME: Duration = Duration::from_hours(365 * 24);
/// How long a certificate is presented at most.
pub(super) const LEAF_LIFETIME: Duration = Duration::from_hours(30 * 24);

/// Renewed after two thirds, so that ten days are left for an operator that is down.
const DUE: (u32, u32) = (2, 3);
/// A certificate of the old authority is given up at this age although the new bundle is not known to be published.
const LAST: (u32, u32) = (9, 10);
/// How long a bundle has to be published before a certificate depends on it. API servers learn of it in milliseconds;
/// one that is cut off from etcd does not.
const SETTLE: Duration = Duration::from_mins(5);
/// How long an old authority stays in the bundle after the last certificate of it was replaced. Replicas read the new
/// one within seconds; one that cannot reach the API server presents the old one meanwhile.
const OVERLAP: Duration = Duration::from_hours(24);

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing.
    Keep,
    /// Add an authority to the bundle, which is to sign from now on.
    NewCa,
    /// Have the signing authority sign a certificate.
    IssueLeaf,
    /// Take all but the signing authority out of the bundle.
    DropOldCa,
    /// Both an authority and a certificate: what is there cannot work.
    Replace,
}

impl Step {
    /// A fixed word for logs and metrics.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Keep => "Keep",
            Self::NewCa => "NewAuthority",
            Self::IssueLeaf => "NewCertificate",
            Self::DropOldCa => "DropOldAuthority",
            Self::Replace => "Replace",
        }
    }
}

/// The next step.
pub(super) fn next(facts: &Facts, now: Timestamp) -> Step {
    let trusted = facts.leaf.filter(|leaf| is_trusted(facts, leaf, now));
    let signing = facts.signing.filter(|authority| authority.holds_at(now));
    let (Some(signing), Some(leaf)) = (signing, trusted) else {
        return match (signing, trusted) {
            // Its key is lost, but what it signed still works: no hurry, the new one is published first.
            (None, Some(_)) => Step::NewCa,
            (None, None) => Step::Replace,
            // Not trusted anyway, so there is nothing to wait for.
            (Some(_), _) => Step::IssueLeaf,
        };
    };
    if let Issuer::Old(_) = leaf.issuer {
        let is_published = facts.published_for.is_some_and(|published| published >= SETTLE);
        return if is_published || now >= leaf.valid.passed(LAST.0, LAST.1) { Step::IssueLeaf } else { Step::Keep };
    }
    if now >= leaf.valid.passed(DUE.0, DUE.1) {
        return Step::IssueLeaf;
    }
    if facts.old > 0 {
        return if leaf.valid.age_at(now) >= OVERLAP { Step::DropOldCa } else { Step::Keep };
    }
    if now >= signing.passed(DUE.0, DUE.1) { Step::NewCa } else { Step::Keep }
}

/// Whether an API server that has the bundle takes the certificate.
fn is_trusted(facts: &Facts, leaf: &LeafFacts, now: Timestamp) -> bool {
    let authority = match leaf.issuer {
        Issuer::Signing => facts.signing,
        Issuer::Old(authority) => Some(authority),
        Issuer::Unknown => None,
    };
    authority.is_some_and(|authority| authority.holds_at(now)) && leaf.valid.holds_at(now) && leaf.names_fit
}

#[cfg(test)]
mod tests {
    use super::super::facts::Validity;
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);
    const DAY: Duration = Duration::from_hours(24);

    fn at(since_start: Duration) -> Timestamp {
        Timestamp::UNIX_EPOCH + Duration::from_secs(1_700_000_000) + since_start
    }

    fn authority(made: Duration) -> Validity {
        Validity::starting(at(made), AUTHORITY_LIFETIME)
    }

    fn leaf(made: Duration, issuer: Issuer) -> LeafFacts {
        LeafFacts { valid: Validity::starting(at(made), LEAF_LIFETIME), issuer, names_fit: true }
    }

    /// As after the installation, at day 0.
    fn fresh() -> Facts {
        Facts {
            signing: Some(authority(Duration::ZERO)),
            old: 0,
            leaf: Some(leaf(Duration::ZERO, Issuer::Signing)),
            published_for: Some(HOUR),
        }
    }

    /// In the middle of a rotation at day 250: the authority of that day is in the bundle, the certificate is of day
    /// 240 and of the authority of day 0.
    fn rotating() -> Facts {
        Facts {
            signing: Some(authority(250 * DAY)),
            old: 1,
            leaf: Some(leaf(240 * DAY, Issuer::Old(authority(Duration::ZERO)))),
            published_for: None,
        }
    }

    fn with_leaf(facts: Facts, change: impl FnOnce(&mut LeafFacts)) -> Facts {
        let mut leaf = facts.leaf.unwrap();
        change(&mut leaf);
        Facts { leaf: Some(leaf), ..facts }
    }

    #[test]
    fn each_step_follows_from_what_is_there() {
        let nothing = Facts { signing: None, old: 0, leaf: None, published_for: None };
        let dropping = Facts { leaf: Some(leaf(250 * DAY, Issuer::Signing)), ..rotating() };
        let old_leaf_of = |made| Some(leaf(made, Issuer::Old(authority(Duration::ZERO))));
        let cases = [
            ("there is nothing", nothing, Duration::ZERO, Step::Replace),
            ("all is new", fresh(), HOUR, Step::Keep),
            ("a certificate before its two thirds", fresh(), 19 * DAY, Step::Keep),
            ("a certificate after its two thirds", fresh(), 20 * DAY, Step::IssueLeaf),
            ("an expired certificate", fresh(), 31 * DAY, Step::IssueLeaf),
            ("no certificate", Facts { leaf: None, ..fresh() }, HOUR, Step::IssueLeaf),
            ("a certificate for other names", with_leaf(fresh(), |leaf| leaf.names_fit = false), HOUR, Step::IssueLeaf),
            (
                "a certificate of nobody in the bundle",
                with_leaf(fresh(), |leaf| leaf.issuer = Issuer::Unknown),
                HOUR,
                Step::IssueLeaf,
            ),
            (
                "an authority before its two thirds",
                Facts { leaf: Some(leaf(240 * DAY, Issuer::Signing)), ..fresh() },
                243 * DAY,
                Step::Keep,
            ),
            (
                "an authority after its two thirds",
                Facts { leaf: Some(leaf(240 * DAY, Issuer::Signing)), ..fresh() },
                244 * DAY,
                Step::NewCa,
            ),
            (
                "a certificate that is due before the authority that is",
                Facts { leaf: Some(leaf(230 * DAY, Issuer::Signing)), ..fresh() },
                250 * DAY,
                Step::IssueLeaf,
            ),
            ("a new authority that is not published", rotating(), 250 * DAY, Step::Keep),
            (
                "one that was published just now",
                Facts { published_for: Some(Duration::from_secs(10)), ..rotating() },
                250 * DAY,
                Step::Keep,
            ),
            (
                "one that is published",
                Facts { published_for: Some(Duration::from_mins(5)), ..rotating() },
                250 * DAY,
                Step::IssueLeaf,
            ),
            (
                "one that cannot be published while the certificate is due",
                Facts { leaf: old_leaf_of(240 * DAY), ..rotating() },
                261 * DAY,
                Step::Keep,
            ),
            (
                "one that cannot be published while the certificate is about to expire",
                Facts { leaf: old_leaf_of(240 * DAY), ..rotating() },
                267 * DAY,
                Step::IssueLeaf,
            ),
            ("a new certificate in the overlap", dropping, 250 * DAY + 23 * HOUR, Step::Keep),
            ("a new certificate after the overlap", dropping, 251 * DAY, Step::DropOldCa),
            (
                "a lost key of the authority",
                Facts { signing: None, old: 1, leaf: old_leaf_of(Duration::ZERO), published_for: Some(HOUR) },
                HOUR,
                Step::NewCa,
            ),
            (
                "a lost key and an expired certificate",
                Facts { signing: None, old: 1, leaf: old_leaf_of(Duration::ZERO), published_for: Some(HOUR) },
                31 * DAY,
                Step::Replace,
            ),
            ("everything expired", fresh(), 400 * DAY, Step::Replace),
        ];
        for (what, facts, now, step) in cases {
            assert_eq!(next(&facts, at(now)), step, "{what}");
        }
    }

    #[test]
    fn certificates_of_a_clock_that_was_wrong_are_replaced_and_small_differences_are_not() {
        let now = 250 * DAY;
        for (ahead, step) in [
            (Duration::from_mins(59), Step::Keep),
            (Duration::from_mins(61), Step::Replace),
            (3650 * DAY, Step::Replace),
        ] {
            let facts = Facts {
                signing: Some(authority(now + ahead)),
                leaf: Some(leaf(now + ahead, Issuer::Signing)),
                ..fresh()
            };
            assert_eq!(next(&facts, at(now)), step, "a clock that was {ahead:?} ahead");
        }
        let facts = with_leaf(fresh(), |leaf| leaf.valid = Validity::starting(at(now + DAY), LEAF_LIFETIME));
        assert_eq!(next(&facts, at(HOUR)), Step::IssueLeaf, "only the certificate is of the future");
    }

    #[test]
    fn a_clock_that_jumps_back_does_not_shorten_the_overlap() {
        let facts = Facts { leaf: Some(leaf(250 * DAY, Issuer::Signing)), ..rotating() };
        assert_eq!(next(&facts, at(249 * DAY + 23 * HOUR + Duration::from_mins(30))), Step::Keep);
    }

    #[test]
    fn a_rotation_passes_through_every_step_in_order_and_ends() {
        let (mut facts, mut steps) = (fresh(), Vec::new());
        for hour in 0..400 * 24 {
            let now = at(hour * HOUR);
            let mut published_for = facts.published_for.unwrap_or_default();
            loop {
                let made = hour * HOUR;
                match next(&facts, now) {
                    Step::Keep => break,
                    Step::NewCa => {
                        let before = facts.signing.replace(authority(made)).unwrap();
                        facts = with_leaf(facts, |leaf| leaf.issuer = Issuer::Old(before));
                        facts.old += 1;
                        published_for = Duration::ZERO;
                    }
                    Step::IssueLeaf => facts.leaf = Some(leaf(made, Issuer::Signing)),
                    Step::DropOldCa => {
                        facts.old = 0;
                        published_for = Duration::ZERO;
                    }
                    Step::Replace => panic!("nothing was ever lost"),
                }
                facts.published_for = Some(published_for);
                steps.push((hour / 24, next(&facts, now)));
                assert!(is_trusted(&facts, &facts.leaf.unwrap(), now), "hour {hour}");
            }
            facts.published_for = Some(published_for + HOUR);
            assert!(is_trusted(&facts, &facts.leaf.unwrap(), now), "hour {hour}");
        }
        // One rotation of the authority in 400 days, and a certificate every 20.
        assert_eq!(facts.old, 0);
        assert!((18..=24).contains(&steps.len()), "{} steps", steps.len());
    }
}

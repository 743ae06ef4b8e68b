//! Bounds with their defaults filled in.
//!
//! The ranges repeat those of the schema, for manifests that no API server has seen.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::report::Report;
use crate::document::{Limits, RateAction};
use crate::v1alpha1;

const KIB: i32 = 1024;
const MIB: i32 = 1024 * KIB;

pub(super) fn compile(spec: Option<&v1alpha1::Limits>, report: &mut Report) -> Limits {
    let none = v1alpha1::Limits::default();
    let spec = spec.unwrap_or(&none);
    let mut bounds = Bounds { report };
    let message_bytes = bounds.size("messageBytes", spec.message_bytes, 128 * KIB, 1..=64 * MIB);
    let frame_default = spec.message_bytes.unwrap_or(128 * KIB);
    let frame_bytes = bounds.size("frameBytes", spec.frame_bytes, frame_default, 1..=64 * MIB);
    if frame_bytes > message_bytes {
        bounds.broken("frameBytes", "is at most messageBytes");
    }
    let messages_per_second = bounds.rate("messagesPerSecond", spec.messages_per_second);
    let message_burst = bounds.burst("messageBurst", spec.message_burst, messages_per_second, "messagesPerSecond");
    if spec.rate_action.is_some() && spec.messages_per_second.is_none() {
        bounds.broken("rateAction", "needs messagesPerSecond");
    }
    let accepts_per_second = bounds.rate("acceptsPerSecond", spec.accepts_per_second);
    let accept_burst = bounds.burst("acceptBurst", spec.accept_burst, accepts_per_second, "acceptsPerSecond");
    Limits {
        message_bytes,
        frame_bytes,
        messages_per_second,
        message_burst,
        rate_action: match spec.rate_action {
            Some(v1alpha1::RateAction::Close) => RateAction::Close,
            Some(v1alpha1::RateAction::Wait) | None => RateAction::Wait,
        },
        connections: bounds.number("connections", spec.connections, 10_000, 1..=10_000_000),
        accepts_per_second,
        accept_burst,
        ping_interval: bounds.optional("pingInterval", spec.ping_interval.as_ref(), Some(Duration::from_secs(30))),
        idle_timeout: bounds.optional("idleTimeout", spec.idle_timeout.as_ref(), None),
        max_age: bounds.optional("maxAge", spec.max_age.as_ref(), None),
        max_age_jitter_percent: bounds.number("maxAgeJitterPercent", spec.max_age_jitter_percent, 10, 0..=100),
        in_flight: bounds.number("inFlight", spec.in_flight, 1, 1..=1000),
        call_timeout: bounds.report.timeout(
            "spec.limits.callTimeout",
            spec.call_timeout.as_ref(),
            Duration::from_secs(29),
        ),
        connect_timeout: bounds.report.timeout(
            "spec.limits.connectTimeout",
            spec.connect_timeout.as_ref(),
            Duration::from_secs(10),
        ),
        answer_bytes: bounds.size("answerBytes", spec.answer_bytes, MIB, 1..=64 * MIB),
        queue_bytes: bounds.size("queueBytes", spec.queue_bytes, MIB, KIB..=1024 * MIB),
        app_connections: bounds.number("appConnections", spec.app_connections, 64, 1..=4096),
    }
}

struct Bounds<'r> {
    report: &'r mut Report,
}

impl Bounds<'_> {
    fn broken(&mut self, field: &str, rule: &str) {
        self.report.add(format!("spec.limits.{field}"), rule);
    }

    /// A number in its range, in the type the data plane wants it in.
    fn number<T: TryFrom<i32> + Default>(
        &mut self,
        field: &str,
        given: Option<i32>,
        default: i32,
        range: RangeInclusive<i32>,
    ) -> T {
        let value = given.unwrap_or(default);
        if !range.contains(&value) {
            self.broken(field, &format!("{value}: is between {} and {}", range.start(), range.end()));
        }
        T::try_from(value).unwrap_or_default()
    }

    fn size(&mut self, field: &str, given: Option<i32>, default: i32, range: RangeInclusive<i32>) -> usize {
        self.number(field, given, default, range)
    }

    fn rate(&mut self, field: &str, given: Option<i32>) -> Option<u32> {
        given.map(|_| self.number(field, given, 1, 1..=1_000_000))
    }

    /// The burst of a rate, by default one second's worth; without a rate it has no meaning.
    fn burst(&mut self, field: &str, given: Option<i32>, rate: Option<u32>, rate_field: &str) -> u32 {
        if given.is_some() && rate.is_none() {
            self.broken(field, &format!("needs {rate_field}"));
        }
        match given {
            Some(_) => self.number(field, given, 1, 1..=1_000_000),
            None => rate.unwrap_or(1),
        }
    }

    /// A duration for which `0s` means off.
    fn optional(
        &mut self,
        field: &str,
        given: Option<&v1alpha1::DurationText>,
        default: Option<Duration>,
    ) -> Option<Duration> {
        match given {
            None => default,
            Some(text) => {
                self.report.duration(&format!("spec.limits.{field}"), text).filter(|duration| !duration.is_zero())
            }
        }
    }
}

//! Bounds with their defaults filled in.
//!
//! Ranges are those of the schema, which `bounds` checks; here is what one limit says about another. A number out of
//! its range has been or will be reported, so what becomes of it here does not matter.

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
    let message_bytes = number(spec.message_bytes, 128 * KIB);
    let frame_default = spec.message_bytes.unwrap_or(128 * KIB);
    let frame_bytes = number(spec.frame_bytes, frame_default);
    if frame_bytes > message_bytes {
        bounds.broken("frameBytes", "is at most messageBytes");
    }
    let messages_per_second = spec.messages_per_second.map(|rate| number(Some(rate), 1));
    let message_burst = bounds.burst("messageBurst", spec.message_burst, messages_per_second, "messagesPerSecond");
    if spec.rate_action.is_some() && spec.messages_per_second.is_none() {
        bounds.broken("rateAction", "needs messagesPerSecond");
    }
    let accepts_per_second = spec.accepts_per_second.map(|rate| number(Some(rate), 1));
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
        connections: number(spec.connections, 10_000),
        accepts_per_second,
        accept_burst,
        ping_interval: bounds.optional("pingInterval", spec.ping_interval.as_ref(), Some(Duration::from_secs(30))),
        idle_timeout: bounds.optional("idleTimeout", spec.idle_timeout.as_ref(), None),
        max_age: bounds.optional("maxAge", spec.max_age.as_ref(), None),
        max_age_jitter_percent: number(spec.max_age_jitter_percent, 10),
        in_flight: number(spec.in_flight, 1),
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
        answer_bytes: number(spec.answer_bytes, MIB),
        queue_bytes: number(spec.queue_bytes, MIB),
        app_connections: number(spec.app_connections, 64),
    }
}

struct Bounds<'r> {
    report: &'r mut Report,
}

impl Bounds<'_> {
    fn broken(&mut self, field: &str, rule: &str) {
        self.report.add(format!("spec.limits.{field}"), rule);
    }

    /// The burst of a rate, by default one second's worth; without a rate it has no meaning.
    fn burst(&mut self, field: &str, given: Option<i32>, rate: Option<u32>, rate_field: &str) -> u32 {
        if given.is_some() && rate.is_none() {
            self.broken(field, &format!("needs {rate_field}"));
        }
        match given {
            Some(_) => number(given, 1),
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

/// A number or its default, in the type the data plane wants it in.
fn number<T: TryFrom<i32> + Default>(given: Option<i32>, default: i32) -> T {
    T::try_from(given.unwrap_or(default)).unwrap_or_default()
}

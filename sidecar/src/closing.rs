//! Why connections end, and the close code and reason each cause has.
//!
//! One table, because three places must agree: the Close frame, what `$disconnect` and the logs say, and
//! `docs/close-codes.md`.

use crate::connection::{CloseOrder, CloseWhen};

/// Reported for a Close frame without a code; never sent (RFC 6455 7.4.1).
pub const NO_STATUS: u16 = 1005;
/// Reported for a connection that was lost; never sent (RFC 6455 7.4.1).
pub const ABNORMAL: u16 = 1006;

/// The cause of a close that starts on our side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseCause {
    /// The application asked for it, by DELETE or by an answer header.
    Application,
    /// No data either way for `limits.idleTimeout`.
    Idle,
    /// Older than `limits.maxAge`.
    MaxAge,
    /// Its route was removed.
    RouteRemoved,
    /// A frame that breaks RFC 6455.
    ProtocolError,
    /// Text that is not UTF-8.
    InvalidText,
    /// A message or frame over the limit.
    TooLarge,
    /// It does not read what it is sent.
    SlowConsumer,
    /// Over `limits.messagesPerSecond` with `rateAction: Close`.
    RateLimit,
    /// A call failed and the route says `errors.action: Close`.
    CallFailed,
    /// The process is going away.
    Drain,
}

impl CloseCause {
    /// The code sent.
    pub fn code(self) -> u16 {
        match self {
            Self::Application => 1000,
            Self::Idle | Self::MaxAge | Self::RouteRemoved => 1001,
            Self::ProtocolError => 1002,
            Self::InvalidText => 1007,
            Self::SlowConsumer | Self::RateLimit => 1008,
            Self::TooLarge => 1009,
            Self::CallFailed => 1011,
            Self::Drain => 1012,
        }
    }

    /// The reason sent, and the label of the metric.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Application => "closed by the application",
            Self::Idle => "idle timeout",
            Self::MaxAge => "maximum age reached",
            Self::RouteRemoved => "route removed",
            Self::ProtocolError => "protocol error",
            Self::InvalidText => "invalid UTF-8",
            Self::TooLarge => "message too big",
            Self::SlowConsumer => "slow consumer",
            Self::RateLimit => "message rate exceeded",
            Self::CallFailed => "call failed",
            Self::Drain => "service restart",
        }
    }

    fn when(self) -> CloseWhen {
        match self {
            Self::Application | Self::Idle | Self::CallFailed => CloseWhen::AfterQueue,
            Self::MaxAge | Self::RouteRemoved | Self::Drain => CloseWhen::AfterCalls,
            Self::ProtocolError | Self::InvalidText | Self::TooLarge | Self::SlowConsumer | Self::RateLimit => {
                CloseWhen::Now
            }
        }
    }

    /// The order to close for this cause.
    pub fn order(self) -> CloseOrder {
        CloseOrder { cause: self, code: self.code(), reason: self.reason().into(), when: self.when() }
    }

    /// An application's order with its own code and reason.
    pub fn application(code: u16, reason: &str) -> CloseOrder {
        CloseOrder {
            cause: Self::Application,
            code,
            reason: crate::frame::cut(reason, crate::frame::MAX_REASON_BYTES).into(),
            when: CloseWhen::AfterQueue,
        }
    }
}

/// Whether an application may close with this code: those RFC 6455 lets an endpoint send, less what only the gateway
/// can know (1002, 1010) and what is never sent.
pub fn application_may_send(code: u16) -> bool {
    matches!(code, 1000 | 1001 | 1003 | 1007..=1009 | 1011..=1013 | 3000..=4999)
}

/// How a connection ended, for `$disconnect`, the log and the metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The close code, or one of [`NO_STATUS`] and [`ABNORMAL`].
    pub code: u16,
    /// The reason, as the closing side gave it.
    pub reason: Box<str>,
    /// Our cause, when we closed.
    pub cause: Option<CloseCause>,
}

impl Ended {
    /// Ended without a closing handshake.
    pub fn lost(reason: &str) -> Self {
        Self { code: ABNORMAL, reason: reason.into(), cause: None }
    }

    /// A fixed label for the metric: our cause, or who closed.
    pub fn label(&self) -> &'static str {
        match self.cause {
            Some(cause) => cause.reason(),
            None if self.code == ABNORMAL => "connection lost",
            None => "closed by the client",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn applications_name_only_codes_an_endpoint_may_send() {
        for code in [1000, 1001, 1003, 1007, 1008, 1009, 1011, 1012, 1013, 3000, 4999] {
            assert!(application_may_send(code), "{code}");
        }
        for code in [0, 999, 1002, 1004, 1005, 1006, 1010, 1014, 1015, 2999, 5000] {
            assert!(!application_may_send(code), "{code}");
        }
    }
}

//! Why a call to the app failed.
//!
//! One enum for the whole pool, because the session only needs three things from it: the words for the
//! error frame, the status in it, and who is at fault. A boxed error would lose all three, and separate
//! enums for waiting, connecting and answering would be merged again by every caller.
//!
//! No variant carries a byte of a request or an answer, so an error may be logged as it is.

use std::{fmt, io};

use http::StatusCode;

/// Result of a step of a call.
pub(super) type Result<T, E = CallError> = std::result::Result<T, E>;

/// Why a call to the app has no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// As many calls wait for an app connection as may wait.
    #[error("too many calls wait for a connection to the app")]
    WaitQueueFull,
    /// The deadline, or the connect timeout, passed.
    #[error("the app did not answer in time, {phase}")]
    Timeout {
        /// What the call was doing.
        phase: CallPhase,
    },
    /// The name did not resolve, or no connection could be made.
    #[error("cannot connect to the app")]
    ConnectFailed(#[source] io::Error),
    /// The app ended or reset the connection before its answer was complete.
    #[error("the app closed the connection before its answer was complete")]
    ConnectionLost {
        /// Whether any byte of the request left, so that the app may have acted on it.
        sent: bool,
    },
    /// The answer's body is over the limit; it was not read further.
    #[error("the app's answer is over {limit_bytes} bytes")]
    AnswerTooLarge {
        /// The limit that was passed.
        limit_bytes: usize,
    },
    /// The answer is a `text/event-stream`, which has no end.
    #[error("the app answered with an event stream")]
    StreamedAnswer,
    /// The answer is not HTTP/1.1: a bad status line, header, length or chunk, or too large a head.
    #[error("the app's answer is not valid HTTP")]
    InvalidAnswer(#[source] hyper::Error),
    /// The app switched to another protocol, which no call asks for.
    #[error("the app switched protocols")]
    SwitchedProtocols,
}

/// What a call was doing when its time was up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallPhase {
    /// Waiting for one of the pool's connections.
    Waiting,
    /// Opening a connection.
    Connecting,
    /// Sending the request or reading the answer.
    Answering,
}

/// Who has to change something for the call to succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The app, or what is between us and it.
    App,
    /// This sidecar: its limits are too small for the load.
    Gateway,
}

// === impl CallError ===

impl CallError {
    /// A fixed word for error frames, metrics and logs.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::WaitQueueFull => "app_queue_full",
            Self::Timeout { .. } => "app_timeout",
            Self::ConnectFailed(_) => "app_unreachable",
            Self::ConnectionLost { .. } => "app_connection_lost",
            Self::AnswerTooLarge { .. } => "answer_too_large",
            Self::StreamedAnswer => "answer_streamed",
            Self::InvalidAnswer(_) | Self::SwitchedProtocols => "answer_invalid",
        }
    }

    /// The status a client sees for it.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::WaitQueueFull => StatusCode::SERVICE_UNAVAILABLE,
            Self::Timeout { .. } => StatusCode::GATEWAY_TIMEOUT,
            _ => StatusCode::BAD_GATEWAY,
        }
    }

    /// Who is at fault.
    ///
    /// A call that timed out while waiting counts as ours: the pool was too small for the app's pace,
    /// and the setting that helps is the pool's.
    pub fn side(&self) -> Side {
        match self {
            Self::WaitQueueFull | Self::Timeout { phase: CallPhase::Waiting } => Side::Gateway,
            _ => Side::App,
        }
    }

    /// Whether the app has certainly not seen the request, so that repeating it elsewhere is safe
    /// whatever its method.
    pub fn retryable(&self) -> bool {
        match self {
            Self::WaitQueueFull | Self::ConnectFailed(_) => true,
            Self::Timeout { phase } => *phase != CallPhase::Answering,
            Self::ConnectionLost { sent } => !sent,
            Self::AnswerTooLarge { .. } | Self::StreamedAnswer | Self::InvalidAnswer(_) | Self::SwitchedProtocols => {
                false
            }
        }
    }
}

// === impl CallPhase ===

impl fmt::Display for CallPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Waiting => "while waiting for a connection",
            Self::Connecting => "while connecting",
            Self::Answering => "after the connection was made",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_full_queue_is_503_and_only_a_timeout_504() {
        let timeout = CallError::Timeout { phase: CallPhase::Answering };
        let lost = CallError::ConnectionLost { sent: true };
        assert_eq!(CallError::WaitQueueFull.status(), 503);
        assert_eq!(timeout.status(), 504);
        assert_eq!(lost.status(), 502);
        assert_eq!(CallError::StreamedAnswer.status(), 502);
    }

    #[test]
    fn a_request_that_may_have_reached_the_app_is_not_retryable() {
        let lost = |sent| CallError::ConnectionLost { sent };
        let timeout = |phase| CallError::Timeout { phase };
        assert!(lost(false).retryable());
        assert!(!lost(true).retryable());
        assert!(timeout(CallPhase::Waiting).retryable());
        assert!(timeout(CallPhase::Connecting).retryable());
        assert!(!timeout(CallPhase::Answering).retryable());
    }
}

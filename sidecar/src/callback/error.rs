//! Every way a call fails, and what the caller is told.
//!
//! The type goes into `x-amzn-ErrorType` and into the body, because the SDKs of different languages look in different
//! places. Names are AWS's where it has one. 429 is answered only when nothing was enqueued: SDKs repeat such a call.

use http::StatusCode;

use super::batch::BatchError;
use super::guard::Refusal;
use super::message::MessageError;
use super::path::PathError;
use super::query::QueryError;
use crate::connection::IdentityError;
use crate::hub::SendError;

/// A call that was not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    #[error(transparent)]
    Guard(#[from] Refusal),
    #[error(transparent)]
    Path(#[from] PathError),
    #[error("no such service here; with several, paths start with /NAMESPACE/SERVICE, as Moorline-Callback-Url does")]
    Service,
    #[error("this path allows only {allow}")]
    Method { allow: String },
    #[error(transparent)]
    Query(#[from] QueryError),
    #[error(transparent)]
    Message(#[from] MessageError),
    #[error(transparent)]
    Batch(#[from] BatchError),
    #[error(transparent)]
    Identity(IdentityError),
    #[error("the body is larger than {limit_bytes} bytes")]
    TooLarge { limit_bytes: usize },
    #[error("the body was not received in time")]
    BodyTimeout,
    #[error("the body could not be read")]
    BodyRead,
    #[error("no connection has this id, or it has ended")]
    Gone,
    #[error("the outgoing queue of this connection is full; nothing was enqueued")]
    QueueFull,
    #[error("the process buffers as many bytes as it may; nothing was enqueued")]
    BudgetSpent,
}

impl From<SendError> for ApiError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Gone | SendError::Identity(IdentityError::Gone) => Self::Gone,
            SendError::QueueFull => Self::QueueFull,
            SendError::Identity(error) => Self::Identity(error),
        }
    }
}

impl ApiError {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Guard(_) => StatusCode::FORBIDDEN,
            Self::Path(PathError::Unknown) | Self::Service => StatusCode::NOT_FOUND,
            Self::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLarge { .. } | Self::Batch(BatchError::TooLarge) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::Gone => StatusCode::GONE,
            Self::QueueFull | Self::BudgetSpent => StatusCode::TOO_MANY_REQUESTS,
            Self::Path(PathError::Name)
            | Self::Query(_)
            | Self::Message(_)
            | Self::Batch(_)
            | Self::Identity(_)
            | Self::BodyRead => StatusCode::BAD_REQUEST,
        }
    }

    /// The name of the error in the header and the body.
    pub(super) fn kind(&self) -> &'static str {
        match self.status() {
            StatusCode::FORBIDDEN => "ForbiddenException",
            StatusCode::NOT_FOUND => "ResourceNotFoundException",
            StatusCode::METHOD_NOT_ALLOWED => "MethodNotAllowedException",
            StatusCode::REQUEST_TIMEOUT => "RequestTimeoutException",
            StatusCode::GONE => "GoneException",
            StatusCode::PAYLOAD_TOO_LARGE => "PayloadTooLargeException",
            StatusCode::TOO_MANY_REQUESTS => "LimitExceededException",
            _ => "BadRequestException",
        }
    }

    /// The fixed reason, for logs.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Guard(refusal) => refusal.reason(),
            Self::Path(PathError::Unknown) => "unknown_path",
            Self::Path(PathError::Name) | Self::Identity(IdentityError::InvalidName) => "invalid_name",
            Self::Service => "unknown_service",
            Self::Method { .. } => "method",
            Self::Query(_) => "query",
            Self::Message(error) => error.reason(),
            Self::Batch(error) => error.reason(),
            Self::Identity(IdentityError::TooManyGroups) => "too_many_groups",
            Self::Identity(IdentityError::StateTooLarge) => "state_too_large",
            Self::TooLarge { .. } => "payload_too_large",
            Self::BodyTimeout => "body_timeout",
            Self::BodyRead => "body_read",
            Self::Gone | Self::Identity(IdentityError::Gone) => "gone",
            Self::QueueFull => "queue_full",
            Self::BudgetSpent => "budget_spent",
        }
    }
}

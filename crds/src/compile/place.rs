//! Which sources exist where.
//!
//! A source that can never have a value in some field is a mistake that would otherwise show only as a
//! missing value at run time: `response.status` in a request, a message's body on `$connect`. So each field
//! has a place, and the place refuses what it cannot have.

use crate::expression::{ContextVar, Source};

/// The event a field belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// Any of them: a field of the whole route.
    Any,
    Connect,
    Disconnect,
    Message,
}

/// The moment a field is evaluated at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// To find the entry for a message.
    Selection,
    /// To make a call.
    Request,
    /// After a call with a 2xx answer.
    Answered,
    /// After nothing: the entry makes no call.
    NoCall,
    /// After a failed call.
    Failed,
}

/// Where an expression stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) event: Event,
    pub(super) moment: Moment,
    /// The names of `spec.path`; `None` when that could not be parsed, and everything passes.
    pub(super) captures: Option<&'a [String]>,
}

impl Event {
    pub(super) fn of(key: &str) -> Self {
        match key {
            "$connect" => Self::Connect,
            "$disconnect" => Self::Disconnect,
            _ => Self::Message,
        }
    }

    fn has_message(self) -> bool {
        matches!(self, Self::Any | Self::Message)
    }
}

impl Place<'_> {
    /// Why the source cannot be used here, or `None` when it can.
    pub(super) fn refusal(&self, source: &Source) -> Option<String> {
        match source {
            Source::Header(_) | Source::Query(_) => None,
            Source::Body(_) => self.message(source),
            Source::Path(name) => self.capture(name),
            Source::ResponseStatus | Source::ResponseHeader(_) | Source::ResponseBody(_) => match self.moment {
                Moment::Answered => None,
                Moment::NoCall => Some(format!("`{source}` needs a request, and this entry makes none")),
                Moment::Selection | Moment::Request | Moment::Failed => {
                    Some(format!("`{source}` is possible only in reply, join, leave and user"))
                }
            },
            Source::Context(variable) => self.context(*variable, source),
        }
    }

    fn context(&self, variable: ContextVar, source: &Source) -> Option<String> {
        match variable {
            ContextVar::MessageId => self.message(source),
            ContextVar::RouteKey if self.moment == Moment::Selection => {
                Some(format!("`{source}` is what this expression selects"))
            }
            ContextVar::DisconnectStatusCode | ContextVar::DisconnectReason if self.event != Event::Disconnect => {
                Some(format!("`{source}` is possible only in the $disconnect entry"))
            }
            ContextVar::Status | ContextVar::ErrorMessage | ContextVar::ErrorReason
                if self.moment != Moment::Failed =>
            {
                Some(format!("`{source}` is possible only in errors.body"))
            }
            _ => None,
        }
    }

    fn message(&self, source: &Source) -> Option<String> {
        (!self.event.has_message()).then(|| {
            let key = if self.event == Event::Connect { "$connect" } else { "$disconnect" };
            format!("`{source}` needs a message, and {key} has none")
        })
    }

    fn capture(&self, name: &str) -> Option<String> {
        let captures = self.captures?;
        (!captures.iter().any(|capture| capture == name)).then(|| {
            let known = captures.iter().map(|capture| format!("{{{capture}}}")).collect::<Vec<_>>().join(", ");
            let known =
                if known.is_empty() { "it captures nothing".to_owned() } else { format!("it captures {known}") };
            format!("spec.path does not capture `{name}`; {known}")
        })
    }
}

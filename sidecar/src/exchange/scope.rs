//! What expressions can read while one message is handled.

use std::borrow::Cow;
use std::sync::Arc;

use http::{HeaderMap, StatusCode};
use moorline_crds::expression::{ContextVar, Source};
use moorline_crds::scope::{Scope, Value};
use moorline_crds::select::Selection;

use super::Event;
use super::failure::Failure;
use super::ids::Ids;
use crate::closing::Ended;
use crate::connection::{Connection, unix_ms};

/// The values of one exchange. Fields that are `None` are missing to every expression.
pub(crate) struct ExchangeScope<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) user: Option<Arc<str>>,
    pub(crate) ids: &'a Ids,
    pub(crate) event: Event,
    pub(crate) route_key: &'a str,
    pub(crate) message: Option<&'a Selection<'a>>,
    pub(crate) ended: Option<&'a Ended>,
    pub(crate) response: Option<ResponseView<'a>>,
    pub(crate) failure: Option<&'a Failure>,
    /// The subprotocols of the handshake, for `$connect`.
    pub(crate) offered: &'a [String],
    /// `Cookie` must reach no call, by no way.
    pub(crate) cookie_withheld: bool,
}

/// The application's answer, as expressions see it.
pub(crate) struct ResponseView<'a> {
    pub(crate) status: StatusCode,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: Option<&'a Selection<'a>>,
}

impl Scope for ExchangeScope<'_> {
    fn lookup(&self, source: &Source) -> Option<Value<'_>> {
        match source {
            Source::Body(path) => self.message?.get(path).map(Value::Json),
            Source::Header(name) if self.cookie_withheld && name == "cookie" => None,
            Source::Header(name) => self.connection.handshake.header(name).map(|v| Value::Text(v.into())),
            Source::Query(name) => self.connection.handshake.querystring(name).map(Value::Text),
            Source::Path(name) => self.connection.handshake.capture(name).map(|v| Value::Text(v.into())),
            Source::Context(var) => self.context(*var).map(Value::Text),
            Source::ResponseStatus => {
                Some(Value::Text(Cow::Owned(self.response.as_ref()?.status.as_u16().to_string())))
            }
            Source::ResponseHeader(name) => {
                self.response.as_ref()?.headers.get(name)?.to_str().ok().map(|v| Value::Text(v.into()))
            }
            Source::ResponseBody(path) => self.response.as_ref()?.body?.get(path).map(Value::Json),
        }
    }
}

impl ExchangeScope<'_> {
    fn context(&self, var: ContextVar) -> Option<Cow<'_, str>> {
        Some(match var {
            ContextVar::ConnectionId => self.connection.id.to_string().into(),
            ContextVar::RequestId | ContextVar::ExtendedRequestId => self.ids.request.as_str().into(),
            ContextVar::MessageId if self.event == Event::Message => self.ids.message.as_str().into(),
            ContextVar::MessageId => return None,
            ContextVar::RouteKey => self.route_key.into(),
            ContextVar::EventType => self.event.name().into(),
            ContextVar::ConnectedAt => unix_ms(self.connection.connected_at).to_string().into(),
            ContextVar::RequestTime => request_time().into(),
            ContextVar::RequestTimeEpoch => unix_ms(std::time::SystemTime::now()).to_string().into(),
            ContextVar::DomainName => self.connection.handshake.domain_name()?.into(),
            ContextVar::SourceIp => self.connection.source_ip.to_string().into(),
            ContextVar::UserAgent => self.connection.user_agent()?.into(),
            ContextVar::User => self.user.as_deref()?.into(),
            ContextVar::DisconnectStatusCode => self.ended?.code.to_string().into(),
            ContextVar::DisconnectReason => (&*self.ended?.reason).into(),
            ContextVar::Status => self.failure?.status.as_u16().to_string().into(),
            ContextVar::ErrorMessage => (&*self.failure?.message).into(),
            ContextVar::ErrorReason => self.failure?.reason.into(),
        })
    }
}

/// The time in the common log format, as `$context.requestTime` has it on AWS.
fn request_time() -> String {
    jiff::Timestamp::now().strftime("%d/%b/%Y:%H:%M:%S +0000").to_string()
}

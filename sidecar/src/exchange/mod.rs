//! One event of a connection and the HTTP call it becomes: select, build, call, act on the answer, reply.
//!
//! The same steps for `$connect`, messages and `$disconnect`; what differs (who hears of a failure, what the answer
//! may do) is decided at the edges, in [`connect`], [`message`] and [`disconnect`]. A message is parsed at most once,
//! in one pass that collects the values the route's expressions name.

mod connect;
mod effects;
mod failure;
mod ids;
mod perform;
mod reply;
mod request;
mod scope;

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use moorline_crds::{BodyTemplate, ErrorAction, Selection};
use serde_json::value::RawValue;
use tokio_tungstenite::tungstenite::Message;

pub(crate) use self::connect::{ConnectAnswer, Connected, RefusedByApp, connect};
pub(crate) use self::ids::{Trace, trace_of};
pub(crate) use self::request::encoded;

use self::failure::Failure;
use self::ids::Ids;
use self::perform::{Performed, perform};
use self::scope::ExchangeScope;
use crate::budget::Charge;
use crate::closing::{CloseCause, Ended};
use crate::connection::{CloseOrder, Connection};
use crate::frame::Frame;
use crate::gateway::{RouteRuntime, Shared};
use crate::observe::{CallSeen, Event as Seen, EventKind};
use crate::upstream::CallClass;

/// What happened on the connection, as AWS's `$context.eventType` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Connect,
    Message,
    Disconnect,
}

impl Event {
    /// The name in headers and expressions.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Connect => "CONNECT",
            Self::Message => "MESSAGE",
            Self::Disconnect => "DISCONNECT",
        }
    }
}

/// A message as it came, and what it is charged for until it has been dealt with.
#[derive(Debug)]
pub struct Incoming {
    /// The message.
    pub message: Message,
    /// Its share of the process-wide budget.
    pub charge: Charge,
}

/// The message as the body of a call.
#[derive(Clone, Debug)]
pub(crate) enum MessageBody {
    None,
    Json(Bytes),
    Text(Bytes),
    Binary(Bytes),
}

/// What a message comes to for its sender.
#[derive(Debug, Default)]
pub struct Outcome {
    /// A frame for the sender.
    pub reply: Option<Frame>,
    /// The connection is to close, after the frame.
    pub close: Option<CloseOrder>,
}

/// What an exchange works with throughout.
pub(crate) struct Exchange<'a> {
    pub(crate) shared: &'a Arc<Shared>,
    pub(crate) connection: &'a Arc<Connection>,
    pub(crate) runtime: &'a RouteRuntime,
    pub(crate) ids: &'a Ids,
    pub(crate) class: CallClass,
}

/// The call that was made, for those who watch.
#[derive(Debug, Default)]
pub(crate) struct CallRecord {
    pub(crate) method: http::Method,
    pub(crate) target: String,
    pub(crate) status: Option<u16>,
    pub(crate) latency: std::time::Duration,
    pub(crate) failed_over: bool,
}

/// Handles one message of a client, from its selection to what its sender receives.
pub(crate) async fn message(
    shared: Arc<Shared>,
    connection: Arc<Connection>,
    runtime: Arc<RouteRuntime>,
    incoming: Incoming,
) -> Outcome {
    let received_at = SystemTime::now();
    let Incoming { message, charge: _charge } = incoming;
    let (bytes, text) = match message {
        Message::Text(text) => (Bytes::from(text.clone()), Some(text)),
        other => (other.into_data(), None),
    };
    let selection = text.as_ref().and_then(|text| runtime.route.selector().select(text.as_str()));
    let body = match (&text, &selection) {
        (Some(_), Some(_)) => MessageBody::Json(bytes.clone()),
        (Some(_), None) => MessageBody::Text(bytes.clone()),
        (None, _) => MessageBody::Binary(bytes.clone()),
    };
    let ids = Ids::new(connection.handshake.trace());
    let exchange =
        Exchange { shared: &shared, connection: &connection, runtime: &runtime, ids: &ids, class: CallClass::Message };
    let mut scope = exchange.scope(Event::Message, selection.as_ref());
    let client_id = selection.as_ref().and_then(Selection::request_id);
    let chosen = runtime.route.choose(&scope);
    scope.route_key = chosen.map_or("", |(key, _)| key);
    runtime.messages(scope.route_key).inc();

    let mut record = None;
    let performed = match chosen {
        Some((_, action)) => perform(&exchange, action, &mut scope, &body, client_id, &mut record).await,
        None => Performed::failed(Failure::no_route()),
    };
    let envelope = chosen.is_some_and(|(_, action)| action.reply.envelope);
    let (outcome, status, error) = match performed.result {
        Ok(done) => (Outcome { reply: done.reply, close: performed.close }, done.status, None),
        Err(failure) => {
            let (status, reason) = (failure.status.as_u16(), failure.reason);
            let outcome = exchange.tell_sender(&scope, &failure, envelope, client_id, performed.close);
            (outcome, status, Some(reason))
        }
    };
    if let Some(observer) = &shared.observer {
        observer.observe(&Seen {
            status,
            error,
            message_bytes: bytes.len(),
            reply_bytes: outcome.reply.as_ref().map_or(0, |frame| frame.payload().len()),
            message_id: Some(ids.message.as_str()),
            call: record.as_ref().map(CallRecord::seen),
            received_at,
            ..exchange.seen(EventKind::Message, &scope)
        });
    }
    outcome
}

/// Tells the application that a connection has ended. Failures are counted; there is nobody to tell.
pub(crate) async fn disconnect(shared: &Arc<Shared>, connection: &Arc<Connection>, ended: &Ended) {
    let received_at = SystemTime::now();
    let runtime = connection.route.current();
    let ids = Ids::new(connection.handshake.trace());
    let exchange = Exchange { shared, connection, runtime: &runtime, ids: &ids, class: CallClass::Disconnect };
    let mut scope = exchange.scope(Event::Disconnect, None);
    scope.ended = Some(ended);
    scope.route_key = "$disconnect";
    let mut record = None;
    let mut error = None;
    let mut status = 200;
    if let Some(action) = &runtime.route.disconnect {
        runtime.messages("$disconnect").inc();
        let performed = perform(&exchange, action, &mut scope, &MessageBody::None, None, &mut record).await;
        match performed.result {
            Ok(done) => status = done.status,
            Err(failure) => {
                shared.metrics.disconnect_calls_failed.inc();
                status = failure.status.as_u16();
                error = Some(failure.reason);
            }
        }
    }
    if let Some(observer) = &shared.observer {
        observer.observe(&Seen {
            status,
            error,
            call: record.as_ref().map(CallRecord::seen),
            close: Some((ended.code, &ended.reason)),
            received_at,
            ..exchange.seen(EventKind::Disconnect, &scope)
        });
    }
}

impl CallRecord {
    pub(crate) fn seen(&self) -> CallSeen<'_> {
        CallSeen {
            method: self.method.as_str(),
            target: &self.target,
            status: self.status,
            latency: self.latency,
            failed_over: self.failed_over,
        }
    }
}

impl<'a> Exchange<'a> {
    pub(crate) fn scope(&self, event: Event, message: Option<&'a Selection<'a>>) -> ExchangeScope<'a> {
        let route = &self.runtime.route;
        ExchangeScope {
            connection: self.connection,
            user: self.connection.user(),
            ids: self.ids,
            event,
            route_key: "",
            message,
            ended: None,
            response: None,
            failure: None,
            offered: &[],
            cookie_withheld: self.connection.handshake.is_cookie_withheld()
                && !(route.forward_headers_explicit && route.forward_headers.iter().any(|name| name == "cookie")),
        }
    }

    /// What every event of this exchange has in common.
    pub(crate) fn seen<'s>(&'s self, kind: EventKind, scope: &'s ExchangeScope<'_>) -> Seen<'s> {
        Seen {
            route: Some(&self.runtime.route.id),
            connection_id: Some(self.connection.id),
            route_key: scope.route_key,
            request_id: self.ids.request.as_str(),
            source_ip: Some(self.connection.source_ip),
            user: scope.user.as_deref(),
            connected_at: Some(self.connection.connected_at),
            ..Seen::new(kind)
        }
    }

    /// What the sender of a failed message receives: the envelope, the route's own form or the error frame.
    fn tell_sender(
        &self,
        scope: &ExchangeScope<'_>,
        failure: &Failure,
        envelope: bool,
        client_id: Option<&RawValue>,
        close: Option<CloseOrder>,
    ) -> Outcome {
        let errors = &self.runtime.route.errors;
        match errors.action {
            ErrorAction::None => return Outcome { reply: None, close },
            ErrorAction::Close => {
                return Outcome { reply: None, close: close.or_else(|| Some(CloseCause::CallFailed.order())) };
            }
            ErrorAction::Frame => {}
        }
        let connection_id = self.connection.id.to_string();
        let request_id = self.ids.request.as_str();
        let text = if envelope {
            Some(failure.envelope(&connection_id, request_id, client_id))
        } else if let Some(template) = &errors.body {
            let view = ExchangeScope { failure: Some(failure), user: scope.user.clone(), response: None, ..*scope };
            render_body(template, &view)
        } else {
            Some(failure.frame(&connection_id, request_id, client_id))
        };
        Outcome { reply: text.map(Frame::text), close }
    }
}

/// A reply or error body from its template; none when it is one value and that is missing.
pub(crate) fn render_body(template: &BodyTemplate, scope: &ExchangeScope<'_>) -> Option<String> {
    match template {
        BodyTemplate::Text(text) if text.lone().is_some() => text.render_present(scope).map(Into::into),
        BodyTemplate::Text(text) => Some(text.render_lossy(scope).into_owned()),
        BodyTemplate::Json(json) => {
            let mut out = Vec::with_capacity(128);
            // What the template writes is JSON, which is UTF-8.
            json.render(scope, &mut out).then(|| String::from_utf8(out).ok()).flatten()
        }
    }
}

/// The groups or users a list of expressions names now; those with a missing value name nothing.
pub(crate) fn names(expressions: &[moorline_crds::Expression], scope: &ExchangeScope<'_>) -> Vec<String> {
    expressions.iter().filter_map(|name| name.render_all(scope)).map(Into::into).collect()
}

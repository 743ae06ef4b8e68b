//! Carries out an action: makes its call, then does what the route and the answer ask for.
//!
//! Effects come after the call and only on success, in one order: leave, join, user, reply. A route that failed
//! halfway would otherwise have put a client into the group of something that does not exist.

use std::time::Instant as Clock;

use bytes::Bytes;
use http::StatusCode;
use http::header::HeaderMap;
use moorline_crds::{Action, ReplyTo, RequestPlan, Selection, Source};
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::effects::{Effects, ReplyOverride};
use super::failure::Failure;
use super::scope::{ExchangeScope, ResponseView};
use super::{CallRecord, Exchange, MessageBody, names, render_body, reply, request};
use crate::connection::{CloseOrder, IdentityError};
use crate::frame::Frame;
use crate::hub::Target;
use crate::upstream::{Answer, CallOptions};

/// What came of an action.
pub(crate) struct Performed {
    pub(crate) result: Result<Done, Failure>,
    /// A close the answer asked for, whatever its status.
    pub(crate) close: Option<CloseOrder>,
}

/// A success.
#[derive(Debug)]
pub(crate) struct Done {
    /// The status of the answer; 200 without a call.
    pub(crate) status: u16,
    /// What the sender receives.
    pub(crate) reply: Option<Frame>,
    /// The headers of the answer, for the handshake.
    pub(crate) headers: HeaderMap,
}

impl Performed {
    pub(crate) fn failed(failure: Failure) -> Self {
        Self { result: Err(failure), close: None }
    }
}

/// Makes the call of an action, if it has one, and acts on the answer.
pub(crate) async fn perform<'a>(
    exchange: &Exchange<'a>,
    action: &'a Action,
    scope: &mut ExchangeScope<'_>,
    body: &MessageBody,
    client_id: Option<&RawValue>,
    record: &mut Option<CallRecord>,
) -> Performed {
    if let ReplyTo::Group(name) | ReplyTo::User(name) = &action.reply.to
        && !name.sources().any(Source::is_response)
        && name.render_all(scope).is_none()
    {
        return Performed::failed(Failure::nobody());
    }
    let answer = match &action.request {
        None => None,
        Some(plan) => match call(exchange, action, plan, scope, body, record).await {
            Ok(answer) => Some(answer),
            Err(failure) => return Performed::failed(failure),
        },
    };
    let success = answer.as_ref().is_none_or(|answer| answer.status.is_success());
    let effects = answer.as_ref().map(|answer| Effects::read(&answer.headers, success)).unwrap_or_default();
    for name in &effects.ignored {
        exchange.shared.metrics.ignored_answer_headers.inc();
        tracing::warn!(route = %exchange.runtime.route.id, header = name, "ignored an answer header it could not read");
    }
    if !success && let Some(answer) = answer {
        return Performed {
            result: Err(Failure::answered(answer.status, answer.headers, &answer.body)),
            close: effects.close,
        };
    }
    let close = effects.close.clone();
    let result = Ok(act(exchange, action, scope, answer, effects, client_id).await);
    Performed { result, close }
}

async fn call(
    exchange: &Exchange<'_>,
    action: &Action,
    plan: &RequestPlan,
    scope: &ExchangeScope<'_>,
    body: &MessageBody,
    record: &mut Option<CallRecord>,
) -> Result<Answer, Failure> {
    let request = request::build(exchange.runtime, action, plan, scope, body).map_err(|error| {
        // Names the template and the rule, never the value.
        tracing::debug!(route = %exchange.runtime.route.id, key = action.key, %error, "a message cannot be called with");
        Failure::render(&error)
    })?;
    let seen = exchange.shared.observer.is_some().then(|| (request.method().clone(), request.uri().to_string()));
    let options = CallOptions {
        deadline: Instant::now() + plan.timeout,
        answer_bytes: exchange.runtime.route.limits.answer_bytes,
        class: exchange.class,
    };
    let started = Clock::now();
    let mut failed_over = false;
    let result = exchange.runtime.app.call(request, options, &mut failed_over).await;
    let latency = started.elapsed();
    let outcome = match &result {
        Ok(answer) if answer.status.is_success() => "ok",
        Ok(answer) => Failure::reason_of(answer.status),
        Err(error) => error.reason(),
    };
    exchange.runtime.key(&action.key).called(outcome, latency);
    if failed_over {
        exchange.runtime.metrics.failed_over.inc(outcome);
    }
    if let Some((method, target)) = seen {
        let status = result.as_ref().ok().map(|answer| answer.status.as_u16());
        *record = Some(CallRecord { method, target, status, latency, failed_over });
    }
    result.map_err(Failure::from)
}

/// Leave, join, user, state, reply.
async fn act(
    exchange: &Exchange<'_>,
    action: &Action,
    scope: &mut ExchangeScope<'_>,
    answer: Option<Answer>,
    effects: Effects,
    client_id: Option<&RawValue>,
) -> Done {
    let Answer { status, headers, body } =
        answer.unwrap_or_else(|| Answer { status: StatusCode::OK, headers: HeaderMap::new(), body: Bytes::new() });
    let text = action.response_selector().and_then(|selector| Some((selector, std::str::from_utf8(&body).ok()?)));
    let selection: Option<Selection<'_>> = text.and_then(|(selector, text)| selector.select(text));
    let mut view = ExchangeScope {
        response: action.request.is_some().then_some(ResponseView {
            status,
            headers: &headers,
            body: selection.as_ref(),
        }),
        user: scope.user.clone(),
        ..*scope
    };

    let hub = &exchange.connection.route.service.hub;
    for group in names(&action.leave, &view).iter().chain(&effects.leave) {
        hub.leave(exchange.connection, group);
    }
    for group in names(&action.join, &view).iter().chain(&effects.join) {
        note(exchange, "join", hub.join(exchange.connection, group));
    }
    let user = effects.user.or_else(|| action.user.as_ref()?.render_all(&view).map(Into::into));
    if let Some(user) = user {
        note(exchange, "user", hub.set_user(exchange.connection, &user));
        view.user = exchange.connection.user();
    }
    for (name, value) in &effects.state {
        let set = exchange.connection.identity.lock().set_state(name, value);
        note(exchange, "state", set);
    }

    let reply = send(exchange, action, &view, effects.reply_to, client_id, (status, &headers, &body)).await;
    let user = view.user.clone();
    drop(view);
    scope.user = user;
    Done { status: status.as_u16(), reply, headers }
}

/// A change the answer asked for that cannot be made is ignored, counted and logged without its text.
fn note(exchange: &Exchange<'_>, what: &'static str, result: Result<(), IdentityError>) {
    match result {
        // The client left while the call ran: there is nothing to change.
        Ok(()) | Err(IdentityError::Gone) => {}
        Err(error) => {
            exchange.shared.metrics.ignored_answer_headers.inc();
            tracing::warn!(route = %exchange.runtime.route.id, what, %error, "ignored a change of a connection");
        }
    }
}

/// Sends the reply where it belongs; what is for the sender comes back.
async fn send(
    exchange: &Exchange<'_>,
    action: &Action,
    scope: &ExchangeScope<'_>,
    reply_to: Option<ReplyOverride>,
    client_id: Option<&RawValue>,
    (status, headers, body): (StatusCode, &HeaderMap, &Bytes),
) -> Option<Frame> {
    let overridden = reply_to.is_some();
    let target = match reply_to {
        Some(ReplyOverride::Sender) => None,
        Some(ReplyOverride::None) => return None,
        Some(ReplyOverride::All) => Some(Target::All),
        Some(ReplyOverride::Group(name)) => Some(Target::Group(name)),
        Some(ReplyOverride::User(name)) => Some(Target::User(name)),
        None => match &action.reply.to {
            ReplyTo::Sender => None,
            ReplyTo::None => return None,
            ReplyTo::All => Some(Target::All),
            ReplyTo::Group(name) => Some(Target::Group(name.render_all(scope)?.into())),
            ReplyTo::User(name) => Some(Target::User(name.render_all(scope)?.into())),
        },
    };
    let rendered = action.reply.body.as_ref().map(|template| render_body(template, scope));
    let envelope = action.reply.envelope && target.is_none() && (!overridden || action.reply.to == ReplyTo::Sender);
    let frame = match (rendered, envelope) {
        (None, true) => reply::envelope(client_id, status, headers, body),
        (Some(text), true) => reply::envelope_text(client_id, status, text),
        (None, false) => reply::frame(headers, body.clone())?,
        (Some(text), false) => Frame::text(text?),
    };
    let frame = frame.map_payload(|payload| exchange.shared.budget.charge(payload));
    match target {
        None => Some(frame),
        Some(target) => {
            exchange.connection.route.service.backplane.publish(target, frame).await;
            None
        }
    }
}

//! `$connect`: the call that runs before the 101 and decides whether there will be one.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::StatusCode;
use http::header::{
    CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER, SEC_WEBSOCKET_PROTOCOL,
    SET_COOKIE, WWW_AUTHENTICATE,
};
use moorline_crds::Route;

use super::failure::Failure;
use super::ids::{Ids, RequestId};
use super::perform::{Performed, perform};
use super::{CallRecord, Event, Exchange, MessageBody, Outcome};
use crate::connection::Connection;
use crate::gateway::Shared;
use crate::observe::{Event as Seen, EventKind};
use crate::upstream::CallClass;

/// The most of the application's body that a refused client receives.
const MAX_REFUSAL_BYTES: usize = 64 * 1024;

/// The headers of the application's refusal that mean the same to a client of ours.
const REFUSAL_HEADERS: [HeaderName; 6] =
    [CONTENT_TYPE, LOCATION, WWW_AUTHENTICATE, RETRY_AFTER, SET_COOKIE, CACHE_CONTROL];

/// What `$connect` decided.
pub(crate) enum ConnectAnswer {
    /// The client gets its 101.
    Accepted(Connected),
    /// The client gets this answer instead.
    Refused(RefusedByApp),
}

/// What goes with the 101, and after it.
pub(crate) struct Connected {
    pub(crate) subprotocol: Option<HeaderValue>,
    pub(crate) cookies: Vec<HeaderValue>,
    pub(crate) outcome: Outcome,
}

/// A refusal of the application, or what stands for one that could not be asked.
pub(crate) struct RefusedByApp {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) reason: &'static str,
    /// The application may have seen the call and said yes: it is told of the end.
    pub(crate) unknown: bool,
}

/// Runs `$connect`. Without such a route the connection is accepted.
pub(crate) async fn connect(
    shared: &Arc<Shared>,
    connection: &Arc<Connection>,
    offered: &[String],
    request_id: Option<Box<str>>,
) -> ConnectAnswer {
    let received_at = SystemTime::now();
    let runtime = connection.route.current();
    let mut ids = Ids::new(connection.handshake.trace());
    if let Some(id) = request_id {
        ids.request = RequestId::Proxy(id);
    }
    let exchange = Exchange { shared, connection, runtime: &runtime, ids: &ids, class: CallClass::Message };
    let mut scope = exchange.scope(Event::Connect, None);
    scope.route_key = "$connect";
    scope.offered = offered;
    let mut record = None;
    let performed = match &runtime.route.connect {
        None => None,
        Some(action) => {
            runtime.messages("$connect").inc();
            Some(perform(&exchange, action, &mut scope, &MessageBody::None, None, &mut record).await)
        }
    };
    let answer = decide(&runtime.route, offered, performed);
    if let Some(observer) = &shared.observer {
        let (status, error) = match &answer {
            ConnectAnswer::Accepted(_) => (101, None),
            ConnectAnswer::Refused(refused) => (refused.status.as_u16(), Some(refused.reason)),
        };
        observer.observe(&Seen {
            status,
            error,
            call: record.as_ref().map(CallRecord::seen),
            received_at,
            ..exchange.seen(EventKind::Connect, &scope)
        });
    }
    answer
}

fn decide(route: &Route, offered: &[String], performed: Option<Performed>) -> ConnectAnswer {
    let Some(Performed { result, close }) = performed else {
        return ConnectAnswer::Accepted(Connected {
            subprotocol: subprotocol(route, offered, None),
            cookies: Vec::new(),
            outcome: Outcome::default(),
        });
    };
    match result {
        Ok(done) => ConnectAnswer::Accepted(Connected {
            subprotocol: subprotocol(route, offered, done.headers.get(SEC_WEBSOCKET_PROTOCOL)),
            cookies: done.headers.get_all(SET_COOKIE).iter().cloned().collect(),
            outcome: Outcome { reply: done.reply, close },
        }),
        Err(failure) => ConnectAnswer::Refused(refusal(failure)),
    }
}

fn refusal(failure: Failure) -> RefusedByApp {
    let reason = failure.reason;
    if let Some(answer) = failure.answer {
        let (headers, body) = *answer;
        let mut fit = HeaderMap::new();
        for name in REFUSAL_HEADERS {
            for value in headers.get_all(&name) {
                fit.append(name.clone(), value.clone());
            }
        }
        let body = if body.len() <= MAX_REFUSAL_BYTES {
            body
        } else {
            // Half a document helps nobody, and its type would be a lie.
            fit.remove(CONTENT_TYPE);
            Bytes::new()
        };
        return RefusedByApp { status: failure.status, headers: fit, body, reason, unknown: false };
    }
    let body = serde_json::json!({ "message": failure.message, "reason": reason }).to_string();
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    RefusedByApp { status: failure.status, headers, body: body.into(), reason, unknown: failure.sent }
}

/// The application's choice if the client offered it, else the first of the route's that it offered.
fn subprotocol(route: &Route, offered: &[String], chosen: Option<&HeaderValue>) -> Option<HeaderValue> {
    let by_app = chosen.and_then(|value| value.to_str().ok()).map(str::trim);
    let choice = offered
        .iter()
        .find(|offer| Some(offer.as_str()) == by_app)
        .or_else(|| route.subprotocols.iter().find(|ours| offered.contains(ours)))?;
    HeaderValue::from_str(choice).ok()
}

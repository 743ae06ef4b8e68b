//! What happened on the data plane, for those who watch it: the access log and the console of `moorline dev`.
//!
//! One trait and one borrowed event, instead of a log call at each place, so that the data plane does not know who
//! looks and pays nothing but a branch when nobody does. An event is reported once, when it is over, because only then
//! are its status and its latency known.
//!
//! Invariants: an event never holds a payload, and no query string of a client; an observer never blocks.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use moorline_crds::document::RouteId;

use crate::connection::ConnectionId;

/// Is told of every event. Runs on the tasks of connections, so it must not block.
pub trait Observer: Send + Sync + fmt::Debug {
    /// An event is over.
    fn observe(&self, event: &Event<'_>);
}

/// What kind of event it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// A handshake that found its route, whether it was accepted or not.
    Connect,
    /// A message of a client.
    Message,
    /// The end of a connection.
    Disconnect,
    /// A call of the application on the callback API.
    Push,
    /// A handshake that was refused before the application was asked.
    Refused,
}

/// One event.
#[derive(Clone, Debug)]
pub struct Event<'a> {
    /// What kind it was.
    pub kind: EventKind,
    /// The route, when one was found.
    pub route: Option<&'a RouteId>,
    /// The connection, when there is one.
    pub connection_id: Option<ConnectionId>,
    /// The key of the action; empty when none was chosen.
    pub route_key: &'a str,
    /// The id of the event.
    pub request_id: &'a str,
    /// The id of the message, for messages.
    pub message_id: Option<&'a str>,
    /// The client's address.
    pub source_ip: Option<IpAddr>,
    /// The user of the connection.
    pub user: Option<&'a str>,
    /// How it ended, as an HTTP status: 101 for an accepted handshake, 200 for a message that needed no call.
    pub status: u16,
    /// The call that was made, if any.
    pub call: Option<CallSeen<'a>>,
    /// What the application asked for, for [`EventKind::Push`].
    pub push: Option<PushSeen<'a>>,
    /// Size of the message or of the pushed body.
    pub message_bytes: usize,
    /// Size of what went back to the sender.
    pub reply_bytes: usize,
    /// The fixed reason of a failure.
    pub error: Option<&'static str>,
    /// Code and reason of a connection that ended.
    pub close: Option<(u16, &'a str)>,
    /// When the event began.
    pub received_at: SystemTime,
    /// When the connection was accepted.
    pub connected_at: Option<SystemTime>,
}

/// A call on the application.
#[derive(Clone, Copy, Debug)]
pub struct CallSeen<'a> {
    /// Its method.
    pub method: &'a str,
    /// Its path and query. They carry values of payloads: for the console of a developer, never for a log.
    pub target: &'a str,
    /// The status answered; none when there was no answer.
    pub status: Option<u16>,
    /// From the start of the call to its answer, waiting for a connection included.
    pub latency: Duration,
    /// Whether it was tried at another replica.
    pub failed_over: bool,
}

/// A call of the application on the callback API.
#[derive(Clone, Copy, Debug)]
pub struct PushSeen<'a> {
    /// What was asked, as the metric names it: `send`, `publish_group`, ...
    pub operation: &'a str,
    /// The connection, group or user that was named; empty where none is.
    pub target: &'a str,
    /// How many connections took the message, where that is known.
    pub reached: Option<usize>,
}

impl Event<'_> {
    /// An event of which nothing but its kind is known; it begins now.
    pub fn new(kind: EventKind) -> Self {
        Self {
            kind,
            route: None,
            connection_id: None,
            route_key: "",
            request_id: "",
            message_id: None,
            source_ip: None,
            user: None,
            status: 0,
            call: None,
            push: None,
            message_bytes: 0,
            reply_bytes: 0,
            error: None,
            close: None,
            received_at: SystemTime::now(),
            connected_at: None,
        }
    }
}

/// Tells several observers.
#[derive(Debug)]
pub struct Tee(pub Vec<Arc<dyn Observer>>);

impl Observer for Tee {
    fn observe(&self, event: &Event<'_>) {
        for observer in &self.0 {
            observer.observe(event);
        }
    }
}

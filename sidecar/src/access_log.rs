//! The access log: one line of JSON per event, with the names AWS gives its `$context` variables.
//!
//! AWS's names, so that queries and dashboards written for its WebSocket APIs keep working; what AWS has no variable
//! for (how a connection ended, sizes) is named in the same style. Flat, because AWS's own JSON preset is.
//!
//! Invariants: never a payload, never a query string, and never a path of a call, because paths are made of values of
//! payloads. A field without a value is left out.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;

use crate::connection::{ConnectionId, unix_ms};
use crate::lines::{LineWriter, Lines};
use crate::observe::{Event, EventKind, Observer};

/// Writes events to a queue of lines.
#[derive(Debug)]
pub struct AccessLog {
    lines: Lines,
}

/// One line.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    request_id: &'a str,
    request_time_epoch: u64,
    event_type: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    route_key: &'a str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection_id: Option<Shown<ConnectionId>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connected_at: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<&'a str>,
    #[serde(rename = "identity.sourceIp", skip_serializing_if = "Option::is_none")]
    source_ip: Option<IpAddr>,
    #[serde(rename = "identity.user", skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    integration_status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    integration_latency: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failed_over: Option<bool>,
    #[serde(rename = "error.responseType", skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_size: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_size: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disconnect_status_code: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disconnect_reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reached: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<String>,
}

/// Serialises by `Display`.
#[derive(Debug)]
struct Shown<T>(T);

impl<T: std::fmt::Display> Serialize for Shown<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl AccessLog {
    /// Logs to standard output. The writer is to be finished last, when no event can come any more.
    pub fn to_stdout() -> io::Result<(Self, LineWriter)> {
        let writer = LineWriter::start("access log", io::stdout())?;
        Ok((Self { lines: writer.lines() }, writer))
    }

    /// Logs to a queue.
    pub fn new(lines: Lines) -> Self {
        Self { lines }
    }
}

impl Observer for AccessLog {
    fn observe(&self, event: &Event<'_>) {
        // Every field is a number, a string or absent, so this cannot fail.
        if let Ok(line) = serde_json::to_string(&Entry::of(event)) {
            self.lines.push(line);
        }
    }
}

impl<'a> Entry<'a> {
    fn of(event: &Event<'a>) -> Self {
        let call = event.call;
        let is_message = matches!(event.kind, EventKind::Message | EventKind::Push);
        Self {
            request_id: event.request_id,
            request_time_epoch: unix_ms(event.received_at),
            event_type: event_type(event.kind),
            route_key: event.route_key,
            status: event.status,
            connection_id: event.connection_id.map(Shown),
            connected_at: event.connected_at.map(unix_ms),
            message_id: event.message_id,
            source_ip: event.source_ip,
            user: event.user,
            integration_status: call.and_then(|call| call.status),
            integration_latency: call.map(|call| millis(call.latency)),
            failed_over: call.and_then(|call| call.failed_over.then_some(true)),
            error: event.error,
            message_size: is_message.then_some(event.message_bytes),
            reply_size: (event.kind == EventKind::Message).then_some(event.reply_bytes),
            disconnect_status_code: event.close.map(|(code, _)| code),
            disconnect_reason: event.close.map(|(_, reason)| reason).filter(|reason| !reason.is_empty()),
            operation: event.push.map(|push| push.operation),
            reached: event.push.and_then(|push| push.reached),
            route: event.route.map(ToString::to_string),
        }
    }
}

/// AWS has the first three; what it does not log at all has names that cannot be mistaken for them.
fn event_type(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Connect => "CONNECT",
        EventKind::Message => "MESSAGE",
        EventKind::Disconnect => "DISCONNECT",
        EventKind::Push => "PUSH",
        EventKind::Refused => "REFUSED",
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // tests fail by panicking
mod tests {
    use std::time::UNIX_EPOCH;

    use moorline_crds::document::RouteId;
    use serde_json::json;

    use super::*;
    use crate::observe::{CallSeen, PushSeen};

    fn logged(event: &Event<'_>) -> serde_json::Value {
        serde_json::to_value(Entry::of(event)).unwrap()
    }

    fn event(kind: EventKind) -> Event<'static> {
        Event { request_id: "R", received_at: UNIX_EPOCH + Duration::from_millis(1_700_001), ..Event::new(kind) }
    }

    #[test]
    fn a_message_has_the_names_of_aws() {
        let route = RouteId { namespace: "shop".to_owned(), name: "orders".to_owned() };
        let id = ConnectionId::random();
        let entry = logged(&Event {
            route: Some(&route),
            connection_id: Some(id),
            route_key: "get",
            message_id: Some("M"),
            source_ip: Some([192, 0, 2, 1].into()),
            user: Some("alice"),
            status: 502,
            call: Some(CallSeen {
                method: "GET",
                target: "/orders/secret?token=secret",
                status: Some(500),
                latency: Duration::from_micros(2_600),
                failed_over: true,
            }),
            message_bytes: 40,
            reply_bytes: 120,
            error: Some("app_server_error"),
            connected_at: Some(UNIX_EPOCH + Duration::from_secs(1)),
            ..event(EventKind::Message)
        });
        assert_eq!(
            entry,
            json!({
                "requestId": "R", "requestTimeEpoch": 1_700_001, "eventType": "MESSAGE", "routeKey": "get",
                "status": 502, "connectionId": id.to_string(), "connectedAt": 1000, "messageId": "M",
                "identity.sourceIp": "192.0.2.1", "identity.user": "alice", "integrationStatus": 500,
                "integrationLatency": 2, "failedOver": true, "error.responseType": "app_server_error", "messageSize": 40,
                "replySize": 120, "route": "shop/orders",
            })
        );
    }

    #[test]
    fn a_disconnect_says_how_the_connection_ended() {
        let entry =
            logged(&Event { route_key: "$disconnect", close: Some((1001, "bye")), ..event(EventKind::Disconnect) });
        assert_eq!(entry["disconnectStatusCode"], 1001);
        assert_eq!(entry["disconnectReason"], "bye");
        assert_eq!(entry.get("messageSize"), None);
    }

    #[test]
    fn a_refused_handshake_has_no_request_id_to_show() {
        let refused = Event { request_id: "", status: 404, error: Some("no_route"), ..event(EventKind::Refused) };
        assert_eq!(
            logged(&refused),
            json!({"requestTimeEpoch": 1_700_001, "eventType": "REFUSED", "status": 404, "error.responseType": "no_route"})
        );
    }

    #[test]
    fn a_push_names_what_was_asked_and_not_whom() {
        let push = PushSeen { operation: "publish_user", target: "alice@example.test", reached: Some(3) };
        let entry = logged(&Event { push: Some(push), status: 200, message_bytes: 5, ..event(EventKind::Push) });
        assert_eq!(entry["operation"], "publish_user");
        assert_eq!(entry["reached"], 3);
        assert!(!entry.to_string().contains("alice"), "{entry}");
    }

    #[test]
    fn no_entry_holds_the_target_of_a_call() {
        let call =
            CallSeen { method: "GET", target: "/secret", status: None, latency: Duration::ZERO, failed_over: false };
        for kind in [EventKind::Connect, EventKind::Message, EventKind::Disconnect] {
            let entry = logged(&Event { call: Some(call), ..event(kind) }).to_string();
            assert!(!entry.contains("secret"), "{entry}");
        }
    }
}

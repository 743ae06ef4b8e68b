//! Bounds, as users write them.
//!
//! Signed 32-bit numbers with a range, because that is what Kubernetes tools handle everywhere; off is
//! `0s` for durations and leaving the field out for rates. Defaults are filled in by `compile` and not by
//! the schema, so that a better default reaches routes that are already stored.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::DurationText;

/// Bounds on what clients and the app may use.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = ("!has(self.messageBurst) || has(self.messagesPerSecond)", "messageBurst needs messagesPerSecond"),
    validation = ("!has(self.rateAction) || has(self.messagesPerSecond)", "rateAction needs messagesPerSecond"),
    validation = ("!has(self.acceptBurst) || has(self.acceptsPerSecond)", "acceptBurst needs acceptsPerSecond"),
    validation = (
        "!has(self.frameBytes) || self.frameBytes <= (has(self.messageBytes) ? self.messageBytes : 131072)",
        "frameBytes is at most messageBytes"
    )
)]
pub struct Limits {
    /// The largest message a client may send, in bytes. The default is 131072 (128 KiB). A larger one
    /// closes the connection with code 1009. A change applies to new connections; open ones keep theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 67_108_864))]
    pub message_bytes: Option<i32>,

    /// The largest frame a client may send, in bytes; a message may come in several. The default is the
    /// value of `messageBytes`. A larger one closes the connection with code 1009. A change applies to new
    /// connections; open ones keep theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 67_108_864))]
    pub frame_bytes: Option<i32>,

    /// How many messages per second one connection may send, averaged. The default is no limit. A change
    /// applies to the next message, also on open connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub messages_per_second: Option<i32>,

    /// How many messages one connection may send at once before `messagesPerSecond` holds. The default is
    /// the value of `messagesPerSecond`. A change applies to the next message, also on open connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub message_burst: Option<i32>,

    /// See [`RateAction`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_action: Option<RateAction>,

    /// How many connections of this route one sidecar holds. The default is 10000; the limits of the
    /// process hold as well. Over it a handshake is answered with 503 and `Retry-After`. A change applies
    /// to the next handshake and counts the open connections; lowering it closes none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub connections: Option<i32>,

    /// How many connections of this route one sidecar accepts per second, averaged. The default is no
    /// limit. Over it a handshake is answered with 429 and `Retry-After`. A change applies to the next
    /// handshake; open connections are not concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub accepts_per_second: Option<i32>,

    /// How many connections are accepted at once before `acceptsPerSecond` holds. The default is the value
    /// of `acceptsPerSecond`. A change applies to the next handshake; open connections are not concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub accept_burst: Option<i32>,

    /// The time between two pings to a client, a duration as `30s`. The default is `30s`; `0s` sends none.
    /// A client that is silent for two intervals is gone, which `$disconnect` reports as code 1006. A
    /// change applies to new connections; open ones keep theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ping_interval: Option<DurationText>,

    /// How long a connection may be without data either way, pings not counted, before it is closed with
    /// code 1001; a duration as `10m`. The default is `0s`: for ever. A change applies to new connections;
    /// open ones keep theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_timeout: Option<DurationText>,

    /// The age at which a connection is closed with code 1001, so that clients spread over new pods and
    /// present fresh credentials; a duration as `2h`. The default is `0s`: never. A change applies to new
    /// connections; open ones keep theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<DurationText>,

    /// By how much, at most, `maxAge` is shortened at random for each connection, in percent, so that
    /// clients that came together do not leave together. The default is 10. A change applies to new
    /// connections; open ones keep the age they drew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub max_age_jitter_percent: Option<i32>,

    /// How many calls of one connection may run at the same time. The default is 1: messages are handled in
    /// order, one after the other. With more, answers may overtake each other. While the number is reached,
    /// no further message of the connection is handled. A change applies to the next message, also on open
    /// connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000))]
    pub in_flight: Option<i32>,

    /// How long a call may take when its entry says nothing, a duration as `29s`. The default is `29s`.
    /// After it the client gets the error frame with status 504. A change applies to the next call, also on
    /// open connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_timeout: Option<DurationText>,

    /// How long the call of `$connect` may take when its entry says nothing, a duration as `10s`. The
    /// default is `10s`. After it the handshake is answered with 504. A change applies to the next
    /// handshake; open connections are not concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect_timeout: Option<DurationText>,

    /// The largest answer of the app that is passed on, in bytes. The default is 1048576 (1 MiB). For a
    /// larger one the client gets the error frame with status 502. A change applies to the next call, also
    /// on open connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 67_108_864))]
    pub answer_bytes: Option<i32>,

    /// How much may wait to be sent to one connection, in bytes; one message always fits an empty queue.
    /// The default is 1048576 (1 MiB). A client that reads too slowly for it is closed with code 1008. A
    /// change applies to new connections; open ones keep theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1_024, max = 1_073_741_824))]
    pub queue_bytes: Option<i32>,

    /// How many connections to the app one sidecar keeps; calls beyond it wait for one, in order. The
    /// default is 64. A change applies to the next call, also of open connections, which it does not close.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 4_096))]
    pub app_connections: Option<i32>,
}

/// What happens to a connection that sends more than `messagesPerSecond`. `Wait`, the default, does not read
/// from it until it is below the rate, so that the client's own sending slows down; `Close` closes it with
/// code 1008. A change applies to the next message, also on open connections.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateAction {
    /// It is not read until it is below the rate.
    Wait,
    /// It is closed with code 1008.
    Close,
}

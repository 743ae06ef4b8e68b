//! What goes back to clients, as users write it: replies and errors.
//!
//! Targets are an enum with the name beside it, rather than one field per target, so that a new kind of
//! target needs no new rule about which fields exclude each other.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;

/// What goes back after a call.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = ("(has(self.to) && self.to == 'Group') == has(self.group)", "group is set exactly when to is Group"),
    validation = ("(has(self.to) && self.to == 'User') == has(self.user)", "user is set exactly when to is User"),
    validation = (
        "!has(self.envelope) || !self.envelope || !has(self.to) || self.to == 'Sender'",
        "envelope is possible only when the reply goes to the sender"
    )
)]
pub struct Reply {
    /// See [`ReplyTarget`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<ReplyTarget>,

    /// The group to reply to, as `tenant-${request.path.tenant}`, when `to` is `Group`. Nothing is sent when a
    /// value in it is missing or empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub group: Option<String>,

    /// The user to reply to when `to` is `User`. Nothing is sent when a value in it is missing or empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub user: Option<String>,

    /// Whether the sender gets the answer as `{"id": ..., "status": 200, "body": ...}`, where `id` is the
    /// `requestId` of its message, so that it can tell which answer belongs to which message. The default is
    /// `false`: the body alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub envelope: Option<bool>,

    /// What is sent instead of the app's body: a structure, sent as JSON, or text. It may use `response.status`,
    /// `response.header` and `response.body`. The default is the app's body; an entry without a call needs one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::body")]
    pub body: Option<serde_json::Value>,
}

/// To whom the reply goes. The default is `Sender`, the connection the message came from. The sender gets a
/// reply to `Group`, `User` or `All` (every connection of the Service) only when it belongs to them. `None`
/// sends nothing. Errors always go to the sender.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyTarget {
    /// The connection the message came from.
    Sender,
    /// Every connection in a group.
    Group,
    /// Every connection of a user.
    User,
    /// Every connection of the Service.
    All,
    /// Nobody.
    None,
}

/// What a client sees when a call fails: the app answers other than 2xx, cannot be reached, takes too
/// long or answers too much.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Errors {
    /// See [`ErrorAction`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<ErrorAction>,

    /// The error frame to send instead of the default one: a structure, sent as JSON, or text. It may use
    /// `context.status`, `context.error.message` and `context.error.responseType`. The default is
    /// `{"message", "connectionId", "requestId", "status", "reason"}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::body")]
    pub body: Option<serde_json::Value>,
}

/// What happens when a call fails. `Frame`, the default, sends an error frame to the sender; `Close` closes
/// the connection with code 1011; `None` does nothing. A change takes effect with the next call, also on open
/// connections.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorAction {
    /// The sender gets an error frame.
    Frame,
    /// The connection is closed with code 1011.
    Close,
    /// Nothing.
    None,
}

//! The call an entry makes, as users write it.
//!
//! Its own type because it is the part of an entry that `watch` will share, and because its rules in CEL
//! concern nothing around it.

use std::collections::BTreeMap;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::{DurationText, schema};
use crate::template::Method;

/// An HTTP call on the app.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    /// The HTTP method.
    pub method: Method,

    /// The path of the call, as `/orders/${request.body.id}`. Each value becomes one percent-encoded segment
    /// or a part of one. A message whose value is missing, empty, null, an object or an array, or would be
    /// more than one segment, is answered with an error frame and no call is made; on `$connect` the
    /// handshake is answered with 400.
    #[schemars(length(min = 1, max = 2048))]
    #[x_kube(validation = ("self.startsWith('/') && !self.startsWith('//')", "path starts with exactly one /"))]
    pub path: String,

    /// The query parameters of the call, name to expression. A parameter with a missing value is left out.
    /// The default is none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::headers")]
    pub query: BTreeMap<String, String>,

    /// Headers of the call, name to expression, beside those of the route; of two with the same name this one
    /// counts. A missing value is the empty text, and a header that is nothing but one missing value is left
    /// out. A message that puts a control character into a header is answered with an error frame and no call
    /// is made. Headers that Moorline or the connection sets cannot be named. The default is none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::headers")]
    pub headers: BTreeMap<String, String>,

    /// The body of the call: a structure, which is sent as JSON and in which a lone `${...}` stands for the
    /// JSON value itself, or text. Text that is exactly one `${...}` sends that JSON value. The default is the
    /// client's message as it is, and no body for GET, HEAD and DELETE and on `$connect` and `$disconnect`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::body")]
    pub body: Option<serde_json::Value>,

    /// How long the call may take, waiting for a connection to the app included. After it the client gets
    /// the error frame with status 504. The default is `limits.callTimeout`, and `limits.connectTimeout` on
    /// `$connect`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<DurationText>,
}

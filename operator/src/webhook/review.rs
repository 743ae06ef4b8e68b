//! The envelope of an admission: `AdmissionReview` of `admission.k8s.io/v1`.
//!
//! Own types of a few lines and not kube's, whose request is generic over a typed object and whose response can only be
//! made from such a request. The pod stays raw JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

const API_VERSION: &str = "admission.k8s.io/v1";
const KIND: &str = "AdmissionReview";
/// What the API server recommends for one warning; all together must not pass 4096, or some are dropped.
const MAX_WARNING_CHARS: usize = 256;

/// Why a review is no question about a new pod.
#[derive(Debug, Error)]
pub(super) enum ReviewError {
    /// Not JSON, or not a review. Only where: what the parser says can quote the pod.
    #[error("the review cannot be read at line {line}, column {column}")]
    Read {
        /// The line.
        line: usize,
        /// The column.
        column: usize,
    },
    /// A review of a version that is not served.
    #[error("this is no {KIND} of {API_VERSION} with a request")]
    Version,
}

/// A question about a new object.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Question {
    pub(super) uid: String,
    /// Empty for an object without one.
    #[serde(default)]
    pub(super) namespace: String,
    /// Empty for a pod whose name is only generated when it is stored.
    #[serde(default)]
    name: String,
    #[serde(default)]
    operation: String,
    #[serde(default)]
    resource: Resource,
    #[serde(default)]
    sub_resource: Option<String>,
    /// Absent, or null, unless somebody only tries.
    #[serde(default)]
    dry_run: Option<bool>,
    #[serde(default)]
    pub(super) object: Value,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Resource {
    #[serde(default)]
    group: String,
    #[serde(default)]
    resource: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Incoming {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    request: Option<Question>,
}

impl Question {
    /// Reads a review.
    pub(super) fn read(body: &[u8]) -> Result<Self, ReviewError> {
        let review: Incoming = serde_json::from_slice(body)
            .map_err(|error| ReviewError::Read { line: error.line(), column: error.column() })?;
        let is_known = review.api_version == API_VERSION && review.kind == KIND;
        review.request.filter(|_| is_known).ok_or(ReviewError::Version)
    }

    /// Whether it is about the creation of a pod, the only thing that is looked at.
    pub(super) fn is_new_pod(&self) -> bool {
        let is_pod = self.resource.group.is_empty() && self.resource.resource == "pods";
        is_pod && self.operation == "CREATE" && self.sub_resource.as_deref().unwrap_or_default().is_empty()
    }

    /// Whether nothing will be stored.
    pub(super) fn is_dry_run(&self) -> bool {
        self.dry_run == Some(true)
    }

    /// The name, or the beginning of the one that will be generated and a star.
    pub(super) fn pod_name(&self) -> String {
        let metadata = |key| self.object.pointer(key).and_then(Value::as_str).unwrap_or_default();
        match (self.name.as_str(), metadata("/metadata/name")) {
            ("", "") => format!("{}*", metadata("/metadata/generateName")),
            ("", name) | (name, _) => name.to_owned(),
        }
    }
}

/// The uid of a review of which only the beginning is there, or which is broken further on. The API server writes it
/// first in the request; anywhere else it could be the uid of something in the pod.
pub(super) fn salvage_uid(beginning: &[u8]) -> Option<String> {
    let word = b"\"request\"";
    let at = beginning.windows(word.len()).position(|window| window == word)? + word.len();
    let rest = beginning.get(at..)?;
    let text = String::from_utf8_lossy(rest.get(..128.min(rest.len()))?);
    let inside =
        [":", "{", "\"uid\"", ":", "\""].iter().try_fold(&*text, |text, part| text.trim_start().strip_prefix(part))?;
    let (uid, _) = inside.split_once('"')?;
    let is_uid = !uid.is_empty() && uid.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    is_uid.then(|| uid.to_owned())
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Outgoing<'a> {
    api_version: &'static str,
    kind: &'static str,
    response: Answer<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    uid: &'a str,
    /// There is no way to say `false`.
    allowed: True,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

/// Always `true` in JSON.
struct True;

impl Serialize for True {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bool(true)
    }
}

/// The answer that admits the pod, with the patch if there is one.
pub(super) fn admit(
    uid: &str,
    patch: Option<&json_patch::Patch>,
    warnings: impl IntoIterator<Item = String>,
) -> Result<Vec<u8>, serde_json::Error> {
    let patch = patch.map(serde_json::to_vec).transpose()?.map(|patch| STANDARD.encode(patch));
    let response = Answer {
        uid,
        allowed: True,
        patch_type: patch.is_some().then_some("JSONPatch"),
        patch,
        warnings: warnings.into_iter().map(|warning| presentable(&warning)).collect(),
    };
    serde_json::to_vec(&Outgoing { api_version: API_VERSION, kind: KIND, response })
}

/// Warnings travel as a header, so one line of text, and not too long.
fn presentable(warning: &str) -> String {
    let line = warning.chars().map(|char| if char.is_control() { ' ' } else { char });
    let text: String =
        std::iter::once("moorline: ".chars()).flatten().chain(line).take(MAX_WARNING_CHARS + 1).collect();
    if text.chars().count() <= MAX_WARNING_CHARS {
        return text;
    }
    text.chars().take(MAX_WARNING_CHARS - 3).chain("...".chars()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // tests fail by panicking
    use serde_json::json;

    use super::*;

    fn question(change: impl FnOnce(&mut Value)) -> Question {
        let mut review: Value = serde_json::from_str(include_str!("testdata/review.json")).unwrap();
        change(&mut review["request"]);
        Question::read(review.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn a_pod_is_called_by_its_name_or_by_the_beginning_of_the_one_to_come() {
        assert_eq!(question(|_| ()).pod_name(), "orders-7c9d8bd9d-*");
        assert_eq!(question(|request| request["object"]["metadata"]["name"] = json!("one")).pod_name(), "one");
        assert_eq!(question(|request| request["name"] = json!("two")).pod_name(), "two");
        assert_eq!(question(|request| request["object"] = json!([])).pod_name(), "*");
    }

    #[test]
    fn a_dry_run_is_one_only_when_it_says_so() {
        assert!(!question(|_| ()).is_dry_run());
        assert!(!question(|request| request["dryRun"] = Value::Null).is_dry_run());
        assert!(question(|request| request["dryRun"] = json!(true)).is_dry_run());
    }

    #[test]
    fn the_uid_is_found_in_a_beginning() {
        let cases: [(&str, Option<&str>); 8] = [
            (r#"{"request":{"uid":"a-1","ki"#, Some("a-1")),
            (r#"{ "request" : { "uid" : "a-1" , "#, Some("a-1")),
            (r#"{"uid":"other","request":{"uid":"a-1""#, Some("a-1")),
            (r#"{"request":{"uid":"a-1"#, None),
            (r#"{"request":{"uid":"a\"b""#, None),
            (r#"{"request":{"uid":"""#, None),
            (r#"{"uid":"a-1"}"#, None),
            (r#"{"request":{"object":{"uid":"other"},"uid":"a-1"}"#, None),
        ];
        for (beginning, uid) in cases {
            assert_eq!(salvage_uid(beginning.as_bytes()).as_deref(), uid, "{beginning}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_not_quoted() {
        let error = Question::read(br#"{"request":{"uid":"a","namespace":{"password":"secret"}}}"#).unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }

    #[test]
    fn warnings_are_one_line_each_and_not_too_long() {
        let warnings = ["two\nlines".to_owned(), "\u{e9}".repeat(400)];
        let answer: Value = serde_json::from_slice(&admit("a", None, warnings).unwrap()).unwrap();
        assert_eq!(answer["response"]["warnings"][0], "moorline: two lines");
        let long = answer["response"]["warnings"][1].as_str().unwrap();
        assert_eq!(long.chars().count(), MAX_WARNING_CHARS);
        assert!(long.ends_with("\u{e9}..."));
        assert_eq!(answer["response"].get("patch"), None);
    }
}

//! One message to many connections.

use std::str;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::budget::Budget;
use crate::frame::Frame;

/// The most ids in one call.
pub(super) const MAX_IDS: usize = 1000;

/// Padding may be left out, as many encoders do.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Why the body is no batch.
#[derive(Debug, thiserror::Error)]
pub(super) enum BatchError {
    #[error("the body is not a batch: {0}")]
    Parse(serde_json::Error),
    #[error("a batch has at most {MAX_IDS} ids")]
    TooManyIds,
    #[error("a batch has exactly one of `text`, `json` and `base64`")]
    NotOneMessage,
    #[error("`base64` is not valid base64")]
    Base64,
    #[error("the message of the batch is too large")]
    TooLarge,
}

impl BatchError {
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Parse(_) => "batch_parse",
            Self::TooManyIds => "too_many_ids",
            Self::NotOneMessage => "not_one_message",
            Self::Base64 => "base64",
            Self::TooLarge => "payload_too_large",
        }
    }
}

/// A batch, ready to be sent.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) ids: Vec<String>,
    pub(super) frame: Frame,
}

/// What became of each id, in their order.
#[derive(Debug, Serialize)]
pub(super) struct Results {
    pub(super) results: Vec<Outcome>,
}

#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    pub(super) id: String,
    pub(super) status: u16,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    ids: Vec<String>,
    #[serde(default, deserialize_with = "present")]
    text: Option<String>,
    #[serde(default, deserialize_with = "present")]
    json: Option<Box<RawValue>>,
    #[serde(default, deserialize_with = "present")]
    base64: Option<String>,
}

/// Tells a member that is `null` from one that is absent: `"json": null` sends `null`.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl Batch {
    /// Reads a batch. Its message is charged to the budget once, for all its receivers.
    pub(super) fn parse(
        body: &[u8],
        max_message_bytes: usize,
        budget: &std::sync::Arc<Budget>,
    ) -> Result<Self, BatchError> {
        let request: Request = serde_json::from_slice(body).map_err(BatchError::Parse)?;
        if request.ids.len() > MAX_IDS {
            return Err(BatchError::TooManyIds);
        }
        let frame = match (request.text, request.json, request.base64) {
            (Some(text), None, None) => Frame::text(text),
            (None, Some(json), None) => Frame::text(String::from(Box::<str>::from(json))),
            (None, None, Some(base64)) => Frame::binary(BASE64.decode(base64).map_err(|_| BatchError::Base64)?),
            _ => return Err(BatchError::NotOneMessage),
        };
        if frame.payload().len() > max_message_bytes {
            return Err(BatchError::TooLarge);
        }
        let frame = frame.map_payload(|payload: Bytes| budget.charge(payload));
        Ok(Self { ids: request.ids, frame })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // tests fail by panicking
    use proptest::prelude::*;

    use super::*;
    use crate::frame::Opcode;

    fn parse(body: &str) -> Result<Batch, BatchError> {
        Batch::parse(body.as_bytes(), 20, &Budget::new(1000))
    }

    #[test]
    fn a_batch_carries_one_message_in_one_of_three_forms() {
        for (body, opcode, payload) in [
            (r#"{"ids":["a","b"],"text":"h\u00e4"}"#, Opcode::Text, "hä".as_bytes()),
            (r#"{"ids":[],"json":{"a": 1.50}}"#, Opcode::Text, br#"{"a": 1.50}"#),
            (r#"{"ids":[],"json":null}"#, Opcode::Text, b"null"),
            (r#"{"ids":[],"base64":"/wA="}"#, Opcode::Binary, b"\xff\x00"),
            (r#"{"ids":[],"base64":"/wA"}"#, Opcode::Binary, b"\xff\x00"),
            (r#"{"ids":[],"text":""}"#, Opcode::Text, b""),
        ] {
            let batch = parse(body).unwrap();
            assert_eq!((batch.frame.opcode(), &batch.frame.payload()[..]), (opcode, payload), "{body}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_its_reason() {
        for (body, reason) in [
            ("", "batch_parse"),
            ("[]", "batch_parse"),
            (r#"{"text":"a"}"#, "batch_parse"),
            (r#"{"ids":["a"],"text":"a","extra":1}"#, "batch_parse"),
            (r#"{"ids":["a"],"text":null}"#, "batch_parse"),
            (r#"{"ids":["a"],"text":"a","text":"b"}"#, "batch_parse"),
            (r#"{"ids":[1],"text":"a"}"#, "batch_parse"),
            (r#"{"ids":["a"]}"#, "not_one_message"),
            (r#"{"ids":["a"],"text":"a","json":1}"#, "not_one_message"),
            (r#"{"ids":["a"],"json":null,"base64":""}"#, "not_one_message"),
            (r#"{"ids":["a"],"base64":"%%%"}"#, "base64"),
            (r#"{"ids":["a"],"text":"123456789012345678901"}"#, "payload_too_large"),
        ] {
            assert_eq!(parse(body).unwrap_err().reason(), reason, "{body}");
        }
    }

    #[test]
    fn a_thousand_ids_are_taken_and_one_more_is_not() {
        let with = |count: usize| parse(&serde_json::json!({"ids": vec!["x"; count], "text": "a"}).to_string());
        assert_eq!(with(MAX_IDS).unwrap().ids.len(), MAX_IDS);
        assert_eq!(with(MAX_IDS + 1).unwrap_err().reason(), "too_many_ids");
    }

    #[test]
    fn the_message_is_charged_once_however_many_receive_it() {
        let budget = Budget::new(1000);
        let batch = Batch::parse(br#"{"ids":["a","b","c"],"text":"12345"}"#, 20, &budget).unwrap();
        let copies = vec![batch.frame.clone(); 3];
        assert_eq!(budget.used(), 5);
        drop((batch, copies));
        assert_eq!(budget.used(), 0);
    }

    proptest! {
        #[test]
        fn no_body_makes_the_parser_panic(body: Vec<u8>) {
            let _ = Batch::parse(&body, 20, &Budget::new(1000));
        }
    }
}

//! Connection ids: 128 random bits, written as 22 characters of base64url.
//!
//! Random rather than counted, because an id is a capability: whoever holds one on the callback API may push to the
//! connection, so ids must not be guessable or enumerable. No address is inside.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Names one connection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId([u8; 16]);

/// The text is not a connection id.
#[derive(Debug, thiserror::Error)]
#[error("a connection id is 22 characters of base64url")]
pub struct ParseIdError;

impl ConnectionId {
    /// A new id.
    pub fn random() -> Self {
        Self(rand::random())
    }

    /// The characters of the id, without an allocation.
    pub fn encode(&self) -> [u8; 22] {
        let mut text = [0_u8; 22];
        // 16 bytes always make 22 characters, so this cannot fail; an empty id would be refused everywhere.
        let _ = URL_SAFE_NO_PAD.encode_slice(self.0, &mut text);
        text
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.encode()).unwrap_or_default())
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ConnectionId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // AWS's ids end in `=`, and clients written for it may pad; ours never need it.
        let mut id = [0_u8; 16];
        match URL_SAFE_NO_PAD.decode_slice(text.trim_end_matches('='), &mut id) {
            Ok(16) => Ok(Self(id)),
            _ => Err(ParseIdError),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_round_trips_through_its_text() {
        let id = ConnectionId::random();
        assert_eq!(id.to_string().len(), 22);
        assert_eq!(id.to_string().parse::<ConnectionId>().ok(), Some(id));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "abc", "0123456789012345678901é", "01234567890123456789012345", "????????????????????????"] {
            assert!(text.parse::<ConnectionId>().is_err(), "{text}");
        }
    }
}

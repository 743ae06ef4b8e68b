//! A WebSocket frame on its way to a client.
//!
//! Servers do not mask, so the payload bytes of a frame are the same for every receiver: a broadcast shares one
//! `Bytes` and only the 2 to 10 header bytes are made per connection, on the stack. Rejected: handing
//! `tungstenite::Message` to each connection, which copies the payload into a per-connection buffer that keeps the
//! size of the largest message ever sent.

use bytes::Bytes;

/// The longest reason a Close frame can carry: 125 bytes of control payload less the two bytes of the code.
pub const MAX_REASON_BYTES: usize = 123;

/// What a frame is, as RFC 6455 section 5.2 numbers it. Only those a server of ours sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// UTF-8 text.
    Text = 0x1,
    /// Bytes.
    Binary = 0x2,
    /// The closing handshake.
    Close = 0x8,
}

/// One whole, unfragmented message to a client.
#[derive(Clone, Debug)]
pub struct Frame {
    opcode: Opcode,
    payload: Bytes,
}

/// The encoded header of a frame.
#[derive(Clone, Copy, Debug)]
pub struct FrameHead {
    bytes: [u8; 10],
    len: u8,
}

impl FrameHead {
    /// The header as it goes on the wire.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl Frame {
    /// A text frame.
    pub fn text(text: impl Into<String>) -> Self {
        Self { opcode: Opcode::Text, payload: Bytes::from(text.into()) }
    }

    /// A binary frame.
    pub fn binary(payload: impl Into<Bytes>) -> Self {
        Self { opcode: Opcode::Binary, payload: payload.into() }
    }

    /// A text frame if the bytes are UTF-8, without copying them; otherwise the bytes come back.
    pub fn text_from_utf8(payload: Bytes) -> Result<Self, Bytes> {
        if std::str::from_utf8(&payload).is_ok() { Ok(Self { opcode: Opcode::Text, payload }) } else { Err(payload) }
    }

    /// A Close frame. A reason that is too long is cut at a character boundary rather than refused: the code is what
    /// clients act on.
    pub fn close(code: u16, reason: &str) -> Self {
        let reason = cut(reason, MAX_REASON_BYTES);
        let mut payload = Vec::with_capacity(2 + reason.len());
        payload.extend_from_slice(&code.to_be_bytes());
        payload.extend_from_slice(reason.as_bytes());
        Self { opcode: Opcode::Close, payload: payload.into() }
    }

    /// The answer to a client's Close: its own code and reason, or none as it sent none.
    pub fn close_echo(code: u16, reason: &str) -> Self {
        if code == crate::closing::NO_STATUS {
            return Self { opcode: Opcode::Close, payload: Bytes::new() };
        }
        Self::close(code, reason)
    }

    /// What the frame is.
    pub fn opcode(&self) -> Opcode {
        self.opcode
    }

    /// The payload.
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// The same frame over other bytes of the same content; for accounting wrappers.
    #[must_use]
    pub fn map_payload(self, map: impl FnOnce(Bytes) -> Bytes) -> Self {
        Self { opcode: self.opcode, payload: map(self.payload) }
    }

    /// Bytes on the wire, header included.
    pub fn wire_bytes(&self) -> usize {
        usize::from(self.head().len) + self.payload.len()
    }

    /// The header that precedes the payload.
    pub fn head(&self) -> FrameHead {
        let mut bytes = [0_u8; 10];
        bytes[0] = 0x80 | self.opcode as u8;
        let len = self.payload.len();
        let head_len = if let Ok(short) = u8::try_from(len)
            && short < 126
        {
            bytes[1] = short;
            2
        } else if let Ok(medium) = u16::try_from(len) {
            bytes[1] = 126;
            bytes[2..4].copy_from_slice(&medium.to_be_bytes());
            4
        } else {
            bytes[1] = 127;
            bytes[2..10].copy_from_slice(&(len as u64).to_be_bytes());
            10
        };
        FrameHead { bytes, len: head_len }
    }
}

/// The longest prefix of `text` that fits `max` bytes and ends at a character boundary.
pub fn cut(text: &str, max: usize) -> &str {
    if text.len() <= max {
        return text;
    }
    let mut end = max;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_grows_with_the_payload_as_rfc_6455_says() {
        for (len, head) in [
            (0, vec![0x82, 0]),
            (125, vec![0x82, 125]),
            (126, vec![0x82, 126, 0, 126]),
            (65_535, vec![0x82, 126, 0xff, 0xff]),
            (65_536, vec![0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let frame = Frame::binary(vec![0; len]);
            assert_eq!(frame.head().as_slice(), head);
            assert_eq!(frame.wire_bytes(), head.len() + len);
        }
    }

    #[test]
    fn a_long_close_reason_is_cut_at_a_character_boundary() {
        let frame = Frame::close(1000, &"ä".repeat(100));
        assert_eq!(frame.payload().len(), 2 + 122);
        assert!(std::str::from_utf8(&frame.payload()[2..]).is_ok());
    }

    #[test]
    fn bytes_that_are_not_utf8_never_become_a_text_frame() {
        assert!(Frame::text_from_utf8(Bytes::from_static(b"\xff")).is_err());
        assert!(Frame::text_from_utf8(Bytes::from_static("ä".as_bytes())).is_ok());
    }
}

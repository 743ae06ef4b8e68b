//! WebSocket frames as bytes, legal or not.
//!
//! Written from RFC 6455 section 5.2 and independent of the library of the data plane, so that what it
//! sends on purpose and what it accepts by mistake can both be tested.

use tokio::io::AsyncRead;

use super::received::Buffer;

pub(crate) const CONTINUATION: u8 = 0x0;
pub(crate) const TEXT: u8 = 0x1;
pub(crate) const BINARY: u8 = 0x2;
pub(crate) const CLOSE: u8 = 0x8;
pub(crate) const PING: u8 = 0x9;
pub(crate) const PONG: u8 = 0xA;

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) fin: bool,
    /// The three reserved bits.
    pub(crate) reserved: u8,
    pub(crate) opcode: u8,
    pub(crate) masked: bool,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// A whole message in one masked frame, as clients must send them.
    pub(crate) fn new(opcode: u8, payload: impl AsRef<[u8]>) -> Self {
        Self { fin: true, reserved: 0, opcode, masked: true, payload: payload.as_ref().to_vec() }
    }

    /// A piece of a message that goes on.
    pub(crate) fn begun(opcode: u8, payload: impl AsRef<[u8]>) -> Self {
        Self { fin: false, ..Self::new(opcode, payload) }
    }

    pub(crate) fn close(code: u16, reason: &str) -> Self {
        let mut payload = code.to_be_bytes().to_vec();
        payload.extend(reason.as_bytes());
        Self::new(CLOSE, payload)
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.header(self.payload.len() as u64);
        if self.masked {
            const KEY: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];
            bytes.extend(KEY);
            bytes.extend(self.payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
        } else {
            bytes.extend(&self.payload);
        }
        bytes
    }

    /// The header alone, announcing a length that need not be true.
    pub(crate) fn header(&self, length: u64) -> Vec<u8> {
        let mut bytes = vec![(u8::from(self.fin) << 7) | (self.reserved << 4) | self.opcode];
        let mask = u8::from(self.masked) << 7;
        match (u8::try_from(length), u16::try_from(length)) {
            (Ok(short @ 0..126), _) => bytes.push(mask | short),
            (_, Ok(medium)) => {
                bytes.push(mask + 126);
                bytes.extend(medium.to_be_bytes());
            }
            _ => {
                bytes.push(mask + 127);
                bytes.extend(length.to_be_bytes());
            }
        }
        bytes
    }

    /// The code and reason of a Close. 1005 stands for "none", as the protocol has it.
    pub(crate) fn close_parts(&self) -> (u16, String) {
        assert_eq!(self.opcode, CLOSE);
        match self.payload.split_at_checked(2) {
            Some((code, reason)) => {
                (u16::from_be_bytes([code[0], code[1]]), String::from_utf8(reason.to_vec()).expect("a reason is UTF-8"))
            }
            None => (1005, String::new()),
        }
    }
}

/// The next frame. None at the end of the stream or a reset.
pub(crate) async fn read_frame<R: AsyncRead + Unpin>(buffer: &mut Buffer, stream: &mut R) -> Option<Frame> {
    let start = buffer.take(stream, 2).await?;
    let masked = start[1] & 0x80 != 0;
    let length = match start[1] & 0x7F {
        126 => u64::from(u16::from_be_bytes(buffer.take(stream, 2).await?.try_into().ok()?)),
        127 => u64::from_be_bytes(buffer.take(stream, 8).await?.try_into().ok()?),
        short => u64::from(short),
    };
    let key = if masked { buffer.take(stream, 4).await? } else { vec![0; 4] };
    let mut payload = buffer.take(stream, usize::try_from(length).ok()?).await?;
    for (byte, key) in payload.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
    Some(Frame { fin: start[0] & 0x80 != 0, reserved: (start[0] >> 4) & 7, opcode: start[0] & 0xF, masked, payload })
}

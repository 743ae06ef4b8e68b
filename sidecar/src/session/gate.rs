//! Decides how many of the bytes at hand tungstenite may see at once, so that a large message leaves no large buffer.
//!
//! tungstenite reserves room for a frame's payload behind whatever it has read already, and goes on using that
//! allocation for ever after: one message of 100 KB made a connection 100 KiB larger for the rest of its life. If it has
//! read exactly the header when it reserves, the buffer fits the payload to the byte, nothing is left behind it, and the
//! next read starts a small one (the payload is still held then, so the large one cannot be taken up again). The gate
//! therefore stops once behind the header of each large frame. Rejected: making the protocol machine anew after a large
//! message, which would lose what it has read ahead.

/// Frames of at most this payload are not worth stopping for: the buffer they leave is as small as others.
const SMALL_PAYLOAD: u64 = 2048;
/// The longest header of a client's frame: two bytes, eight of length, four of mask.
const MAX_HEADER: usize = 14;

/// Follows the frames in a client's bytes. It believes the lengths only as far as the limits of the protocol machine,
/// which sees the same bytes and ends the connection where they are broken.
#[derive(Debug, Default)]
pub(super) struct Gate {
    /// The header so far.
    header: [u8; MAX_HEADER],
    header_len: u8,
    /// Payload of the current frame still to come.
    payload: u64,
}

impl Gate {
    /// How many of `bytes`, which come next in the stream, may be seen now. At least one, if there is one.
    pub(super) fn admit(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while at < bytes.len() {
            if self.payload > 0 {
                let rest = bytes.len() - at;
                let taken = usize::try_from(self.payload).map_or(rest, |payload| payload.min(rest));
                self.payload -= taken as u64;
                at += taken;
                continue;
            }
            self.header[usize::from(self.header_len)] = bytes[at];
            self.header_len += 1;
            at += 1;
            if let Some(payload) = self.complete_header() {
                self.header_len = 0;
                self.payload = payload;
                if payload > SMALL_PAYLOAD {
                    break;
                }
            }
        }
        at
    }

    /// Whether much of a frame is still to come.
    pub(super) fn is_inside_large_frame(&self) -> bool {
        self.payload > SMALL_PAYLOAD
    }

    /// The payload's length, once the header is whole.
    fn complete_header(&self) -> Option<u64> {
        let header = &self.header[..usize::from(self.header_len)];
        let second = *header.get(1)?;
        let mask = if second & 0x80 == 0 { 0 } else { 4 };
        let (len, payload) = match second & 0x7f {
            126 => (4, u64::from(u16::from_be_bytes(header.get(2..4)?.try_into().ok()?))),
            127 => (10, u64::from_be_bytes(header.get(2..10)?.try_into().ok()?)),
            short => (2, u64::from(short)),
        };
        (header.len() == len + mask).then_some(payload)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(payload: usize) -> Vec<u8> {
        let mut frame = vec![0x82];
        match payload {
            0..126 => frame.push(0x80 | u8::try_from(payload).unwrap()),
            126..65_536 => {
                frame.push(0xfe);
                frame.extend(u16::try_from(payload).unwrap().to_be_bytes());
            }
            _ => {
                frame.push(0xff);
                frame.extend((payload as u64).to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.resize(frame.len() + payload, b'x');
        frame
    }

    #[test]
    fn it_stops_behind_the_header_of_a_large_frame_and_nowhere_else() {
        let stream = [frame(5), frame(0), frame(3000), frame(200), frame(70_000), frame(1)].concat();
        let mut gate = Gate::default();
        let mut stops = Vec::new();
        let mut at = 0;
        while at < stream.len() {
            at += gate.admit(&stream[at..]);
            stops.push(at);
        }
        let first = 11 + 6 + 8;
        let second = first + 3000 + 208 + 14;
        assert_eq!(stops, [first, second, stream.len()]);
    }

    proptest! {
        #[test]
        fn however_the_bytes_arrive_it_stops_at_the_same_places(
            payloads in prop::collection::vec(0_usize..6000, 1..8),
            cuts in prop::collection::vec(1_usize..900, 1..50),
        ) {
            let stream: Vec<u8> = payloads.iter().flat_map(|payload| frame(*payload)).collect();
            // Behind the header of each large frame, counted from the frames themselves.
            let mut wanted = Vec::new();
            let mut start = 0;
            for payload in &payloads {
                let end = start + frame(*payload).len();
                if *payload as u64 > SMALL_PAYLOAD {
                    wanted.push(end - payload);
                }
                start = end;
            }
            let mut gate = Gate::default();
            let (mut at, mut cut) = (0, 0);
            let mut stops = Vec::new();
            while at < stream.len() {
                let end = (at + cuts[cut % cuts.len()]).min(stream.len());
                cut += 1;
                let admitted = gate.admit(&stream[at..end]);
                prop_assert!(admitted > 0);
                at += admitted;
                stops.push(at);
            }
            prop_assert!(wanted.iter().all(|position| stops.contains(position)), "{wanted:?} in {stops:?}");
        }

        #[test]
        fn no_bytes_make_it_panic_or_stand_still(bytes in prop::collection::vec(any::<u8>(), 1..200)) {
            let mut gate = Gate::default();
            let mut at = 0;
            while at < bytes.len() {
                let admitted = gate.admit(&bytes[at..]);
                prop_assert!(admitted > 0);
                at += admitted;
            }
        }
    }
}

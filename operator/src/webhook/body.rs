//! Reads the body of a request within bounds of size, memory and time.
//!
//! What cannot be read in full is not refused: its beginning says which review it is, and that is all it takes to admit
//! the pod with a warning. So the first bytes are always kept, and the rest only when there is room.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures_util::{Stream, StreamExt as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

/// The largest review that is read. The API server takes pods of up to 1.5 MiB, of which JSON can make several times
/// that, because it writes `<` as six characters.
pub(super) const MAX_BYTES: usize = 8 * 1024 * 1024;
/// Reviews held in memory at a time; each costs a few times its size while it is looked at.
const MAX_HELD_BYTES: usize = 2 * MAX_BYTES;
/// Enough to find out which review it is.
const HEAD_BYTES: usize = 4 * 1024;
/// How long a body may take, waiting for room included. Less than the five seconds that the API server waits.
const WITHIN: Duration = Duration::from_secs(4);
/// Room is counted in pieces of this size.
const PIECE_BYTES: usize = 1024;

/// Why a body was not read in full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Short {
    /// It is larger than [`MAX_BYTES`].
    TooLarge,
    /// Too many others were being read.
    Busy,
    /// It did not come in time, or the connection ended.
    Slow,
}

/// A body that was read.
pub(super) struct Body {
    /// All of it, or its beginning.
    pub(super) bytes: Vec<u8>,
    /// Set when it is only the beginning.
    pub(super) short: Option<Short>,
    /// Its room; given back when the body is dropped.
    _room: Option<OwnedSemaphorePermit>,
}

/// The room for bodies.
#[derive(Debug, Clone)]
pub(super) struct Room(Arc<Semaphore>);

impl Default for Room {
    fn default() -> Self {
        Self::of(MAX_HELD_BYTES)
    }
}

impl Room {
    pub(super) fn of(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes / PIECE_BYTES)))
    }

    /// Reads a body. `length`: what the request says it is.
    pub(super) async fn read<S, B, E>(&self, length: Option<u64>, stream: S) -> Body
    where
        S: Stream<Item = Result<B, E>>,
        B: Buf,
    {
        let deadline = Instant::now() + WITHIN;
        let mut reader = Reader { stream: Box::pin(stream), bytes: Vec::new(), deadline };
        // The head costs little, and is taken before room is waited for.
        let is_whole = reader.until(HEAD_BYTES).await;
        let (room, short) = match is_whole {
            Ok(true) => (None, None),
            Err(short) => (None, Some(short)),
            Ok(false) => match self.reserve(length, deadline).await {
                Err(short) => (None, Some(short)),
                Ok(room) => {
                    let short = match reader.until(MAX_BYTES).await {
                        Ok(true) => None,
                        Ok(false) => Some(Short::TooLarge),
                        Err(short) => Some(short),
                    };
                    (Some(room), short)
                }
            },
        };
        if short.is_some() {
            // Read to its end, because a client that is answered while it writes may miss the answer.
            reader.discard().await;
        }
        Body { bytes: reader.bytes, short, _room: room }
    }

    async fn reserve(&self, length: Option<u64>, deadline: Instant) -> Result<OwnedSemaphorePermit, Short> {
        let bytes = length.and_then(|length| usize::try_from(length).ok()).unwrap_or(MAX_BYTES);
        if bytes > MAX_BYTES {
            return Err(Short::TooLarge);
        }
        let pieces = u32::try_from(bytes.div_ceil(PIECE_BYTES)).unwrap_or(u32::MAX);
        // Half of the time, so that an answer is left when there is no room.
        let patience = Instant::now() + (deadline - Instant::now()) / 2;
        let reserved = timeout_at(patience, Arc::clone(&self.0).acquire_many_owned(pieces)).await;
        reserved.map_err(|_| Short::Busy)?.map_err(|_| Short::Busy)
    }
}

struct Reader<S> {
    stream: std::pin::Pin<Box<S>>,
    bytes: Vec<u8>,
    deadline: Instant,
}

impl<S, B, E> Reader<S>
where
    S: Stream<Item = Result<B, E>>,
    B: Buf,
{
    /// Reads on until there are more than `most` bytes, which is `false`, or the body ends.
    async fn until(&mut self, most: usize) -> Result<bool, Short> {
        while self.bytes.len() <= most {
            match self.chunk().await? {
                Some(chunk) => self.bytes.extend_from_slice(&chunk),
                None => return Ok(true),
            }
        }
        Ok(false)
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, Short> {
        match timeout_at(self.deadline, self.stream.next()).await {
            Ok(Some(Ok(mut chunk))) => Ok(Some(chunk.copy_to_bytes(chunk.remaining()))),
            Ok(Some(Err(_))) | Err(_) => Err(Short::Slow),
            Ok(None) => Ok(None),
        }
    }

    async fn discard(&mut self) {
        self.bytes.truncate(HEAD_BYTES);
        self.bytes.shrink_to_fit();
        while let Ok(Some(_)) = self.chunk().await {}
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // tests fail by panicking
    use futures_util::stream;

    use super::*;

    fn chunks(sizes: &[usize]) -> impl Stream<Item = Result<Bytes, ()>> + use<> {
        let chunks: Vec<_> = sizes.iter().map(|size| Ok(Bytes::from(vec![b'x'; *size]))).collect();
        stream::iter(chunks)
    }

    #[tokio::test]
    async fn a_body_within_the_bounds_is_read_in_full() {
        for sizes in [&[][..], &[10], &[HEAD_BYTES, 1], &[MAX_BYTES / 2, MAX_BYTES / 2]] {
            let body = Room::default().read(None, chunks(sizes)).await;
            assert_eq!((body.bytes.len(), body.short), (sizes.iter().sum(), None));
        }
    }

    #[tokio::test]
    async fn of_a_body_that_is_too_large_the_beginning_is_kept() {
        let sizes = [MAX_BYTES, 1];
        for length in [None, Some(u64::try_from(MAX_BYTES).unwrap() + 1)] {
            let body = Room::default().read(length, chunks(&sizes)).await;
            assert_eq!((body.bytes.len(), body.short), (HEAD_BYTES, Some(Short::TooLarge)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_given_up() {
        let body = Room::default().read(None, chunks(&[100]).chain(stream::pending())).await;
        assert_eq!((body.bytes.len(), body.short), (100, Some(Short::Slow)));
        let body = Room::default().read(None, chunks(&[HEAD_BYTES * 2]).chain(stream::pending())).await;
        assert_eq!((body.bytes.len(), body.short), (HEAD_BYTES, Some(Short::Slow)));
    }

    #[tokio::test(start_paused = true)]
    async fn without_room_the_beginning_is_kept_and_room_comes_back() {
        let (size, room) = (HEAD_BYTES * 4, Room::of(HEAD_BYTES * 5));
        let length = Some(u64::try_from(size).unwrap());
        let first = room.read(length, chunks(&[size])).await;
        assert_eq!(first.short, None);
        let second = room.read(length, chunks(&[size / 2, size / 2])).await;
        assert_eq!((second.bytes.len(), second.short), (HEAD_BYTES, Some(Short::Busy)));
        drop(first);
        assert_eq!(room.read(length, chunks(&[size])).await.short, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_small_body_needs_no_room() {
        let room = Room::of(0);
        assert_eq!(room.read(Some(10), chunks(&[10])).await.short, None);
    }
}

//! Reads the body of a request within its bounds.
//!
//! What is read counts against the process-wide budget while it is read, or a thousand callers could hold a thousand
//! unfinished bodies that nobody counted. It is copied into memory of its own size: the chunks are slices of hyper's
//! read buffer, and a short message that waits in a queue must not keep that whole buffer alive.
//!
//! A body that is too large is read on and thrown away for a while before the refusal is sent. Closing a socket with
//! unread input resets it, and the reset would destroy the answer that says why.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures_util::{Stream, StreamExt as _};
use http::{HeaderMap, header};
use tokio::time::timeout;

use super::error::ApiError;
use crate::budget::Budget;

/// How long a body may take to arrive.
const READ_WITHIN: Duration = Duration::from_secs(30);
/// How much and how long is read of a body that will be refused.
const DISCARD_BYTES: usize = 16 * 1024 * 1024;
const DISCARD_WITHIN: Duration = Duration::from_secs(5);
/// What is collected before it is charged. Charging each chunk would let a caller who dribbles single bytes cost a
/// hundred times what it sends.
const BLOCK_BYTES: usize = 64 * 1024;

/// Reads the whole body. The bytes returned are charged until they are dropped.
pub(super) async fn read<S, B, E>(
    headers: &HeaderMap,
    body: S,
    limit_bytes: usize,
    budget: &Arc<Budget>,
) -> Result<Bytes, ApiError>
where
    S: Stream<Item = Result<B, E>>,
    B: Buf,
{
    read_within(READ_WITHIN, headers, body, limit_bytes, budget).await
}

async fn read_within<S, B, E>(
    within: Duration,
    headers: &HeaderMap,
    body: S,
    limit_bytes: usize,
    budget: &Arc<Budget>,
) -> Result<Bytes, ApiError>
where
    S: Stream<Item = Result<B, E>>,
    B: Buf,
{
    tokio::pin!(body);
    let declared = declared_length(headers);
    let result = if declared.is_some_and(|declared| declared > limit_bytes as u64) {
        Err(ApiError::TooLarge { limit_bytes })
    } else if budget.is_spent() {
        Err(ApiError::BudgetSpent)
    } else {
        timeout(within, collect(&mut body, limit_bytes, budget)).await.unwrap_or(Err(ApiError::BodyTimeout))
    };
    if let Err(ApiError::TooLarge { .. } | ApiError::BudgetSpent) = &result
        && !waits_for_continue(headers)
        && declared.is_none_or(|declared| declared <= DISCARD_BYTES as u64)
    {
        // Whether it all came is not of interest: the answer is the same.
        let _ = timeout(DISCARD_WITHIN, discard(&mut body)).await;
    }
    result
}

async fn collect<S, B, E>(body: &mut S, limit_bytes: usize, budget: &Arc<Budget>) -> Result<Bytes, ApiError>
where
    S: Stream<Item = Result<B, E>> + Unpin,
    B: Buf,
{
    let mut charged: Vec<Bytes> = Vec::new();
    let mut block: Vec<u8> = Vec::new();
    let mut len = 0;
    while let Some(chunk) = body.next().await {
        let mut chunk = chunk.map_err(|_| ApiError::BodyRead)?;
        len += chunk.remaining();
        if len > limit_bytes {
            return Err(ApiError::TooLarge { limit_bytes });
        }
        while chunk.has_remaining() {
            let slice = chunk.chunk();
            block.extend_from_slice(slice);
            let taken = slice.len();
            chunk.advance(taken);
        }
        if block.len() >= BLOCK_BYTES {
            charged.push(budget.charge(std::mem::take(&mut block).into()));
            if budget.is_spent() {
                return Err(ApiError::BudgetSpent);
            }
        }
    }
    if charged.is_empty() {
        return Ok(budget.charge(block.into()));
    }
    let mut whole = Vec::with_capacity(len);
    for part in &charged {
        whole.extend_from_slice(part);
    }
    whole.extend_from_slice(&block);
    // The parts are given back first: charged with the whole they would count twice.
    drop(charged);
    Ok(budget.charge(whole.into()))
}

async fn discard<S, B, E>(body: &mut S)
where
    S: Stream<Item = Result<B, E>> + Unpin,
    B: Buf,
{
    let mut len = 0;
    while let Some(Ok(chunk)) = body.next().await {
        len += chunk.remaining();
        if len > DISCARD_BYTES {
            return;
        }
    }
}

fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Such a caller sends no body before it is asked to, so there is nothing to read on for.
fn waits_for_continue(headers: &HeaderMap) -> bool {
    headers.get(header::EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // tests fail by panicking
    use std::convert::Infallible;

    use futures_util::stream;
    use http::HeaderValue;

    use super::*;

    fn chunks(sizes: &[usize]) -> impl Stream<Item = Result<Bytes, Infallible>> {
        stream::iter(sizes.iter().map(|size| Ok(Bytes::from(vec![b'x'; *size]))).collect::<Vec<_>>())
    }

    #[tokio::test]
    async fn the_chunks_come_out_as_one_charged_body() {
        let budget = Budget::new(10_000_000);
        for sizes in [&[][..], &[3], &[3, 0, 4], &[BLOCK_BYTES], &[BLOCK_BYTES, 1], &[BLOCK_BYTES + 1, BLOCK_BYTES, 7]]
        {
            let body = read(&HeaderMap::new(), chunks(sizes), 1_000_000, &budget).await.unwrap();
            assert_eq!(body.len(), sizes.iter().sum::<usize>());
            assert_eq!(budget.used(), body.len());
        }
        assert_eq!(budget.used(), 0);
    }

    #[tokio::test]
    async fn the_limit_is_the_last_size_that_passes() {
        let budget = Budget::new(1000);
        assert!(read(&HeaderMap::new(), chunks(&[6, 4]), 10, &budget).await.is_ok());
        let error = read(&HeaderMap::new(), chunks(&[6, 5]), 10, &budget).await.unwrap_err();
        assert_eq!(error.kind(), "PayloadTooLargeException");
        assert_eq!(budget.used(), 0);
    }

    #[tokio::test]
    async fn a_declared_length_over_the_limit_is_refused_before_the_body_is_read() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("11"));
        headers.insert(header::EXPECT, HeaderValue::from_static("100-Continue"));
        let never = stream::pending::<Result<Bytes, Infallible>>();
        let error = read(&headers, never, 10, &Budget::new(1000)).await.unwrap_err();
        assert_eq!(error.kind(), "PayloadTooLargeException");
    }

    #[tokio::test]
    async fn a_spent_budget_ends_the_reading() {
        let budget = Budget::new(BLOCK_BYTES);
        let error = read(&HeaderMap::new(), chunks(&[BLOCK_BYTES, 1]), 1_000_000, &budget).await.unwrap_err();
        assert_eq!(error.reason(), "budget_spent");
        assert_eq!(budget.used(), 0);
    }

    #[tokio::test]
    async fn a_body_that_stops_coming_is_given_up() {
        let stopped = chunks(&[1]).chain(stream::pending());
        let within = Duration::from_millis(10);
        let error = read_within(within, &HeaderMap::new(), stopped, 10, &Budget::new(1000)).await.unwrap_err();
        assert_eq!(error.reason(), "body_timeout");
    }
}

//! The calls in flight of one connection.
//!
//! They run inside the connection's own task: an answer needs no wake-up of another task to reach the socket, and a
//! connection that ends cannot leave a call behind. The first call has a place of its own, because in order (one in
//! flight) is the default and should cost no more than one boxed future.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use crate::exchange::Outcome;

type Call = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// Calls in flight.
#[derive(Default)]
pub(super) struct Calls {
    first: Option<Call>,
    others: Option<Box<FuturesUnordered<Call>>>,
}

impl Calls {
    /// How many are in flight.
    pub(super) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.others.as_ref().map_or(0, |others| others.len())
    }

    /// Whether none is in flight.
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Starts a call.
    pub(super) fn start(&mut self, call: Call) {
        if self.first.is_none() {
            self.first = Some(call);
        } else {
            self.others.get_or_insert_default().push(call);
        }
    }

    /// The next outcome, in the order calls end.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        if let Some(call) = &mut self.first
            && let Poll::Ready(outcome) = call.as_mut().poll(cx)
        {
            self.first = None;
            return Poll::Ready(outcome);
        }
        if let Some(others) = &mut self.others {
            match others.poll_next_unpin(cx) {
                Poll::Ready(Some(outcome)) => return Poll::Ready(outcome),
                Poll::Ready(None) => self.others = None,
                Poll::Pending => {}
            }
        }
        Poll::Pending
    }
}

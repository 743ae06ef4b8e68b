//! A call: one attempt, and at most one more where that cannot make the app act twice.
//!
//! The app may have acted on a request as soon as a byte of it left, so a second attempt needs a reason
//! in the protocol: no connection was made, hyper handed the request back, or the method is idempotent
//! and a kept-alive connection ended silently, which is what an app's idle time-out looks like.
//! Repeating on every failure, as many proxies can be told to, would run an order twice.

use std::pin::pin;

use bytes::Bytes;
use futures_util::TryFutureExt as _;
use http::{HeaderValue, Method, Request, Version, header};
use http_body_util::Full;

use tokio::time::Instant;

use super::{Answer, CallError, CallOptions, Pool, error::Result, reuse};

/// A call without an answer.
#[derive(Debug)]
pub(super) struct Missed {
    /// Why.
    pub(super) error: CallError,
    /// The request, if nobody can have acted on it, or acting twice has the effect of once. Boxed as it is large and
    /// rare.
    pub(super) unbegun: Option<Box<Request<Full<Bytes>>>>,
}

impl Pool {
    /// Sends a request and waits for the whole answer. Redirects are answers like any other.
    ///
    /// The URI is in origin form (`/path?query`). `Host` and the length are set here; everything else
    /// is sent as it is.
    ///
    /// # Repeats
    ///
    /// Once, and only if the connection was refused (it is tried again at once, which helps when an app
    /// is just opening its port), hyper returned the request unstarted, or the method is GET, HEAD, PUT,
    /// DELETE or OPTIONS and a reused connection ended before any byte of an answer. The second attempt
    /// is always on a new connection.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the connection it uses, as half an HTTP/1.1 exchange cannot be taken
    /// up again, and gives its place in the pool or the queue to the next call.
    // Not an `async fn`: one keeps its arguments beside what it makes of them, here the request twice.
    pub fn call(&self, request: Request<Bytes>, options: CallOptions) -> impl Future<Output = Result<Answer>> + Send {
        // Not `async` around `await` either, which would hold what it waits for twice.
        self.attempt(self.prepare(request), options, options.deadline).map_err(|missed| missed.error)
    }

    /// As [`Pool::call`], with a prepared request that comes back if it was not begun, and with a time of its own by
    /// which there must be a connection.
    #[allow(clippy::manual_async_fn)] // for the same reason as above
    pub(super) fn attempt(
        &self,
        mut request: Request<Full<Bytes>>,
        options: CallOptions,
        connect_by: Instant,
    ) -> impl Future<Output = Result<Answer, Missed>> + Send {
        async move {
            let CallOptions { deadline, answer_bytes, class } = options;
            let mut lease = match self.shared.acquire(class, deadline).await {
                Ok(lease) => lease,
                Err(error) => return Err(Missed { error, unbegun: Some(Box::new(request)) }),
            };
            let mut may_repeat = true;
            loop {
                let connection = match &mut lease.connection {
                    Some(connection) => connection,
                    // Boxed: connecting is rare, and its state would be in the memory of every call.
                    empty @ None => match Box::pin(self.shared.open(deadline.min(connect_by))).await {
                        Ok(connection) => empty.insert(connection),
                        Err(error) if may_repeat && self.shared.repeats() && is_refused(&error) => {
                            may_repeat = false;
                            continue;
                        }
                        Err(error) => return Err(Missed { error, unbegun: Some(Box::new(request)) }),
                    },
                };
                // hyper keeps the request once it began to send it, so a copy is needed to repeat it. The
                // body is shared; the headers are copied only where a repeat is allowed at all.
                let spare = (may_repeat && connection.is_used() && reuse::is_idempotent(request.method()))
                    .then(|| Box::new(request.clone()));
                let sent = pin!(connection.send(request, deadline));
                let failure = match connection.answer(sent, answer_bytes).await {
                    Ok(answer) => {
                        lease.is_whole = true;
                        return Ok(answer);
                    }
                    Err(failure) => failure,
                };
                lease.connection = None;
                match failure.unsent.or(spare.filter(|_| failure.silent)) {
                    Some(again) if may_repeat && self.shared.repeats() => request = *again,
                    unbegun => return Err(Missed { error: failure.error, unbegun }),
                }
                may_repeat = false;
            }
        }
    }

    /// Whether the app is worth a try for a call that could go elsewhere.
    pub(super) fn is_worth_a_try(&self) -> bool {
        self.shared.cooldown.may_try()
    }

    pub(super) fn prepare(&self, request: Request<Bytes>) -> Request<Full<Bytes>> {
        let mut request = self.address(request.map(Full::new));
        // hyper panics on a version it cannot write, and an answer to HTTP/1.0 ends the connection.
        *request.version_mut() = Version::HTTP_11;
        let is_empty = http_body::Body::is_end_stream(request.body());
        let takes_content = matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH);
        let headers = request.headers_mut();
        // A length or coding that came along would win over the true one and let the app read the
        // next request in the wrong place.
        headers.remove(header::TRANSFER_ENCODING);
        if is_empty && takes_content {
            // hyper leaves the length of an empty body out; some apps answer such a POST with 411.
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        } else {
            headers.remove(header::CONTENT_LENGTH);
        }
        request
    }
}

impl Pool {
    /// Addresses a request to this pool's app.
    pub(super) fn address(&self, mut request: Request<Full<Bytes>>) -> Request<Full<Bytes>> {
        let headers = request.headers_mut();
        headers.insert(header::HOST, self.shared.host.clone());
        if self.shared.repeats() {
            headers.remove(header::CONNECTION);
        } else {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        request
    }
}

fn is_refused(error: &CallError) -> bool {
    matches!(error, CallError::ConnectFailed(cause)
        if cause.kind() == std::io::ErrorKind::ConnectionRefused)
}

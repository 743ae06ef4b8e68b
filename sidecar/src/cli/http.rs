//! One HTTP call on one connection of its own: what `drain` and the demo need of a client.
//!
//! Not the data plane's pool: that one is made for one upstream and many calls, and its rules on repeats and timeouts
//! are those of a route. Here a call is made once, and how long it may take is the caller's affair.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// The largest answer that is read.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;

/// A call.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Its answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    /// The URL names no host, or another scheme.
    #[error("{0}: is not an http:// URL")]
    Url(Uri),
    /// Nobody listens there.
    #[error("{address}: {source}")]
    Connect { address: String, source: std::io::Error },
    /// The connection ended before the answer did, or the answer is not HTTP.
    #[error("{address}: {source}")]
    Exchange { address: String, source: hyper::Error },
    /// The answer is cut short or too large.
    #[error("{address}: the answer cannot be read")]
    Read { address: String },
}

impl Call {
    pub(super) fn new(method: Method, uri: Uri) -> Self {
        Self { method, uri, headers: HeaderMap::new(), body: Bytes::new() }
    }

    /// Makes the call.
    pub(super) async fn send(self) -> Result<Answer, CallError> {
        let authority = match self.uri.authority() {
            Some(authority) if self.uri.scheme() == Some(&http::uri::Scheme::HTTP) => authority.clone(),
            _ => return Err(CallError::Url(self.uri)),
        };
        let address = format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(80));
        let stream = TcpStream::connect(&address)
            .await
            .map_err(|source| CallError::Connect { address: address.clone(), source })?;
        let exchange_error = |source| CallError::Exchange { address: address.clone(), source };
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(exchange_error)?;
        let mut request = Request::builder()
            .method(self.method)
            .uri(self.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str))
            .header(header::HOST, authority.as_str())
            .body(Full::new(self.body))
            .map_err(|_| CallError::Url(self.uri))?;
        request.headers_mut().extend(self.headers);
        let exchange = async {
            let (parts, body) = sender.send_request(request).await.map_err(exchange_error)?.into_parts();
            // Ends the connection once the answer is complete.
            drop(sender);
            let body = Limited::new(body, MAX_ANSWER_BYTES)
                .collect()
                .await
                .map_err(|_| CallError::Read { address: address.clone() })?
                .to_bytes();
            Ok(Answer { status: parts.status, headers: parts.headers, body })
        };
        // Joined and not raced: a connection that ends right after the answer must not take the answer with it. An
        // error of the connection shows in the exchange.
        let (answer, _) = futures_util::future::join(exchange, connection).await;
        answer
    }
}

/// `http://address` and a path.
pub(super) fn url(address: SocketAddr, path: &str) -> String {
    format!("http://{address}{path}")
}

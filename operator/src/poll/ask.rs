//! Asks one sidecar what it serves.
//!
//! A connection per question: the next one to the same pod is a minute away, and a kept one would pin memory on both
//! sides for nothing. What comes back is from a pod, which is to say from anybody who can run one, so its size and its
//! time are bounded.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use moorline_crds::names;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::view::Report;

/// How long a question may take.
const WITHIN: Duration = Duration::from_secs(1);
/// The largest answer. One of a thousand routes has a tenth of it.
const MAX_ANSWER_BYTES: usize = 1 << 20;

/// Why there is no answer.
#[derive(Debug, Error)]
pub(super) enum AskError {
    #[error("no address: {0}")]
    Address(String),
    #[error("no connection: {0}")]
    Connect(#[source] std::io::Error),
    #[error("no answer: {0}")]
    Http(#[source] hyper::Error),
    #[error("an answer that cannot be read: {0}")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the status {0}")]
    Status(StatusCode),
    #[error("an answer that is none: {0}")]
    Decode(#[source] serde_json::Error),
    #[error("no answer in time")]
    Timeout,
}

impl AskError {
    /// A fixed name for the kind of error.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Address(_) => "address",
            Self::Connect(_) => "connect",
            Self::Http(_) => "http",
            Self::Body(_) => "body",
            Self::Status(_) => "status",
            Self::Decode(_) => "decode",
            Self::Timeout => "timeout",
        }
    }
}

/// Asks the sidecar at this address.
pub(super) async fn ask_sidecar(ip: &str) -> Result<Report, AskError> {
    ask(ip, names::ADMIN_PORT, WITHIN).await
}

async fn ask(ip: &str, port: u16, within: Duration) -> Result<Report, AskError> {
    let ip: IpAddr = ip.parse().map_err(|_| AskError::Address(ip.to_owned()))?;
    timeout(within, exchange(SocketAddr::new(ip, port))).await.unwrap_or(Err(AskError::Timeout))
}

async fn exchange(address: SocketAddr) -> Result<Report, AskError> {
    let stream = TcpStream::connect(address).await.map_err(AskError::Connect)?;
    let (mut sender, connection) =
        http1::Builder::new().max_buf_size(64 * 1024).handshake(TokioIo::new(stream)).await.map_err(AskError::Http)?;
    let question = async {
        let request = Request::get("/config")
            .header(header::HOST, address.to_string())
            .header(header::CONNECTION, "close")
            .body(Empty::<Bytes>::new())
            .map_err(|error| AskError::Body(error.into()))?;
        let answer = sender.send_request(request).await.map_err(AskError::Http)?;
        if answer.status() != StatusCode::OK {
            return Err(AskError::Status(answer.status()));
        }
        let body = Limited::new(answer.into_body(), MAX_ANSWER_BYTES).collect().await.map_err(AskError::Body)?;
        serde_json::from_slice(&body.to_bytes()).map_err(AskError::Decode)
    };
    tokio::pin!(connection, question);
    // The connection is driven here and not on a task: it ends with the answer, or with the timeout around both.
    tokio::select! {
        // The answer first: a body that is cut off ends the connection, too, and with a lesser reason.
        biased;
        answer = &mut question => answer,
        ended = &mut connection => match ended {
            Ok(()) => question.await,
            Err(error) => Err(AskError::Http(error)),
        },
    }
}

#[cfg(test)]
mod tests;

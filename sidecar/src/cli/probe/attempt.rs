//! One attempt: a handshake, a message if there is one to send, and the frame that answers it.
//!
//! The handshake is made with hyper and not with the WebSocket library: why a service refuses a connection is in the
//! body of its answer, of which the library keeps only what happened to arrive with the head. Every step has the
//! attempt's whole timeout as its bound, and an error names the step, because "timed out" alone says nothing about
//! which of name, port, route and app is wrong.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderName, HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

/// How much of a refusal's body is shown.
const MAX_REFUSAL_BYTES: usize = 4096;

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// What is tried.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) url: Uri,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// A text message to send once connected.
    pub(super) send: Option<String>,
    /// What a frame must contain to be the answer.
    pub(super) expect: Option<String>,
    pub(super) timeout: Duration,
}

/// What did not work.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProbeError {
    #[error("cannot be connected to: {0}")]
    Connect(io::Error),
    #[error("does not answer the handshake: {0}")]
    Handshake(hyper::Error),
    #[error("answers the handshake with {status}{}", said(.body))]
    Refused { status: StatusCode, body: String },
    #[error(
        "answers with 101, and a Sec-WebSocket-Accept that is not for our key: something between is no WebSocket proxy"
    )]
    WrongAccept,
    #[error("cannot be sent to: {0}")]
    Send(WsError),
    #[error("the connection was lost: {0}")]
    Receive(WsError),
    #[error("was closed with {code}{}", said(.reason))]
    Closed { code: u16, reason: String },
    #[error("{step} took longer than {} s", .limit.as_secs_f32())]
    Timeout { step: &'static str, limit: Duration },
    #[error("no frame with {wanted:?} came within {} s; the last one was {last:?}", .limit.as_secs_f32())]
    Unexpected { wanted: String, last: String, limit: Duration },
    #[error("a header cannot be sent: {0}")]
    Request(http::Error),
}

fn said(text: &str) -> String {
    let text = text.trim();
    if text.is_empty() { String::new() } else { format!(": {text}") }
}

impl Attempt {
    /// Makes it. Gives the frame that came, if one was waited for.
    pub(super) async fn make(&self) -> Result<Option<String>, ProbeError> {
        let mut socket = self.bounded("connecting", self.connect()).await??;
        if let Some(text) = &self.send {
            let sending = socket.send(Message::text(text.as_str()));
            self.bounded("sending", sending).await?.map_err(ProbeError::Send)?;
        }
        let received =
            if self.send.is_some() || self.expect.is_some() { Some(self.receive(&mut socket).await?) } else { None };
        self.close(socket).await;
        Ok(received)
    }

    async fn connect(&self) -> Result<Socket, ProbeError> {
        let host = self.url.host().unwrap_or_default().trim_matches(['[', ']']);
        let stream =
            TcpStream::connect((host, self.url.port_u16().unwrap_or(80))).await.map_err(ProbeError::Connect)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(ProbeError::Handshake)?;
        let key = generate_key();
        let request = self.request(&key).map_err(ProbeError::Request)?;
        let exchange = async {
            let answer = sender.send_request(request).await.map_err(ProbeError::Handshake)?;
            if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
                return Ok(answer);
            }
            let status = answer.status();
            let body = Limited::new(answer.into_body(), MAX_REFUSAL_BYTES).collect().await;
            let body = body.map(|body| String::from_utf8_lossy(&body.to_bytes()).into_owned()).unwrap_or_default();
            drop(sender);
            Err(ProbeError::Refused { status, body })
        };
        // Joined and not raced: a connection that ends right after the answer must not take the answer with it.
        let (answer, _) = futures_util::future::join(exchange, connection.with_upgrades()).await;
        let answer = answer?;
        let accepted = answer.headers().get(header::SEC_WEBSOCKET_ACCEPT).map(HeaderValue::as_bytes);
        if accepted != Some(derive_accept_key(key.as_bytes()).as_bytes()) {
            return Err(ProbeError::WrongAccept);
        }
        let upgraded = hyper::upgrade::on(answer).await.map_err(ProbeError::Handshake)?;
        Ok(WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Client, None).await)
    }

    fn request(&self, key: &str) -> Result<Request<Empty<Bytes>>, http::Error> {
        let authority = self.url.authority().map_or("", http::uri::Authority::as_str);
        let path = self.url.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let mut request = Request::get(path)
            .header(header::HOST, authority)
            .header(header::CONNECTION, "Upgrade")
            .header(header::UPGRADE, "websocket")
            .header(header::SEC_WEBSOCKET_VERSION, "13")
            .header(header::SEC_WEBSOCKET_KEY, key)
            .body(Empty::new())?;
        request.headers_mut().extend(self.headers.iter().cloned());
        Ok(request)
    }

    /// The first frame, or the first one with what is expected in it: a push may come before the answer does.
    async fn receive(&self, socket: &mut Socket) -> Result<String, ProbeError> {
        let mut last = None;
        let waiting = async {
            loop {
                let message = socket.next().await.unwrap_or(Err(WsError::ConnectionClosed));
                let text = match message.map_err(ProbeError::Receive)? {
                    Message::Text(text) => text.as_str().to_owned(),
                    Message::Binary(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                    Message::Close(frame) => {
                        let (code, reason) =
                            frame.map_or((1005, String::new()), |frame| (frame.code.into(), frame.reason.to_string()));
                        return Err(ProbeError::Closed { code, reason });
                    }
                    _ => continue,
                };
                if self.expect.as_ref().is_none_or(|wanted| text.contains(wanted)) {
                    return Ok(text);
                }
                last = Some(text);
            }
        };
        let received = self.bounded("waiting for a frame", waiting).await;
        match (received, &self.expect, last) {
            (Err(_), Some(wanted), Some(last)) => {
                Err(ProbeError::Unexpected { wanted: wanted.clone(), last, limit: self.timeout })
            }
            (received, _, _) => received?,
        }
    }

    /// Leaves in good manners. What is wrong from here on is no longer what was asked.
    async fn close(&self, mut socket: Socket) {
        let leaving = async {
            let frame = CloseFrame { code: 1000.into(), reason: "".into() };
            if socket.close(Some(frame)).await.is_ok() {
                while let Some(Ok(_)) = socket.next().await {}
            }
        };
        let _ = self.bounded("closing", leaving).await;
    }

    async fn bounded<T>(&self, step: &'static str, work: impl Future<Output = T>) -> Result<T, ProbeError> {
        tokio::time::timeout(self.timeout, work).await.map_err(|_| ProbeError::Timeout { step, limit: self.timeout })
    }
}

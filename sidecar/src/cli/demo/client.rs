//! The clients of the demo: ordinary WebSocket connections with an `Authorization` header.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use http::header::{self, HeaderValue};
use http::{HeaderMap, Method};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

use crate::cli::http::{Answer, Call, CallError, url};

/// How long anything may take. It takes a millisecond, unless something is broken.
const DEADLINE: Duration = Duration::from_secs(5);

/// A connected client.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) name: &'static str,
    socket: WebSocketStream<TcpStream>,
}

/// What went wrong with a client.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    /// The handshake failed.
    #[error("the handshake failed: {0}")]
    Handshake(Box<WsError>),
    /// Nothing came.
    #[error("nothing came within {} s", DEADLINE.as_secs())]
    Silence,
    /// The connection failed.
    #[error("the connection failed: {0}")]
    Connection(Box<WsError>),
    /// The other side closed.
    #[error("closed with {code} {reason}")]
    Closed { code: u16, reason: String },
    /// Something came that is not text.
    #[error("received {0}")]
    NotText(String),
    /// Something came that should not have.
    #[error("received {0}, which was for others")]
    Surplus(String),
    /// The plain HTTP call failed.
    #[error(transparent)]
    Call(#[from] CallError),
}

impl Client {
    /// Connects, signed in as `name`.
    pub(super) async fn connect(name: &'static str, address: SocketAddr, path: &str) -> Result<Self, ClientError> {
        let handshake = async {
            let mut request = format!("ws://{address}{path}").into_client_request()?;
            let credentials = HeaderValue::try_from(format!("Bearer {name}")).map_err(http::Error::from)?;
            request.headers_mut().insert(header::AUTHORIZATION, credentials);
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            tokio_tungstenite::client_async(request, stream).await
        };
        let (socket, _) = tokio::time::timeout(DEADLINE, handshake)
            .await
            .map_err(|_| ClientError::Silence)?
            .map_err(|error| ClientError::Handshake(Box::new(error)))?;
        Ok(Self { name, socket })
    }

    pub(super) async fn send(&mut self, text: &str) -> Result<(), ClientError> {
        self.socket.send(Message::text(text)).await.map_err(|error| ClientError::Connection(Box::new(error)))
    }

    /// The next message, and when it came.
    pub(super) async fn receive(&mut self) -> Result<(Instant, String), ClientError> {
        let text = tokio::time::timeout(DEADLINE, self.wait()).await.map_err(|_| ClientError::Silence)??;
        Ok((Instant::now(), text))
    }

    /// The next message, however long it takes.
    pub(super) async fn wait(&mut self) -> Result<String, ClientError> {
        loop {
            let message = self
                .socket
                .next()
                .await
                .unwrap_or(Err(WsError::ConnectionClosed))
                .map_err(|error| ClientError::Connection(Box::new(error)))?;
            match message {
                Message::Text(text) => return Ok(text.as_str().to_owned()),
                Message::Ping(_) | Message::Pong(_) => {}
                Message::Close(frame) => {
                    let (code, reason) =
                        frame.map_or((1005, String::new()), |frame| (frame.code.into(), frame.reason.to_string()));
                    return Err(ClientError::Closed { code, reason });
                }
                other => return Err(ClientError::NotText(format!("{other:?}"))),
            }
        }
    }

    /// Closes, and waits for the other side to agree.
    pub(super) async fn close(mut self, code: u16, reason: &'static str) -> Result<(), ClientError> {
        let frame = CloseFrame { code: code.into(), reason: reason.into() };
        self.socket.close(Some(frame)).await.map_err(|error| ClientError::Connection(Box::new(error)))?;
        self.rest().await
    }

    /// Waits for the other side to close, and gives code and reason.
    pub(super) async fn closed(&mut self) -> Result<(u16, String), ClientError> {
        match self.receive().await {
            Err(ClientError::Closed { code, reason }) => self.rest().await.map(|()| (code, reason)),
            Err(error) => Err(error),
            Ok((_, text)) => Err(ClientError::Surplus(text)),
        }
    }

    /// Reads to the end of the connection.
    async fn rest(&mut self) -> Result<(), ClientError> {
        let rest = async {
            while let Some(Ok(message)) = self.socket.next().await {
                // What is still unread now was never expected.
                if message.is_text() || message.is_binary() {
                    return Err(ClientError::Surplus(message.to_string()));
                }
            }
            Ok(())
        };
        tokio::time::timeout(DEADLINE, rest).await.map_err(|_| ClientError::Silence)?
    }
}

/// Tries to connect without credentials and gives the answer. By plain HTTP: of an answer that is no 101 the WebSocket
/// library keeps only what happened to arrive with its head.
pub(super) async fn connect_signed_out(address: SocketAddr, path: &str) -> Result<Answer, ClientError> {
    let uri = url(address, path)
        .parse()
        .map_err(|error: http::uri::InvalidUri| ClientError::Handshake(Box::new(WsError::HttpFormat(error.into()))))?;
    let mut call = Call::new(Method::GET, uri);
    call.headers = HeaderMap::from_iter([
        (header::CONNECTION, HeaderValue::from_static("Upgrade")),
        (header::UPGRADE, HeaderValue::from_static("websocket")),
        (header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13")),
        (header::SEC_WEBSOCKET_KEY, HeaderValue::from_static("bW9vcmxpbmUgZGVtbyAhIQ==")),
    ]);
    Ok(tokio::time::timeout(DEADLINE, call.send()).await.map_err(|_| ClientError::Silence)??)
}

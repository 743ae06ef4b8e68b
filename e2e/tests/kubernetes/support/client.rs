//! A WebSocket client that knows nothing of Moorline.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;

/// How long an answer may take on a busy machine.
const ANSWER: Duration = Duration::from_secs(30);

/// One connection.
pub(crate) struct Client {
    pub(crate) socket: WebSocketStream<TcpStream>,
    next: u64,
}

impl Client {
    /// Connects to `address`, as `198.19.0.7:80`, and a path.
    pub(crate) async fn connect(address: &str, path: &str) -> Result<Self> {
        let mut request = format!("ws://{address}{path}").into_client_request()?;
        // The service asks for it, as it does of its REST clients; Moorline passes it on with every call.
        request.headers_mut().insert("authorization", HeaderValue::from_static("Bearer alice"));
        let connect = async {
            let stream = TcpStream::connect(address).await.with_context(|| format!("connect to {address}"))?;
            stream.set_nodelay(true)?;
            let (socket, _) = tokio_tungstenite::client_async(request, stream).await?;
            Ok::<_, anyhow::Error>(socket)
        };
        let socket = timeout(ANSWER, connect).await.map_err(|_| anyhow!("no handshake with {address}{path}"))??;
        Ok(Self { socket, next: 0 })
    }

    /// Connects, trying again while there is nobody.
    pub(crate) async fn connect_soon(address: &str, path: &str) -> Result<Self> {
        let what = format!("connect to ws://{address}{path}");
        let deadline = std::time::Instant::now() + super::wait::LONG;
        loop {
            match Self::connect(address, path).await {
                Ok(client) => return Ok(client),
                Err(error) if std::time::Instant::now() > deadline => return Err(error.context(what)),
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    /// Sends a message.
    pub(crate) async fn send(&mut self, message: &Value) -> Result<()> {
        Ok(self.socket.send(Message::text(message.to_string())).await?)
    }

    /// The next message.
    pub(crate) async fn next(&mut self) -> Result<Value> {
        loop {
            let frame = timeout(ANSWER, self.socket.next()).await.map_err(|_| anyhow!("no message"))?;
            match frame.ok_or_else(|| anyhow!("the connection is gone"))?? {
                Message::Text(text) => return Ok(serde_json::from_str(text.as_str())?),
                Message::Ping(_) | Message::Pong(_) => {}
                other => bail!("unexpected: {other:?}"),
            }
        }
    }

    /// Sends an action with an id, and waits for the answer to that id.
    pub(crate) async fn ask(&mut self, action: &str, fields: &Value) -> Result<Value> {
        self.next += 1;
        let id = self.next;
        let mut message = json!({"action": action, "requestId": id});
        if let (Some(message), Some(fields)) = (message.as_object_mut(), fields.as_object()) {
            message.extend(fields.clone());
        }
        self.send(&message).await?;
        loop {
            let answer = self.next().await?;
            if answer["id"] == json!(id) {
                return Ok(answer);
            }
        }
    }

    /// Waits for the close, and gives its code.
    pub(crate) async fn closed(&mut self) -> Result<u16> {
        loop {
            let frame = timeout(super::wait::LONG, self.socket.next()).await.map_err(|_| anyhow!("not closed"))?;
            match frame {
                Some(Ok(Message::Close(Some(frame)))) => return Ok(frame.code.into()),
                Some(Ok(Message::Close(None))) => return Ok(1005),
                Some(Ok(_)) => {}
                Some(Err(error)) => bail!("ended without a close: {error}"),
                None => bail!("ended without a close"),
            }
        }
    }
}

//! One HTTP exchange written by hand: any bytes out, the exact answer back.
//!
//! Serves the handshake tests, where every byte of the request is the point, and the callback and admin
//! listeners, where it is a plain client.

use std::fmt::Write;
use std::net::SocketAddr;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::received::{Buffer, read_body, read_head};
use super::within;

/// A request to be written. The headers go out in this order and spelling.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) version: &'static str,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// An answer as it came.
#[derive(Debug, Clone)]
pub(crate) struct HttpAnswer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// The key of RFC 6455's own example, and what must come back for it.
const SAMPLE_KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
pub(crate) const SAMPLE_ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

impl Request {
    /// A request without headers but `Host`, which is filled in with the address when not set.
    pub(crate) fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            version: "HTTP/1.1",
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// The handshake of a well-behaved client that is not a browser.
    pub(crate) fn upgrade(target: &str) -> Self {
        Self::new("GET", target)
            .header("Upgrade", "websocket")
            .header("Connection", "Upgrade")
            .header("Sec-WebSocket-Key", SAMPLE_KEY)
            .header("Sec-WebSocket-Version", "13")
    }

    /// One header line more, whatever is there already.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// All lines of a header taken out.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        self
    }

    pub(crate) fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        let length = self.body.len().to_string();
        self.without("Content-Length").header("Content-Length", &length)
    }

    pub(crate) fn bytes(&self, address: SocketAddr) -> Vec<u8> {
        let mut head = format!("{} {} {}\r\n", self.method, self.target, self.version);
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            let _ = write!(head, "Host: {address}\r\n");
        }
        for (name, value) in &self.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend(&self.body);
        bytes
    }

    /// Sends it on a connection of its own and reads the whole answer.
    pub(crate) async fn send(&self, address: SocketAddr) -> HttpAnswer {
        let what = format!("the answer to {} {}", self.method, self.target);
        within(&what, async {
            let mut stream = TcpStream::connect(address).await.expect("the listener accepts");
            stream.write_all(&self.bytes(address)).await.expect("the request goes out");
            let mut buffer = Buffer::default();
            read_answer(&mut buffer, &mut stream).await.expect("an answer before the connection ends")
        })
        .await
    }
}

impl HttpAnswer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str()).collect()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}

/// Reads one answer. None when the connection ends before it is complete.
pub(crate) async fn read_answer(buffer: &mut Buffer, stream: &mut TcpStream) -> Option<HttpAnswer> {
    let (start, headers) = read_head(buffer, stream).await?;
    let status: u16 = start.split(' ').nth(1)?.parse().ok()?;
    let framed = headers
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("content-length") || name.eq_ignore_ascii_case("transfer-encoding"));
    let body = match status {
        100..200 | 204 | 304 => Vec::new(),
        _ if framed => read_body(buffer, stream, &headers).await?,
        _ => buffer.rest(stream).await,
    };
    Some(HttpAnswer { status, headers, body })
}

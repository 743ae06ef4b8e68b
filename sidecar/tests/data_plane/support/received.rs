//! An HTTP/1.1 request exactly as it came over the wire, and how it is read.
//!
//! A parser of our own and not hyper's: hyper lower-cases header names, merges what it can and refuses
//! what it does not like, and a recording app must show what was really sent.

use tokio::io::{AsyncRead, AsyncReadExt};

/// A request as the app received it.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    /// Which of the app's connections it came on, counted from 0.
    pub(crate) connection: usize,
    pub(crate) method: String,
    pub(crate) target: String,
    /// In the order and the spelling of the wire.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Received {
    /// The value of a header that is there at most once.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() <= 1, "{name} came {} times: {all:?}", all.len());
        all.first().copied()
    }

    /// Every value of a header.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str()).collect()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is UTF-8")
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }

    /// `POST /orders`, for comparing in one go.
    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }
}

/// Bytes of a connection that were read and not used yet.
#[derive(Debug, Default)]
pub(crate) struct Buffer(Vec<u8>);

impl Buffer {
    /// Reads more. False at the end of the stream.
    pub(crate) async fn fill<R: AsyncRead + Unpin>(&mut self, stream: &mut R) -> std::io::Result<bool> {
        let mut chunk = vec![0; 16 * 1024];
        let count = stream.read(&mut chunk).await?;
        self.0.extend_from_slice(&chunk[..count]);
        Ok(count > 0)
    }

    /// Takes exactly so many bytes, reading as needed. None when the stream ends before.
    pub(crate) async fn take<R: AsyncRead + Unpin>(&mut self, stream: &mut R, count: usize) -> Option<Vec<u8>> {
        while self.0.len() < count {
            if !self.fill(stream).await.ok()? {
                return None;
            }
        }
        Some(self.0.drain(..count).collect())
    }

    /// Takes everything through the next occurrence of `end`, which is cut off.
    pub(crate) async fn through<R: AsyncRead + Unpin>(&mut self, stream: &mut R, end: &[u8]) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = self.0.windows(end.len()).position(|window| window == end) {
                let found = self.0.drain(..at).collect();
                self.0.drain(..end.len());
                return Some(found);
            }
            if !self.fill(stream).await.ok()? {
                return None;
            }
        }
    }

    /// Takes the rest of the stream.
    pub(crate) async fn rest<R: AsyncRead + Unpin>(&mut self, stream: &mut R) -> Vec<u8> {
        while let Ok(true) = self.fill(stream).await {}
        std::mem::take(&mut self.0)
    }
}

/// The start line and the headers of a message.
pub(crate) async fn read_head<R: AsyncRead + Unpin>(
    buffer: &mut Buffer,
    stream: &mut R,
) -> Option<(String, Vec<(String, String)>)> {
    let head = buffer.through(stream, b"\r\n\r\n").await?;
    // Latin-1, so that every byte can be looked at.
    let head: String = head.into_iter().map(char::from).collect();
    let mut lines = head.split("\r\n");
    let start = lines.next()?.to_owned();
    let headers = lines
        .map(|line| line.split_once(':').unwrap_or((line, "")))
        .map(|(name, value)| (name.to_owned(), value.trim_matches([' ', '\t']).to_owned()))
        .collect();
    Some((start, headers))
}

/// A body by the headers before it. `None` when the stream ended too early.
pub(crate) async fn read_body<R: AsyncRead + Unpin>(
    buffer: &mut Buffer,
    stream: &mut R,
    headers: &[(String, String)],
) -> Option<Vec<u8>> {
    let find = |wanted: &str| headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, v)| v);
    if find("transfer-encoding").is_some() {
        let mut body = Vec::new();
        loop {
            let size = buffer.through(stream, b"\r\n").await?;
            let size = usize::from_str_radix(std::str::from_utf8(&size).ok()?.trim(), 16).ok()?;
            body.extend(buffer.take(stream, size).await?);
            buffer.take(stream, 2).await?;
            if size == 0 {
                return Some(body);
            }
        }
    }
    match find("content-length") {
        Some(length) => buffer.take(stream, length.parse().ok()?).await,
        None => Some(Vec::new()),
    }
}

/// The next request of a connection. None when it ended.
pub(crate) async fn read_request<R: AsyncRead + Unpin>(
    connection: usize,
    buffer: &mut Buffer,
    stream: &mut R,
) -> Option<Received> {
    let (start, headers) = read_head(buffer, stream).await?;
    let mut parts = start.splitn(3, ' ');
    let (method, target) = (parts.next()?.to_owned(), parts.next()?.to_owned());
    let body = read_body(buffer, stream, &headers).await?;
    Some(Received { connection, method, target, headers, body })
}

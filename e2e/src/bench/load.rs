//! The closed loop: each connection sends prebuilt bytes, waits for the whole answer, and sends again.
//!
//! The same code for HTTP and WebSocket; only the bytes and where an answer ends differ. No library of
//! either protocol, because its cost would be measured as ours.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// What is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Protocol {
    /// The app, directly.
    Http,
    /// Moorline.
    Ws,
}

/// One loop.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Load {
    /// What is spoken to.
    #[arg(long)]
    pub protocol: Protocol,
    /// Where.
    #[arg(long)]
    pub address: SocketAddr,
    /// How many connections loop side by side.
    #[arg(long)]
    pub connections: usize,
    /// For how long it is measured, after a warm-up of half a second.
    #[arg(long)]
    pub seconds: u64,
}

/// Bytes of a message: what a small JSON message of a chat or a game has.
const PAYLOAD_BYTES: usize = 64;
const WARM_UP: Duration = Duration::from_millis(500);
const HANDSHAKE: &str = "GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// Runs the loop and prints `result MESSAGES_PER_SECOND P50_MICROSECONDS P99_MICROSECONDS`.
pub async fn run(load: Load) -> Result<()> {
    let start = Instant::now() + WARM_UP;
    let end = start + Duration::from_secs(load.seconds);
    let mut loops = JoinSet::new();
    for _ in 0..load.connections {
        loops.spawn(one(load, start, end));
    }
    let mut nanos = Vec::new();
    while let Some(samples) = loops.join_next().await {
        nanos.extend(samples??);
    }
    nanos.sort_unstable();
    let at = |percent: usize| nanos.get(nanos.len() * percent / 100).map_or(0.0, |nanos| f64::from(*nanos) / 1000.0);
    println!("result {} {:.1} {:.1}", nanos.len() as u64 / load.seconds, at(50), at(99));
    Ok(())
}

async fn one(load: Load, start: Instant, end: Instant) -> Result<Vec<u32>> {
    let mut stream = TcpStream::connect(load.address).await?;
    stream.set_nodelay(true)?;
    let payload = format!("{{\"text\":\"{}\"}}", "x".repeat(PAYLOAD_BYTES - 11));
    let (request, answer_bytes) = match load.protocol {
        Protocol::Http => {
            let request = format!(
                "POST /messages HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{payload}",
                load.address,
                payload.len()
            );
            stream.write_all(request.as_bytes()).await?;
            let head = head(&mut stream).await?;
            let mut body = vec![0; payload.len()];
            stream.read_exact(&mut body).await?;
            (request.into_bytes(), head.len() + payload.len())
        }
        Protocol::Ws => {
            stream.write_all(HANDSHAKE.as_bytes()).await?;
            let head = head(&mut stream).await?;
            if !head.starts_with(b"HTTP/1.1 101") {
                bail!("not accepted: {}", String::from_utf8_lossy(&head));
            }
            (frame(payload.as_bytes()), 2 + payload.len())
        }
    };
    let mut samples = Vec::with_capacity(1 << 16);
    let mut answer = vec![0; answer_bytes];
    loop {
        let sent = Instant::now();
        if sent >= end {
            return Ok(samples);
        }
        stream.write_all(&request).await?;
        stream.read_exact(&mut answer).await.context("an answer")?;
        let ok = match load.protocol {
            Protocol::Http => answer.starts_with(b"HTTP/1.1 200"),
            Protocol::Ws => answer[0] == 0x81 && &answer[2..] == payload.as_bytes(),
        };
        if !ok {
            bail!("an unexpected answer: {}", String::from_utf8_lossy(&answer));
        }
        if sent >= start {
            samples.push(u32::try_from(sent.elapsed().as_nanos()).unwrap_or(u32::MAX));
        }
    }
}

/// A masked text frame of a short payload. The mask is zero, which every server must unmask all the same.
fn frame(payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap_or_default();
    [&[0x81, 0x80 | length, 0, 0, 0, 0], payload].concat()
}

/// Connects as a WebSocket client.
pub async fn connect(address: SocketAddr) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(HANDSHAKE.as_bytes()).await?;
    let head = head(&mut stream).await?;
    if !head.starts_with(b"HTTP/1.1 101") {
        bail!("not accepted: {}", String::from_utf8_lossy(&head));
    }
    Ok(stream)
}

/// Reads byte by byte to the end of the head; it happens once a connection.
async fn head(stream: &mut TcpStream) -> Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok(head)
}

//! A WebSocket client on a bare socket that does what the test says and nothing by itself.
//!
//! It answers no Ping and no Close unless told to, can stop reading, half-close or reset, and sends any
//! bytes. The `expect_*` methods are for the many tests that only want the next message: those answer
//! Pings on the way, as every real client does.

use std::net::SocketAddr;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};

use super::frame::{BINARY, CLOSE, Frame, PING, PONG, TEXT, read_frame};
use super::http::{HttpAnswer, Request, SAMPLE_ACCEPT, read_answer};
use super::received::Buffer;
use super::within;

/// An open connection.
#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
    buffer: Buffer,
    /// What the handshake was answered with.
    pub(crate) answer: HttpAnswer,
}

impl Client {
    /// Connects to a path with an ordinary handshake.
    pub(crate) async fn connect(address: SocketAddr, target: &str) -> Self {
        Self::handshake(address, &Request::upgrade(target)).await
    }

    /// Connects with this handshake and insists on a correct 101.
    pub(crate) async fn handshake(address: SocketAddr, request: &Request) -> Self {
        let stream = TcpStream::connect(address).await.expect("the listener accepts");
        Self::over(stream, address, request).await
    }

    /// Connects with the smallest receive buffer, so that not reading is noticed soon.
    pub(crate) async fn narrow(address: SocketAddr, target: &str) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4096).expect("a small receive buffer");
        let stream = socket.connect(address).await.expect("the listener accepts");
        Self::over(stream, address, &Request::upgrade(target)).await
    }

    async fn over(mut stream: TcpStream, address: SocketAddr, request: &Request) -> Self {
        let mut buffer = Buffer::default();
        let answer = within("the answer to a handshake", async {
            stream.write_all(&request.bytes(address)).await.expect("the handshake goes out");
            read_answer(&mut buffer, &mut stream).await.expect("an answer to the handshake")
        })
        .await;
        assert_eq!(answer.status, 101, "{}", answer.text());
        assert_eq!(answer.header("sec-websocket-accept"), Some(SAMPLE_ACCEPT));
        Self { stream, buffer, answer }
    }

    pub(crate) fn local_address(&self) -> SocketAddr {
        self.stream.local_addr().expect("a connected socket")
    }

    // === sending ===

    pub(crate) async fn raw(&mut self, bytes: &[u8]) {
        within("bytes to go out", self.stream.write_all(bytes)).await.expect("the connection takes bytes");
    }

    /// Sends bytes that the other end may no longer want.
    pub(crate) async fn raw_if_open(&mut self, bytes: &[u8]) {
        let _ = within("bytes to go out", self.stream.write_all(bytes)).await;
    }

    pub(crate) async fn frame(&mut self, frame: &Frame) {
        self.raw(&frame.bytes()).await;
    }

    pub(crate) async fn text(&mut self, text: &str) {
        self.frame(&Frame::new(TEXT, text)).await;
    }

    pub(crate) async fn binary(&mut self, bytes: &[u8]) {
        self.frame(&Frame::new(BINARY, bytes)).await;
    }

    pub(crate) async fn close(&mut self, code: u16, reason: &str) {
        self.frame(&Frame::close(code, reason)).await;
    }

    /// Ends the connection with a reset.
    pub(crate) fn reset(self) {
        self.stream.set_zero_linger().expect("linger can be set");
    }

    /// Says that nothing more will be sent, and goes on reading.
    pub(crate) async fn half_close(&mut self) {
        self.stream.shutdown().await.expect("the connection can be half-closed");
    }

    // === receiving ===

    /// The next frame of any kind. None when the connection ended.
    pub(crate) async fn next_frame(&mut self) -> Option<Frame> {
        within("a frame", read_frame(&mut self.buffer, &mut self.stream)).await
    }

    /// The next frame that is not a Ping; Pings are answered.
    pub(crate) async fn next_answering_pings(&mut self) -> Option<Frame> {
        loop {
            let frame = self.next_frame().await?;
            assert!(!frame.masked, "a server masks nothing: {frame:?}");
            if frame.opcode != PING {
                return Some(frame);
            }
            self.raw_if_open(&Frame::new(PONG, &frame.payload).bytes()).await;
        }
    }

    async fn expect(&mut self, opcode: u8) -> Vec<u8> {
        let frame = self.next_answering_pings().await.expect("a frame before the connection ends");
        assert!(frame.fin && frame.reserved == 0 && frame.opcode == opcode, "not opcode {opcode}: {frame:?}");
        frame.payload
    }

    pub(crate) async fn expect_text(&mut self) -> String {
        String::from_utf8(self.expect(TEXT).await).expect("a text frame is UTF-8")
    }

    pub(crate) async fn expect_json(&mut self) -> serde_json::Value {
        let text = self.expect_text().await;
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    pub(crate) async fn expect_binary(&mut self) -> Vec<u8> {
        self.expect(BINARY).await
    }

    pub(crate) async fn expect_pong(&mut self) -> Vec<u8> {
        self.expect(PONG).await
    }

    /// An error frame: its status and fixed reason.
    pub(crate) async fn expect_error(&mut self) -> (u64, String) {
        let frame = self.expect_json().await;
        let status = frame["status"].as_u64().unwrap_or_else(|| panic!("no status in {frame}"));
        let reason = frame["reason"].as_str().unwrap_or_else(|| panic!("no reason in {frame}"));
        assert!(frame["message"].is_string() && frame["connectionId"].is_string(), "{frame}");
        (status, reason.to_owned())
    }

    /// Waits for the Close, passing over messages before it, answers it, and sees the connection end.
    pub(crate) async fn expect_close(&mut self) -> (u16, String) {
        let parts = self.read_close().await;
        let answer = Frame::new(CLOSE, if parts.0 == 1005 { Vec::new() } else { parts.0.to_be_bytes().to_vec() });
        self.raw_if_open(&answer.bytes()).await;
        self.expect_end().await;
        // As real clients do. Without it the gateway goes on discarding for its two seconds.
        let _ = self.stream.shutdown().await;
        parts
    }

    /// Waits for the Close, passing over messages before it, and answers nothing.
    pub(crate) async fn read_close(&mut self) -> (u16, String) {
        loop {
            let frame = self.next_answering_pings().await.expect("a Close before the connection ends");
            if frame.opcode == CLOSE {
                return frame.close_parts();
            }
        }
    }

    /// Waits until the connection ended, by whatever means. Fails if another frame comes.
    pub(crate) async fn expect_end(&mut self) {
        let frame = self.next_frame().await;
        assert!(frame.is_none(), "expected the end, got {frame:?}");
    }
}

//! The probe against servers that do each thing that can go wrong.

#![allow(clippy::unwrap_used)] // tests fail by panicking

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{WebSocketStream, accept_async};

use super::*;
use crate::cli::args::Header;

fn probe(port: u16, path: &str) -> Attempt {
    Attempt {
        url: format!("ws://127.0.0.1:{port}{path}").parse().unwrap(),
        headers: Vec::new(),
        send: None,
        expect: None,
        timeout: Duration::from_secs(5),
    }
}

/// Makes an attempt while `serve` has its first connection.
async fn against<F: Future<Output = ()>>(
    change: impl FnOnce(&mut Attempt),
    serve: impl FnOnce(TcpStream) -> F,
) -> Result<Option<String>, ProbeError> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut attempt = probe(listener.local_addr().unwrap().port(), "/ws/acme");
    change(&mut attempt);
    let served = async { serve(listener.accept().await.unwrap().0).await };
    let (made, ()) = futures_util::future::join(attempt.make(), served).await;
    made
}

/// Answers every message with two frames and agrees to the close.
async fn echo(mut socket: WebSocketStream<TcpStream>) {
    while let Some(Ok(message)) = socket.next().await {
        if message.is_text() {
            socket.send(Message::text("a push")).await.unwrap();
            socket.send(Message::text(format!("you said {message}"))).await.unwrap();
        }
    }
}

/// Reads a handshake and answers with bytes of its own.
async fn answer(mut stream: TcpStream, bytes: &str) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    stream.write_all(bytes.as_bytes()).await.unwrap();
    // Until the other side leaves.
    let _ = stream.read_u8().await;
}

#[tokio::test]
async fn a_connection_without_a_message_is_enough() {
    let made = against(|_| (), |stream| async { echo(accept_async(stream).await.unwrap()).await }).await;
    assert_eq!(made.unwrap(), None);
}

#[tokio::test]
async fn the_first_frame_is_the_answer_unless_another_one_is_expected() {
    for (expect, answer) in [(None, "a push"), (Some("said"), "you said hello")] {
        let change = |attempt: &mut Attempt| {
            attempt.send = Some("hello".to_owned());
            attempt.expect = expect.map(str::to_owned);
        };
        let made = against(change, |stream| async { echo(accept_async(stream).await.unwrap()).await }).await;
        assert_eq!(made.unwrap().as_deref(), Some(answer));
    }
}

#[tokio::test]
async fn headers_and_path_reach_the_server() {
    let header: Header = "Authorization: Bearer alice".parse().unwrap();
    let (sent, mut seen) = tokio::sync::mpsc::channel(1);
    let made = against(
        |attempt| attempt.headers = vec![(header.name, header.value)],
        |mut stream| async move {
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                head.push(char::from(stream.read_u8().await.unwrap()));
            }
            sent.send(head).await.unwrap();
        },
    )
    .await;
    assert!(matches!(made, Err(ProbeError::Handshake(_))), "{made:?}");
    let head = seen.recv().await.unwrap();
    assert!(
        head.starts_with("GET /ws/acme HTTP/1.1\r\n") && head.contains("authorization: Bearer alice\r\n"),
        "{head}"
    );
}

#[tokio::test]
async fn a_refusal_is_told_with_its_status_and_body() {
    let refusal = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 13\r\n\r\nsign in first";
    let made = against(|_| (), |stream| answer(stream, refusal)).await;
    assert_eq!(made.unwrap_err().to_string(), "answers the handshake with 401 Unauthorized: sign in first");
}

#[tokio::test]
async fn a_server_that_agrees_to_everything_is_no_websocket() {
    let agreed = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                  Sec-WebSocket-Accept: anything\r\n\r\n";
    let made = against(|_| (), |stream| answer(stream, agreed)).await;
    assert!(matches!(made, Err(ProbeError::WrongAccept)), "{made:?}");
}

#[tokio::test]
async fn a_close_instead_of_an_answer_is_told_with_code_and_reason() {
    let serve = |stream| async {
        let mut socket = accept_async(stream).await.unwrap();
        let frame = CloseFrame { code: 1008.into(), reason: "not today".into() };
        socket.close(Some(frame)).await.unwrap();
        while let Some(Ok(_)) = socket.next().await {}
    };
    let made = against(|attempt| attempt.send = Some("hello".to_owned()), serve).await;
    assert_eq!(made.unwrap_err().to_string(), "was closed with 1008: not today");
}

#[tokio::test]
async fn a_handshake_that_is_never_answered_is_named() {
    let made = against(|attempt| attempt.timeout = Duration::from_millis(20), |stream| answer(stream, "")).await;
    assert!(matches!(made, Err(ProbeError::Timeout { step: "connecting", .. })), "{made:?}");
}

#[tokio::test]
async fn when_only_other_frames_come_the_last_one_is_told() {
    let change = |attempt: &mut Attempt| {
        attempt.send = Some("hello".to_owned());
        attempt.expect = Some("goodbye".to_owned());
        // Enough for two frames on loopback, and all of it is waited.
        attempt.timeout = Duration::from_secs(1);
    };
    let made = against(change, |stream| async { echo(accept_async(stream).await.unwrap()).await }).await;
    let told = made.unwrap_err().to_string();
    assert_eq!(told, r#"no frame with "goodbye" came within 1 s; the last one was "you said hello""#);
}

#[tokio::test]
async fn it_tries_again_as_long_as_it_may() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let attempt = probe(listener.local_addr().unwrap().port(), "/");
    let served = async {
        drop(listener.accept().await.unwrap());
        echo(accept_async(listener.accept().await.unwrap().0).await.unwrap()).await;
    };
    let (made, ()) = futures_util::future::join(until(&attempt, Duration::from_mins(1)), served).await;
    assert_eq!(made.unwrap(), None);
}

#[tokio::test]
async fn without_patience_there_is_one_attempt_and_its_error_names_the_address() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let Attempt { url, headers: _, send, expect, timeout } = probe(port, "/");
    let args = ProbeArgs { url, headers: Vec::new(), send, expect, timeout, retry_for: Duration::ZERO };
    let told = run(args).await.unwrap_err().to_string();
    assert!(told.starts_with(&format!("ws://127.0.0.1:{port}/: cannot be connected to: ")), "{told}");
}

#[tokio::test]
async fn a_url_that_is_not_ws_is_refused_before_anything_is_tried() {
    for url in ["http://127.0.0.1:1/", "wss://127.0.0.1:1/", "/ws"] {
        let args = ProbeArgs {
            url: url.parse().unwrap(),
            headers: Vec::new(),
            send: None,
            expect: None,
            timeout: Duration::from_secs(1),
            retry_for: Duration::ZERO,
        };
        let failure = run(args).await.unwrap_err();
        assert!(matches!(failure, Failure::Config(ref text) if text.starts_with("URL: ")), "{url}: {failure}");
    }
}

//! What the app may answer, and what is made of it.

use std::sync::Arc;

use http::{Method, StatusCode, header};
use parking_lot::Mutex;

use super::{App, CallError, Client, OK, options, request};
use crate::upstream::{CallPhase, tests::SHORT};

#[tokio::test]
async fn the_app_sees_the_request_as_given_with_host_and_length() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let app = App::start({
        let seen = Arc::clone(&seen);
        move |mut peer| {
            let seen = Arc::clone(&seen);
            async move {
                while let Some(request) = peer.request().await {
                    seen.lock().push(request);
                    peer.send(OK).await;
                }
            }
        }
    })
    .await;
    let client = Client::new(&app);
    let mut first = request(Method::POST, "body");
    let headers = first.headers_mut();
    headers.insert("moorline-event", "message".parse().unwrap());
    headers.insert(header::HOST, "attacker.example".parse().unwrap());
    headers.insert(header::CONTENT_LENGTH, "400".parse().unwrap());
    headers.insert(header::TRANSFER_ENCODING, "chunked".parse().unwrap());
    client.pool.call(first, options(SHORT * 100)).await.unwrap();
    client.call(Method::POST, "").await.unwrap();
    client.call(Method::GET, "").await.unwrap();

    let seen = seen.lock();
    let host = app.address;
    assert!(seen[0].starts_with("POST /orders?limit=2 HTTP/1.1\r\n"));
    assert!(seen[0].contains("\r\nmoorline-event: message\r\n"));
    assert!(seen[0].contains(&format!("\r\nhost: {host}\r\n")));
    assert!(seen[0].contains("\r\ncontent-length: 4\r\n"));
    assert!(seen[0].ends_with("\r\n\r\nbody"));
    assert!(!seen[0].contains("attacker") && !seen[0].contains("chunked"));
    assert!(seen[1].contains("\r\ncontent-length: 0\r\n"));
    assert!(!seen[2].contains("content-length"));
    assert_eq!(app.seen.accepted(), 1);
}

/// Answers that are taken: bytes, then status and body.
#[tokio::test]
async fn an_answer_of_any_framing_is_read_whole() {
    let rows = [
        (OK, 200, "ok"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n", 200, "onetwo"),
        ("HTTP/1.1 201 Created\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nchecksum: 1\r\n\r\n", 201, "x"),
        ("HTTP/1.1 200 OK\r\n\r\nuntil the end", 200, "until the end"),
        ("HTTP/1.0 200 OK\r\n\r\nold", 200, "old"),
        ("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 3\r\n\r\nbye", 200, "bye"),
        ("HTTP/1.1 204 No Content\r\n\r\n", 204, ""),
        ("HTTP/1.1 500 \r\ncontent-length: 0\r\n\r\n", 500, ""),
        ("HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n", 302, ""),
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", 200, "ok"),
        ("HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", 200, "ok"),
    ];
    for (bytes, status, body) in rows {
        let app = App::start(move |mut peer| async move {
            peer.request().await;
            peer.send(bytes).await;
        })
        .await;
        let answer = Client::new(&app).post().await.expect(bytes);
        assert_eq!(answer.status, status, "{bytes:?}");
        assert_eq!(answer.body, body, "{bytes:?}");
        assert_eq!(app.seen.requests(), 1, "{bytes:?}");
    }
}

#[tokio::test]
async fn an_answer_sent_byte_by_byte_is_read_whole() {
    let app = App::start(|mut peer| async move {
        peer.request().await;
        for byte in OK.as_bytes() {
            peer.send([*byte]).await;
            tokio::task::yield_now().await;
        }
        peer.ended().await;
    })
    .await;
    assert_eq!(Client::new(&app).post().await.unwrap().body, "ok");
}

#[tokio::test]
async fn answers_without_a_body_keep_the_connection_whatever_they_announce() {
    let app = App::start(|mut peer| async move {
        while let Some(request) = peer.request().await {
            let head = match request.split(' ').next() {
                Some("HEAD") => {
                    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 999999999\r\n\r\n"
                }
                Some("GET") => "HTTP/1.1 304 Not Modified\r\ncontent-length: 999999999\r\n\r\n",
                _ => "HTTP/1.1 204 No Content\r\n\r\n",
            };
            peer.send(head).await;
        }
    })
    .await;
    let client = Client::new(&app);
    for method in [Method::HEAD, Method::GET, Method::DELETE, Method::HEAD] {
        let answer = client.call(method.clone(), "").await.unwrap();
        assert_eq!(answer.body, "", "{method}");
    }
    assert_eq!(app.seen.accepted(), 1);
}

/// Answers that are refused: bytes, then the reason. The connection stays open on the app's side.
#[tokio::test]
async fn an_answer_that_is_not_http_is_refused_and_its_connection_closed() {
    const STREAM: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: 1\n\n";
    let rows = [
        ("hello\r\n\r\n", "answer_invalid"),
        ("HTTP/1.1 2x0 OK\r\n\r\n", "answer_invalid"),
        ("HTTP/3.9 200 OK\r\n\r\n", "answer_invalid"),
        ("HTTP/1.1 200 OK\r\nname: a\rb\r\n\r\n", "answer_invalid"),
        ("HTTP/1.1 200 OK\r\na: b\r\n folded: c\r\n\r\n", "answer_invalid"),
        ("HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "answer_invalid"),
        ("HTTP/1.1 200 OK\r\na: \0\r\n\r\n", "answer_invalid"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab", "answer_invalid"),
        ("HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n", "answer_invalid"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", "answer_invalid"),
        ("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n", "answer_invalid"),
        (STREAM, "answer_streamed"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 1048577\r\n\r\n", "answer_too_large"),
    ];
    for (bytes, reason) in rows {
        let app = App::start(move |mut peer| async move {
            peer.request().await;
            peer.send(bytes).await;
            peer.ended().await;
        })
        .await;
        let client = Client::new(&app);
        let error = client.get().await.expect_err(bytes);
        assert_eq!(error.reason(), reason, "{bytes:?}");
        assert_eq!(error.status(), StatusCode::BAD_GATEWAY);
        app.seen.until(|seen| seen.open() == 0).await;
        assert_eq!(app.seen.requests(), 1, "{bytes:?}");
        assert_eq!(client.pool.stats().open, 0);
    }
}

#[tokio::test]
async fn bytes_after_an_answer_are_never_taken_for_the_next_answer() {
    let app = App::start(|mut peer| async move {
        while peer.request().await.is_some() {
            peer.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n")
                .await;
        }
    })
    .await;
    let client = Client::new(&app);
    for _ in 0..3 {
        assert_eq!(client.post().await.unwrap().status, 200);
    }
    assert_eq!(app.seen.accepted(), 3);
}

#[tokio::test]
async fn a_head_that_does_not_end_is_refused_at_its_limit() {
    let app = App::start(|mut peer| async move {
        peer.request().await;
        peer.send("HTTP/1.1 200 OK\r\n").await;
        let line = format!("x: {}\r\n", "y".repeat(8000));
        for _ in 0..64 {
            peer.send(&line).await;
        }
        peer.ended().await;
    })
    .await;
    let error = Client::new(&app).get().await.unwrap_err();
    assert!(matches!(error, CallError::InvalidAnswer(_)), "{error:?}");
}

#[tokio::test]
async fn a_gigabyte_is_read_to_the_limit_and_no_further() {
    const CHUNK: usize = 64 * 1024;
    let sent = Arc::new(Mutex::new(0_usize));
    let app = App::start({
        let sent = Arc::clone(&sent);
        move |mut peer| {
            let sent = Arc::clone(&sent);
            async move {
                use tokio::io::AsyncWriteExt;
                peer.request().await;
                peer.send("HTTP/1.1 200 OK\r\n\r\n").await;
                let zeros = vec![0; CHUNK];
                while *sent.lock() < 1024 * 1024 * 1024 {
                    if peer.stream.write_all(&zeros).await.is_err() {
                        break;
                    }
                    *sent.lock() += CHUNK;
                }
            }
        }
    })
    .await;
    let error = Client::new(&app).get().await.unwrap_err();
    assert!(matches!(error, CallError::AnswerTooLarge { limit_bytes: 1_048_576 }));
    app.seen.until(|seen| seen.open() == 0).await;
    // The rest is what the kernel's two socket buffers take at most on loopback.
    let sent = *sent.lock();
    assert!(sent < 32 * 1024 * 1024, "{sent}");
}

#[tokio::test]
async fn an_answer_as_large_as_the_limit_is_read_whole() {
    let app = App::start(|mut peer| async move {
        peer.request().await;
        let size = 1024 * 1024;
        peer.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {size}\r\n\r\n")).await;
        peer.send(vec![7; size]).await;
        peer.ended().await;
    })
    .await;
    let client = Client::new(&app);
    let answer = client.get().await.unwrap();
    assert_eq!(answer.body.len(), 1024 * 1024);
    assert!(answer.body.iter().all(|byte| *byte == 7));
    assert_eq!(client.pool.stats().idle, 1);
}

#[tokio::test]
async fn a_request_larger_than_all_buffers_is_sent_whole() {
    let app = App::start(|mut peer| async move {
        let request = peer.request().await.unwrap();
        let length = request.len() - request.find("\r\n\r\n").unwrap() - 4;
        peer.send(format!("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n{length:8}")).await;
        peer.ended().await;
    })
    .await;
    let request = request(Method::POST, "").map(|_| vec![b'x'; 8 * 1024 * 1024].into());
    let pool = Client::new(&app).pool;
    let answer = pool.call(request, options(SHORT * 300)).await.unwrap();
    assert_eq!(answer.body, " 8388608");
    assert_eq!(pool.stats().idle, 1);
}

/// Apps that do not answer in time, each at another point.
#[tokio::test]
async fn an_app_that_does_not_finish_is_given_up_at_the_deadline() {
    for bytes in [
        "",
        "HTTP/1.1 20",
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf",
    ] {
        let app = App::start(move |mut peer| async move {
            peer.request().await;
            peer.send(bytes).await;
            peer.ended().await;
        })
        .await;
        let client = Client::new(&app);
        let call = client.pool.call(request(Method::GET, ""), options(SHORT));
        let error = call.await.unwrap_err();
        assert!(matches!(error, CallError::Timeout { phase: CallPhase::Answering }), "{bytes:?}: {error:?}");
        app.seen.until(|seen| seen.open() == 0).await;
        assert_eq!(app.seen.requests(), 1);
        assert_eq!(client.pool.stats().open, 0);
    }
}

#[tokio::test]
async fn an_app_that_reads_nothing_is_given_up_and_its_connection_closed_at_once() {
    let app = App::start(|peer| async move {
        // Neither reads nor closes; the other side's close shows as an end of the readable state.
        peer.stream.ready(tokio::io::Interest::ERROR).await.unwrap();
    })
    .await;
    let pool = Client::new(&app).pool;
    let large = request(Method::POST, "").map(|_| vec![b'x'; 32 * 1024 * 1024].into());
    let error = pool.call(large, options(SHORT)).await.unwrap_err();
    assert_eq!(error.reason(), "app_timeout");
    assert_eq!(pool.stats().open, 0);
}

#[tokio::test]
async fn a_deadline_that_has_passed_sends_nothing_and_keeps_the_connection() {
    let app = App::answering(OK).await;
    let client = Client::new(&app);
    client.get().await.unwrap();
    let late = options(std::time::Duration::ZERO);
    let error = client.pool.call(request(Method::POST, "x"), late).await;
    assert!(error.unwrap_err().retryable());
    assert_eq!(app.seen.requests(), 1);
    assert_eq!(client.pool.stats().idle, 1);
}

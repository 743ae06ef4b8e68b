//! When a request is sent a second time: never if the app could act twice.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use http::Method;
use tokio::net::TcpListener;

use super::{App, CallError, Client, OK, options, request};
use crate::upstream::{CallPhase, PoolSettings, tests::SHORT};

/// Answers one request per connection and ends the first connection, unasked, on its second request.
async fn app_that_ends_a_reused_connection(reset: bool, bytes: &'static str) -> App {
    App::start(move |mut peer| async move {
        peer.request().await;
        peer.send(OK).await;
        peer.request().await;
        if peer.number > 0 {
            peer.send(OK).await;
            peer.ended().await;
        } else {
            peer.send(bytes).await;
            if reset {
                peer.reset();
            }
        }
    })
    .await
}

#[tokio::test]
async fn an_idempotent_call_on_a_reused_connection_that_ends_silently_is_repeated_once() {
    for reset in [false, true] {
        for method in [Method::GET, Method::HEAD, Method::PUT, Method::DELETE, Method::OPTIONS] {
            let app = app_that_ends_a_reused_connection(reset, "").await;
            let client = Client::new(&app);
            client.post().await.unwrap();
            let repeated = client.call(method.clone(), "").await;
            assert!(repeated.is_ok(), "{method} {reset}: {repeated:?}");
            assert_eq!(app.seen.accepted(), 2, "{method} {reset}");
            assert_eq!(app.seen.requests(), 3, "{method} {reset}");
        }
    }
}

#[tokio::test]
async fn any_other_call_on_it_fails_and_the_app_sees_it_once() {
    for reset in [false, true] {
        for method in [Method::POST, Method::PATCH] {
            let app = app_that_ends_a_reused_connection(reset, "").await;
            let client = Client::new(&app);
            client.post().await.unwrap();
            let error = client.call(method.clone(), "body").await.unwrap_err();
            assert!(matches!(error, CallError::ConnectionLost { sent: true }), "{error:?}");
            assert!(!error.retryable());
            assert_eq!(app.seen.requests(), 2, "{method} {reset}");
            assert_eq!(app.seen.accepted(), 1, "{method} {reset}");
        }
    }
}

#[tokio::test]
async fn a_call_that_got_a_byte_of_an_answer_is_not_repeated() {
    for bytes in [
        "H",
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ] {
        let app = app_that_ends_a_reused_connection(false, bytes).await;
        let client = Client::new(&app);
        client.post().await.unwrap();
        let error = client.get().await.expect_err(bytes);
        assert_eq!(error.reason(), "app_connection_lost", "{bytes:?}");
        assert_eq!(app.seen.requests(), 2, "{bytes:?}");
    }
}

#[tokio::test]
async fn headers_followed_by_a_reset_are_a_lost_connection() {
    let app = App::start(|mut peer| async move {
        peer.request().await;
        peer.send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf").await;
        peer.reset();
    })
    .await;
    let client = Client::new(&app);
    let error = client.get().await.unwrap_err();
    assert_eq!(error.reason(), "app_connection_lost");
    assert_eq!(app.seen.requests(), 1);
    assert_eq!(client.pool.stats().open, 0);
}

#[tokio::test]
async fn a_new_connection_that_ends_silently_is_not_repeated() {
    let app = App::start(|mut peer| async move {
        peer.request().await;
    })
    .await;
    let client = Client::new(&app);
    let error = client.get().await.unwrap_err();
    assert_eq!(error.reason(), "app_connection_lost");
    assert_eq!(app.seen.requests(), 1);
}

#[tokio::test]
async fn a_repeat_that_fails_too_is_the_last() {
    let app = App::start(|mut peer| async move {
        peer.request().await;
        if peer.number == 0 {
            peer.send(OK).await;
            peer.request().await;
        }
    })
    .await;
    let client = Client::new(&app);
    client.get().await.unwrap();
    let error = client.get().await.unwrap_err();
    assert_eq!(error.reason(), "app_connection_lost");
    assert_eq!(app.seen.requests(), 3);
    assert_eq!(app.seen.accepted(), 2);
}

#[tokio::test]
async fn a_refused_connection_is_tried_again_and_then_reported() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let app = App::answering(OK).await;
    let closed = listener.local_addr().unwrap();
    drop(listener);
    let client = Client::with(&app, |settings| settings.authority = closed.to_string());
    let error = client.post().await.unwrap_err();
    assert!(matches!(error, CallError::ConnectFailed(_)));
    assert!(error.retryable());
    assert_eq!(error.status(), 502);
    assert_eq!(client.pool.stats().open, 0);
}

#[tokio::test]
async fn an_authority_that_cannot_be_reached_fails_as_not_connected() {
    let app = App::answering(OK).await;
    for authority in ["", "no port", "bad\r\nhost:1", "127.0.0.1:99999"] {
        let client = Client::with(&app, |settings| settings.authority = authority.to_owned());
        let error = client.post().await.expect_err(authority);
        assert_eq!(error.reason(), "app_unreachable", "{authority:?}");
    }
}

#[tokio::test]
async fn an_app_that_does_not_accept_times_out_while_connecting() {
    // A listener whose queue is full drops further attempts; the kernel tries them again for seconds.
    let listener = socket_with_full_queue().await;
    let mut settings = PoolSettings::new(listener.address.to_string());
    settings.connect_timeout = SHORT;
    let pool = crate::upstream::Pool::new(settings, tokio_util::task::TaskTracker::new());
    let error = pool.call(request(Method::GET, ""), options(SHORT * 100)).await.unwrap_err();
    assert!(matches!(error, CallError::Timeout { phase: CallPhase::Connecting }), "{error:?}");
    assert_eq!(pool.stats().open, 0);
}

struct FullQueue {
    address: std::net::SocketAddr,
    _listener: TcpListener,
    _waiting: Vec<tokio::net::TcpStream>,
}

async fn socket_with_full_queue() -> FullQueue {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(Ok(stream)) = tokio::time::timeout(SHORT * 4, tokio::net::TcpStream::connect(address)).await {
        waiting.push(stream);
    }
    FullQueue { address, _listener: listener, _waiting: waiting }
}

#[tokio::test]
async fn a_request_that_hyper_returns_unstarted_is_sent_on_a_new_connection_even_a_post() {
    // Without a look before reuse, an end that the runtime already knows of comes up when hyper is about
    // to send, and it hands the request back.
    let is_repeated = Arc::new(AtomicBool::new(false));
    let app = App::start({
        let is_repeated = Arc::clone(&is_repeated);
        move |mut peer| {
            let is_repeated = Arc::clone(&is_repeated);
            async move {
                is_repeated.store(peer.number > 0, Ordering::SeqCst);
                // Answer and end in one go, so that both are in the socket when the answer is read.
                if peer.request().await.is_some() {
                    peer.send(OK).await;
                }
            }
        }
    })
    .await;
    let pool = crate::upstream::Pool::with_look_after(
        PoolSettings::new(app.address.to_string()),
        tokio_util::task::TaskTracker::new(),
        super::LONG,
    );
    let call = || pool.call(request(Method::POST, "x"), options(super::LONG));
    call().await.unwrap();
    app.seen.until(|seen| seen.open() == 0).await;
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
    call().await.unwrap();
    assert!(is_repeated.load(Ordering::SeqCst));
    assert_eq!(app.seen.requests(), 2);
}

//! When a connection is used again, and when it is closed.

use std::{sync::Arc, time::Duration};

use http::Method;
use tokio::sync::Notify;

use super::{App, Client, LONG, OK, options, request};
use crate::upstream::{Pool, PoolSettings};

const SOON: Duration = Duration::from_millis(30);

#[tokio::test]
async fn calls_one_after_the_other_share_one_connection() {
    let app = App::answering(OK).await;
    let client = Client::new(&app);
    for _ in 0..20 {
        client.post().await.unwrap();
    }
    assert_eq!(app.seen.accepted(), 1);
    let stats = client.pool.stats();
    assert_eq!((stats.open, stats.idle, stats.waiting), (1, 1, 0));
}

#[tokio::test]
async fn a_pool_reaches_an_app_by_name() {
    let app = App::answering(OK).await;
    let client = Client::with(&app, |settings| {
        settings.authority = format!("localhost:{}", app.address.port());
    });
    client.post().await.unwrap();
}

/// Answers after which the connection must not be used again.
#[tokio::test]
async fn a_connection_the_app_gives_up_is_not_used_again() {
    for answer in [
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nConnection: Keep-Alive, Close\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nkeep-alive: timeout=0\r\ncontent-length: 2\r\n\r\nok",
    ] {
        // The app itself does not close: it must see that we do.
        let app = App::answering(answer).await;
        let client = Client::new(&app);
        client.post().await.unwrap();
        assert_eq!(client.pool.stats().open, 0, "{answer:?}");
        app.seen.until(|seen| seen.open() == 0).await;
        client.post().await.unwrap();
        assert_eq!(app.seen.accepted(), 2, "{answer:?}");
    }
}

#[tokio::test]
async fn an_old_server_that_offers_keep_alive_is_kept() {
    let app = App::answering("HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok").await;
    let client = Client::new(&app);
    client.post().await.unwrap();
    client.post().await.unwrap();
    assert_eq!(app.seen.accepted(), 1);
}

#[tokio::test]
async fn an_answer_before_the_whole_request_was_sent_ends_the_connection() {
    let app = App::start(|mut peer| async move {
        peer.send("HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n").await;
        // Not read: most of the request stays with the sender.
        peer.stream.ready(tokio::io::Interest::ERROR).await.unwrap();
    })
    .await;
    let client = Client::new(&app);
    let large = request(Method::POST, "").map(|_| vec![b'x'; 32 * 1024 * 1024].into());
    let answer = client.pool.call(large, options(LONG)).await.unwrap();
    assert_eq!(answer.status, 413);
    assert_eq!(client.pool.stats().open, 0);
}

#[tokio::test]
async fn a_connection_closed_while_idle_is_seen_before_the_next_request() {
    let closed = Arc::new(Notify::new());
    let app = App::start({
        let closed = Arc::clone(&closed);
        move |mut peer| {
            let closed = Arc::clone(&closed);
            async move {
                peer.request().await;
                peer.send(OK).await;
                drop(peer);
                closed.notify_one();
            }
        }
    })
    .await;
    let client = Client::new(&app);
    for call in 1..=5 {
        // A POST: it fails, and is not repeated, should it be sent on a dead connection.
        client.post().await.unwrap();
        closed.notified().await;
        assert_eq!(app.seen.accepted(), call);
    }
}

#[tokio::test]
async fn a_connection_that_ended_is_seen_even_before_the_runtime_heard_of_it() {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (report, closed) = std::sync::mpsc::sync_channel(1);
    let (order, close) = std::sync::mpsc::sync_channel(1);
    let app = std::thread::spawn(move || {
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().unwrap();
            assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
            stream.write_all(OK.as_bytes()).unwrap();
            close.recv_timeout(LONG).unwrap();
            drop(stream);
            report.send(()).unwrap();
        }
    });
    let settings = PoolSettings::new(address.to_string());
    let tasks = tokio_util::task::TaskTracker::new();
    let pool = Pool::with_look_after(settings, tasks, Duration::ZERO);
    for _ in 0..2 {
        let call = pool.call(request(Method::POST, "x"), options(LONG));
        assert_eq!(call.await.unwrap().status, 200);
        // Blocks the only thread of the runtime on purpose: it must not ask the kernel meanwhile.
        order.send(()).unwrap();
        closed.recv_timeout(LONG).unwrap();
    }
    app.join().unwrap();
}

#[tokio::test]
async fn a_connection_on_which_the_app_speaks_unasked_is_closed() {
    let spoke = Arc::new(Notify::new());
    let app = App::start({
        let spoke = Arc::clone(&spoke);
        move |mut peer| {
            let spoke = Arc::clone(&spoke);
            async move {
                while peer.request().await.is_some() {
                    peer.send(OK).await;
                    if peer.number == 0 {
                        spoke.notified().await;
                        peer.send("HTTP/1.1 408 Request Timeout\r\n\r\n").await;
                        spoke.notify_one();
                    }
                }
            }
        }
    })
    .await;
    let client = Client::new(&app);
    client.post().await.unwrap();
    spoke.notify_one();
    tokio::task::yield_now().await;
    spoke.notified().await;
    assert_eq!(client.post().await.unwrap().status, 200);
    assert_eq!(app.seen.accepted(), 2);
}

#[tokio::test]
async fn a_connection_idle_for_too_long_is_closed_without_another_call() {
    let app = App::answering(OK).await;
    let client = Client::with(&app, |settings| settings.max_idle = SOON);
    client.post().await.unwrap();
    app.seen.until(|seen| seen.open() == 0).await;
    assert_eq!(client.pool.stats().open, 0);
    client.post().await.unwrap();
    assert_eq!(app.seen.accepted(), 2);
}

#[tokio::test]
async fn the_time_the_app_names_wins_over_the_setting() {
    let app = App::answering("HTTP/1.1 200 OK\r\nKeep-Alive: timeout=60\r\ncontent-length: 2\r\n\r\nok").await;
    let client = Client::with(&app, |settings| settings.max_idle = Duration::ZERO);
    client.post().await.unwrap();
    client.post().await.unwrap();
    assert_eq!(app.seen.accepted(), 1);

    let app = App::answering("HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\ncontent-length: 2\r\n\r\nok").await;
    let client = Client::with(&app, |settings| settings.max_idle = SOON);
    client.post().await.unwrap();
    client.post().await.unwrap();
    assert_eq!(app.seen.accepted(), 1);
    app.seen.until(|seen| seen.open() == 0).await;
}

#[tokio::test]
async fn a_closed_pool_drops_idle_connections_and_finishes_its_calls() {
    let release = Arc::new(Notify::new());
    let app = App::start({
        let release = Arc::clone(&release);
        move |mut peer| {
            let release = Arc::clone(&release);
            async move {
                while let Some(request) = peer.request().await {
                    if request.starts_with("POST") {
                        release.notified().await;
                    }
                    peer.send(OK).await;
                }
            }
        }
    })
    .await;
    let client = Client::new(&app);
    let (slow, quick) = tokio::join!(
        async {
            let slow = client.post().await;
            assert_eq!(client.pool.stats().open, 0);
            slow
        },
        async {
            app.seen.until(|seen| seen.requests() == 1).await;
            let quick = client.get().await;
            assert_eq!(client.pool.stats().idle, 1);
            client.pool.close();
            assert_eq!(client.pool.stats().open, 1);
            app.seen.until(|seen| seen.open() == 1).await;
            release.notify_one();
            quick
        }
    );
    slow.unwrap();
    quick.unwrap();
    client.get().await.unwrap();
    assert_eq!(client.pool.stats().open, 0);
    client.tasks.close();
    client.tasks.wait().await;
}

#[tokio::test]
async fn dropping_the_pool_closes_its_connections_and_ends_its_task() {
    let app = App::answering(OK).await;
    let client = Client::new(&app);
    client.post().await.unwrap();
    let Client { pool, tasks } = client;
    assert_eq!(tasks.len(), 1);
    drop(pool);
    app.seen.until(|seen| seen.open() == 0).await;
    tasks.close();
    tasks.wait().await;
}

#[tokio::test]
async fn without_a_look_an_ended_connection_is_still_noticed_once_the_runtime_knows() {
    let app = App::start(|mut peer| async move {
        peer.request().await;
        peer.send(OK).await;
    })
    .await;
    let settings = PoolSettings::new(app.address.to_string());
    // As in production: a connection idle for less than this is not looked at.
    let pool = Pool::with_look_after(settings, tokio_util::task::TaskTracker::new(), LONG);
    for _ in 0..20 {
        let call = pool.call(request(Method::POST, "x"), options(LONG));
        assert_eq!(call.await.unwrap().status, 200);
        app.seen.until(|seen| seen.open() == 0).await;
        // The runtime asks the kernel for events at the latest when it has nothing else to do.
        let (mut one, mut other) = tokio::net::UnixStream::pair().unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut one, b"x").await.unwrap();
        let mut byte = [0];
        tokio::io::AsyncReadExt::read(&mut other, &mut byte).await.unwrap();
    }
}

//! Calls that are dropped, at every point: nothing may be lost.

use std::{future::Future, pin::pin, task::Poll};

use futures_util::future::{join_all, poll_fn};
use http::Method;
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use tokio_util::task::TaskTracker;

use super::{App, Client, LONG, OK, disconnect, options, request};

/// Polls a future that many times, then drops it. `true`: it was finished by then.
async fn poll_times(future: impl Future, times: usize) -> bool {
    let mut future = pin!(future);
    for _ in 0..times {
        let is_ready = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_ready())).await;
        if is_ready {
            return true;
        }
        tokio::task::yield_now().await;
    }
    false
}

/// Answers in pieces, so that there are more points to be dropped at.
async fn app_with_pauses() -> App {
    App::start(|mut peer| async move {
        while peer.request().await.is_some() {
            for piece in ["HTTP/1.1 200 OK\r\ncontent-le", "ngth: 2\r\n\r\n", "o", "k"] {
                peer.send(piece).await;
                tokio::task::yield_now().await;
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn calls_dropped_at_random_points_leave_nothing_behind() {
    const SEED: u64 = 4;
    let app = app_with_pauses().await;
    let client = Client::with(&app, |settings| settings.max_connections = 5);
    let calls = TaskTracker::new();
    for task in 0..24 {
        let pool = client.pool.clone();
        calls.spawn(async move {
            let mut random = SmallRng::seed_from_u64(SEED + task);
            for _ in 0..200 {
                let options = if random.random_bool(0.3) { disconnect() } else { options(LONG) };
                let call = pool.call(request(Method::POST, "x"), options);
                poll_times(call, random.random_range(0..40)).await;
            }
        });
    }
    calls.close();
    calls.wait().await;

    let stats = client.pool.stats();
    assert_eq!(stats.open, stats.idle);
    assert_eq!(stats.waiting, 0);
    // Every place can be used again, by both classes, at the same time.
    let again = (0..50).map(|number| {
        let options = if number % 2 == 0 { disconnect() } else { options(LONG) };
        client.pool.call(request(Method::POST, "x"), options)
    });
    assert!(join_all(again).await.iter().all(Result::is_ok));
    let stats = client.pool.stats();
    assert_eq!(stats.open, stats.idle);
    assert!(stats.open <= 5);
    client.pool.close();
    app.seen.until(|seen| seen.open() == 0).await;
}

#[tokio::test]
async fn a_call_dropped_while_the_app_works_closes_that_connection_and_serves_the_next() {
    let app = App::start(|mut peer| async move {
        peer.request().await;
        if peer.number > 0 {
            peer.send(OK).await;
        }
        peer.ended().await;
    })
    .await;
    let client = Client::with(&app, |settings| settings.max_connections = 1);
    let mut first = Box::pin(client.post());
    let mut next = Box::pin(client.post());
    tokio::select! {
        biased;
        _ = &mut first => panic!("the app does not answer"),
        _ = &mut next => panic!("the only connection is in use"),
        () = app.seen.until(|seen| seen.requests() == 1) => {}
    }
    drop(first);
    next.await.unwrap();
    assert_eq!(app.seen.accepted(), 2);
    app.seen.until(|seen| seen.open() == 1).await;
}

#[tokio::test]
async fn a_call_dropped_with_a_connection_already_granted_passes_it_on() {
    let app = App::answering(OK).await;
    let client = Client::with(&app, |settings| settings.max_connections = 1);
    let mut first = Box::pin(client.post());
    assert!(!poll_times(&mut first, 1).await);
    let mut granted = Box::pin(client.post());
    let mut next = Box::pin(client.post());
    assert!(!poll_times(&mut granted, 1).await);
    assert!(!poll_times(&mut next, 1).await);
    first.await.unwrap();
    // The connection now lies in the channel of `granted`, which is not polled again.
    assert_eq!(client.pool.stats().waiting, 1);
    drop(granted);
    next.await.unwrap();
    assert_eq!(app.seen.accepted(), 1);
    assert_eq!(client.pool.stats().idle, 1);
}

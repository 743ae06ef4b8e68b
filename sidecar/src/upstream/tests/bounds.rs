//! How many connections there are, and who gets one next.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use futures_util::{FutureExt, StreamExt, future::join_all, stream::FuturesUnordered};
use http::Method;
use tokio::sync::Semaphore;

use super::{App, CallError, Client, OK, disconnect, options, request};
use crate::upstream::{CallPhase, PoolStats, Side, tests::SHORT};

/// An app that answers as many requests as the test has given out.
async fn app_with_gate() -> (App, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let app = App::start({
        let gate = Arc::clone(&gate);
        move |mut peer| {
            let gate = Arc::clone(&gate);
            async move {
                while peer.request().await.is_some() {
                    gate.acquire().await.unwrap().forget();
                    peer.send(OK).await;
                }
            }
        }
    })
    .await;
    (app, gate)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn five_hundred_calls_never_open_more_connections_than_allowed() {
    let app = App::answering(OK).await;
    let client = Client::with(&app, |settings| settings.max_connections = 7);
    let calls = tokio_util::task::TaskTracker::new();
    let done = Arc::new(AtomicUsize::new(0));
    for _ in 0..500 {
        let (pool, done) = (client.pool.clone(), Arc::clone(&done));
        calls.spawn(async move {
            for _ in 0..10 {
                let call = pool.call(request(Method::POST, "x"), options(super::LONG));
                call.await.unwrap();
                done.fetch_add(1, Ordering::SeqCst);
            }
        });
    }
    calls.close();
    calls.wait().await;
    assert_eq!(done.load(Ordering::SeqCst), 5000);
    assert_eq!(app.seen.requests(), 5000);
    assert_eq!(app.seen.accepted(), 7);
    assert!(app.seen.most_open() <= 7);
    let stats = client.pool.stats();
    assert_eq!((stats.open, stats.idle, stats.waiting), (7, 7, 0));
}

#[tokio::test]
async fn waiting_calls_are_served_in_the_order_in_which_they_came() {
    let (app, gate) = app_with_gate().await;
    let client = Client::with(&app, |settings| settings.max_connections = 1);
    let mut calls: FuturesUnordered<_> =
        (0..50).map(|number| client.post().map(move |answer| (number, answer.is_ok()))).map(Box::pin).collect();
    // One poll each puts them into the queue in this order.
    assert!(calls.next().now_or_never().is_none());
    for expected in 0..50 {
        gate.add_permits(1);
        assert_eq!(calls.next().await, Some((expected, true)));
    }
    assert_eq!(app.seen.accepted(), 1);
}

#[tokio::test]
async fn a_call_that_finds_the_queue_full_is_refused_at_once() {
    let (app, _gate) = app_with_gate().await;
    let client = Client::with(&app, |settings| {
        settings.max_connections = 1;
        settings.max_waiting = 2;
    });
    let mut waiting: FuturesUnordered<_> = (0..3).map(|_| Box::pin(client.post())).collect();
    assert!(waiting.next().now_or_never().is_none());
    assert_eq!(client.pool.stats().waiting, 2);
    let error = client.post().await.unwrap_err();
    assert!(matches!(error, CallError::WaitQueueFull));
    assert_eq!(error.status(), 503);
    assert_eq!(error.side(), Side::Gateway);
    drop(waiting);
    let empty = PoolStats { open: 0, idle: 0, waiting: 0 };
    assert_eq!(client.pool.stats(), empty);
}

#[tokio::test]
async fn a_call_that_waits_past_its_deadline_leaves_the_queue() {
    let (app, gate) = app_with_gate().await;
    let client = Client::with(&app, |settings| settings.max_connections = 1);
    let mut first = Box::pin(client.post());
    assert!((&mut first).now_or_never().is_none());
    let late = client.pool.call(request(Method::POST, "x"), options(SHORT));
    let error = late.await.unwrap_err();
    assert!(matches!(error, CallError::Timeout { phase: CallPhase::Waiting }));
    assert_eq!(error.status(), 504);
    assert_eq!(client.pool.stats().waiting, 0);
    gate.add_permits(2);
    first.await.unwrap();
    client.post().await.unwrap();
    assert_eq!(app.seen.requests(), 2);
}

#[tokio::test]
async fn disconnects_hold_a_quarter_and_messages_pass_them() {
    let (app, gate) = app_with_gate().await;
    let client = Client::with(&app, |settings| settings.max_connections = 8);
    let call = |options| client.pool.call(request(Method::POST, "x"), options);
    let mut disconnects: FuturesUnordered<_> = (0..20).map(|_| Box::pin(call(disconnect()))).collect();
    assert!(disconnects.next().now_or_never().is_none());
    assert_eq!(client.pool.stats().open, 2);
    assert_eq!(client.pool.stats().waiting, 18);
    let mut messages: FuturesUnordered<_> = (0..6).map(|_| Box::pin(call(options(super::LONG)))).collect();
    assert!(messages.next().now_or_never().is_none());
    assert_eq!(client.pool.stats().open, 8);
    gate.add_permits(26);
    let (messages, disconnects) = tokio::join!(messages.collect::<Vec<_>>(), disconnects.collect::<Vec<_>>());
    assert!(messages.iter().chain(&disconnects).all(Result::is_ok));
    assert!(app.seen.most_open() <= 8);
    assert_eq!(client.pool.stats().waiting, 0);
}

#[tokio::test]
async fn disconnects_of_a_small_pool_get_one_connection() {
    let (app, gate) = app_with_gate().await;
    let client = Client::with(&app, |settings| settings.max_connections = 2);
    let calls = (0..5).map(|_| client.pool.call(request(Method::POST, "x"), disconnect()));
    gate.add_permits(5);
    let answers = join_all(calls).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(app.seen.most_open(), 1);
}

#[tokio::test]
async fn a_call_is_small_enough_to_be_part_of_a_task_that_idles() {
    let app = App::answering(OK).await;
    let client = Client::new(&app);
    let call = client.pool.call(request(Method::GET, ""), options(SHORT));
    let bytes = size_of_val(&call);
    println!("a call takes {bytes} bytes");
    assert!(bytes < 1536, "{bytes}");
    let (app, mut went) = (crate::upstream::App::new(client.pool.clone(), None), false);
    let with_failover = size_of_val(&app.call(request(Method::GET, ""), options(SHORT), &mut went));
    println!("with a failover it takes {with_failover} bytes");
    assert!(with_failover < bytes + 128, "{with_failover}");
}

fn _assert_a_call_can_move_between_threads(client: &Client) -> impl Send {
    client.pool.call(request(Method::GET, ""), options(SHORT))
}

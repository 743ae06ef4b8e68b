//! How often other replicas are tried.

use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::future::join_all;
use http::Method;
use moorline_crds::document::Failover;
use tokio_util::task::TaskTracker;

use super::{LONG, options, request};
use crate::upstream::elsewhere::{App, Elsewhere, Finder, NameServers, Resolver};
use crate::upstream::{CallError, Pool, PoolSettings};

/// Nobody ever listens there.
fn nowhere() -> SocketAddr {
    ([127, 88, 0, 3], 9).into()
}

fn pool(finder: Option<Finder>) -> Pool {
    let settings = PoolSettings { finder: finder.map(Arc::new), ..PoolSettings::new(nowhere().to_string()) };
    Pool::new(settings, TaskTracker::new())
}

#[tokio::test]
async fn tries_after_the_first_are_bounded_by_the_calls_there_are() {
    let (target, resolver) = (Failover::Address(nowhere().to_string()), Resolver::new(NameServers::System));
    let elsewhere = pool(Some(Finder::new(target, Arc::new(resolver), Vec::new())));
    let app = App::new(pool(None), Some(Arc::new(Elsewhere::new(elsewhere.clone()))));
    let calls = (0..100).map(|_| async {
        let mut went = false;
        let result = app.call(request(Method::POST, ""), options(LONG), &mut went).await;
        assert!(matches!(result, Err(CallError::ConnectFailed(_))) && went, "{result:?}");
    });
    join_all(calls).await;
    // Of the hundred calls each is tried once. They earn twenty more tries, ten are always there, and one more for each
    // second; without a bound there would be two hundred.
    let more = elsewhere.calls() - 100;
    assert!((1..=50).contains(&more), "{more}");
}

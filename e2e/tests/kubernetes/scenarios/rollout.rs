//! A rolling restart under load: nobody is left without an answer.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Result, ensure};
use futures_util::{AsyncBufReadExt as _, StreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, LogParams};
use parking_lot::Mutex;
use tokio::task::JoinSet;

use crate::support::command::run;
use crate::support::ground::alone;
use crate::support::load::Load;
use crate::support::namespace::Namespace;
use crate::support::{figures, orders, sidecars};

const CLIENTS: usize = 300;

#[test]
#[ignore = "needs a cluster: make e2e"]
fn a_rolling_restart_under_load_loses_no_message_silently() {
    alone(async |ground| {
        let shop = Namespace::enabled(&ground, "rollout").await?;
        let address = orders::served(&shop, 3).await?;
        let ledger = Ledger::default();
        let mut followers = JoinSet::new();
        ledger.follow(&shop, &mut followers).await?;

        let load = Load::start(&address, "/ws/acme", CLIENTS, Duration::from_millis(500)).await?;
        let before = std::time::Instant::now();
        run("kubectl", &["rollout", "restart", "deployment/orders", "-n", &shop.name]).await?;
        // New pods are followed as they come; their log goes with them.
        loop {
            ledger.follow(&shop, &mut followers).await?;
            let done =
                run("kubectl", &["rollout", "status", "deployment/orders", "-n", &shop.name, "--timeout=1s"]).await;
            let pods: Api<Pod> = shop.api();
            let left = pods.list(&kube::api::ListParams::default().labels("app=orders")).await?.items.len();
            if done.is_ok() && left == 3 {
                break;
            }
            ensure!(before.elapsed() < Duration::from_mins(5), "the rollout does not end");
        }
        let took = before.elapsed();
        let tally = load.stop().await?;

        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let codes = tally.codes();
        let times: Vec<Duration> = tally.closes.lock().iter().map(|(_, at)| *at).collect();
        let spread = times
            .iter()
            .max()
            .zip(times.iter().min())
            .map(|(last, first)| last.saturating_sub(*first))
            .unwrap_or_default();
        figures::tell(&format!(
            "rolling restart of 3 pods under {CLIENTS} clients: {} s, sent {}, answered {}, error frames {}, told by a close {}, \
             without a close frame {}, closes {codes:?} over {} s, slowest answer {} ms",
            took.as_secs(),
            count(&tally.sent),
            count(&tally.answered),
            count(&tally.errors),
            count(&tally.told_by_close),
            tally.broken.lock().len(),
            spread.as_secs(),
            count(&tally.slowest_ms),
        ));
        ensure!(tally.broken.lock().is_empty(), "connections ended without a close: {:?}", tally.broken.lock());
        ensure!(count(&tally.lost) == 0);
        ensure!(count(&tally.sent) == count(&tally.answered) + count(&tally.errors) + count(&tally.told_by_close));
        ensure!(count(&tally.errors) == 0, "error frames in a rollout");
        ensure!(codes.keys().all(|code| *code == 1012), "{codes:?}");
        ensure!(spread > Duration::from_secs(5), "all at once: within {spread:?}");
        ensure!(codes.values().sum::<usize>() >= CLIENTS, "every client was on a pod that went: {codes:?}");

        // Each connection that was announced to the app was taken leave of, at some replica.
        let owed = crate::support::wait::until(
            "every $disconnect delivered",
            || async { Ok(ledger.open()) },
            BTreeSet::is_empty,
        )
        .await;
        figures::tell(&format!("$connect {} and $disconnect {} calls in the rollout", ledger.joined(), ledger.left()));
        owed?;
        ensure!(ledger.twice().is_empty(), "disconnected twice: {:?}", ledger.twice());
        shop.delete().await
    });
}

/// What the app was told of sessions, read from its own log.
#[derive(Clone, Default)]
struct Ledger {
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    pods: BTreeSet<String>,
    joined: BTreeSet<String>,
    left: Vec<String>,
}

impl Ledger {
    /// Follows the log of each pod whose app runs and that is not followed yet.
    async fn follow(&self, shop: &Namespace, followers: &mut JoinSet<()>) -> Result<()> {
        let pods: Api<Pod> = shop.api();
        for pod in pods.list(&kube::api::ListParams::default().labels("app=orders")).await?.items {
            let running = sidecars::container(&pod, "app").and_then(|status| status.state.clone());
            if running.is_none_or(|state| state.running.is_none())
                || !self.seen.lock().pods.insert(sidecars::name(&pod))
            {
                continue;
            }
            let parameters = LogParams { follow: true, container: Some("app".to_owned()), ..LogParams::default() };
            let mut lines = pods.log_stream(&sidecars::name(&pod), &parameters).await?.lines();
            let seen = Arc::clone(&self.seen);
            followers.spawn(async move {
                while let Some(Ok(line)) = lines.next().await {
                    match line.split_once(' ') {
                        Some(("session-opened", id)) => {
                            seen.lock().joined.insert(id.to_owned());
                        }
                        Some(("session-closed", id)) => seen.lock().left.push(id.to_owned()),
                        _ => {}
                    }
                }
            });
        }
        Ok(())
    }

    fn open(&self) -> BTreeSet<String> {
        let seen = self.seen.lock();
        seen.joined.iter().filter(|id| !seen.left.contains(id)).cloned().collect()
    }

    fn twice(&self) -> Vec<String> {
        let seen = self.seen.lock();
        let unique: BTreeSet<&String> = seen.left.iter().collect();
        unique.into_iter().filter(|id| seen.left.iter().filter(|other| other == id).count() > 1).cloned().collect()
    }

    fn joined(&self) -> usize {
        self.seen.lock().joined.len()
    }

    fn left(&self) -> usize {
        self.seen.lock().left.len()
    }
}

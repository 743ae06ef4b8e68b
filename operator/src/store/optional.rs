//! Ingresses and `HTTPRoutes`, which not every cluster has.
//!
//! Asked for by discovery once in a while, and watched only while they are there: a watch of an API that does not exist
//! fails for ever, and its retries are noise in the logs of both sides. An API that comes later, because the admin
//! installs the Gateway API after us, is found without a restart.

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::Watched;
use super::kinds::{Exposes, Exposing};
use super::objects::{HttpRoute, Ingress};
use super::watch::{PAUSES, Watches};
use crate::api::is_not_found;
use crate::backoff::Backoff;
use crate::view::{ChildKind, ChildRef, Settings};

/// How often the cluster is asked what it has.
const EVERY: Duration = Duration::from_mins(1);

/// Follows what the cluster has.
pub(super) async fn follow(watches: Watches, watched: Arc<Watched>, client: Client) {
    let mut backoff = Backoff::new(PAUSES.0, PAUSES.1);
    let mut ingresses: Option<CancellationToken> = None;
    let mut http_routes: Option<CancellationToken> = None;
    loop {
        let found = has::<Ingress>(&client).await;
        let found = match found {
            Ok(ingress) => has::<HttpRoute>(&client).await.map(|http_route| (ingress, http_route)),
            Err(error) => Err(error),
        };
        let pause = match found {
            Ok((has_ingress, has_http_route)) => {
                backoff.reset();
                switch::<Ingress>(&watches, &mut ingresses, has_ingress);
                switch::<HttpRoute>(&watches, &mut http_routes, has_http_route);
                let known = watches.store.settings();
                if (known.has_ingress, known.has_http_route) != (has_ingress, has_http_route) {
                    tracing::info!(has_ingress, has_http_route, "what the cluster has to expose routes with");
                    watches.store.set_settings(Settings { has_ingress, has_http_route, ..(*known).clone() });
                }
                watches.store.listed(&watched);
                EVERY
            }
            Err(error) => {
                watched.life.beat();
                let pause = backoff.next();
                tracing::warn!(%error, ?pause, "cannot find out what the cluster has, which is tried again");
                pause
            }
        };
        sleep(pause).await;
    }
}

/// Whether the cluster has this kind.
async fn has<K: Exposes>(client: &Client) -> kube::Result<bool> {
    match client.list_api_group_resources(&K::api_version(&())).await {
        Ok(list) => Ok(list.resources.iter().any(|resource| resource.name == K::PLURAL)),
        Err(error) if is_not_found(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Begins the watches of a kind that came, and ends those of one that went.
fn switch<K>(watches: &Watches, running: &mut Option<CancellationToken>, is_there: bool)
where
    K: Exposes + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + 'static,
{
    match (running.take(), is_there) {
        (None, true) => {
            let stop = watches.stop.child_token();
            for namespace in watches.scope.parts() {
                watches.prepare::<Exposing<K>>(namespace, true, &stop)();
            }
            *running = Some(stop);
        }
        (Some(stop), false) => {
            stop.cancel();
            // Its objects went with it.
            forget(watches, K::KIND);
        }
        (same, _) => *running = same,
    }
}

fn forget(watches: &Watches, kind: ChildKind) {
    watches.store.update(|index| {
        for (namespace, name) in index.owned_names(None, kind) {
            index.remove_owned(&namespace, &ChildRef { kind, name });
        }
    });
}

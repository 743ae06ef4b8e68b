//! Watches: one task for each kind and namespace, each with a backoff of its own.
//!
//! kube's watcher lists, watches and resumes; around it, a guard leaves out an object that cannot be decoded, where
//! the plain type would end the watch at it for ever, and the pulse notes that the server still answers. Separate
//! tasks, because one that fails (a rule missing, an API gone) must not slow the others down, as it does when all
//! triggers of a controller share one stream and one backoff.

use std::collections::HashSet;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use futures_util::StreamExt as _;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::DeserializeGuard;
use kube::runtime::watcher::{Event, watcher};
use kube::{Client, Resource as _};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::index::Version;
use super::kinds::{self, Kind};
use super::optional;
use super::scope::Scope;
use super::{Store, Watched};
use crate::api::{Clients, Pulse, metered};
use crate::backoff::Backoff;

/// Waits between attempts of a watch that fails. Short, because a handful of watches costs an API server that comes
/// back nothing, and nobody should wait for half a minute after it has.
pub(super) const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(8));
/// How often the labels of namespaces are read where they cannot be watched.
const NAMESPACES_EVERY: Duration = Duration::from_secs(30);

/// Starts and owns the watches.
#[derive(Debug, Clone)]
pub(crate) struct Watches {
    pub(super) store: Arc<Store>,
    pub(super) clients: Clients,
    pub(super) scope: Scope,
    pub(super) tasks: TaskTracker,
    pub(super) stop: CancellationToken,
}

impl Watches {
    /// Starts the watches. With `exposes` also those of what may stand in front, once the cluster has it.
    pub(crate) fn start(store: &Arc<Store>, clients: &Clients, scope: Scope, exposes: bool) -> Self {
        let watches = Self {
            store: Arc::clone(store),
            clients: clients.clone(),
            scope,
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        };
        // All are known before any can say that everything is synced.
        let mut ready: Vec<Box<dyn FnOnce() + Send>> = Vec::new();
        for namespace in watches.scope.parts() {
            ready.push(watches.prepare::<kinds::Routes>(namespace.clone(), false, &watches.stop));
            ready.push(watches.prepare::<kinds::Services>(namespace.clone(), false, &watches.stop));
            ready.push(watches.prepare::<kinds::Slices>(namespace.clone(), false, &watches.stop));
            ready.push(watches.prepare::<kinds::Pods>(namespace.clone(), false, &watches.stop));
            ready.push(watches.prepare::<kinds::Documents>(namespace.clone(), false, &watches.stop));
            ready.push(match namespace {
                None => watches.prepare::<kinds::Namespaces>(None, false, &watches.stop),
                Some(name) => watches.prepare_namespace(name),
            });
        }
        if exposes {
            let (watched, client) = watches.watched("discovery", None, false);
            let (discovering, stop) = (watches.clone(), watches.stop.clone());
            ready.push(Box::new(move || {
                let tasks = discovering.tasks.clone();
                tasks.spawn(stop.run_until_cancelled_owned(optional::follow(discovering, watched, client)));
            }));
        }
        for start in ready {
            start();
        }
        watches
    }

    /// Ends them.
    pub(crate) async fn finish(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Makes a watch known, and gives what starts it. It ends with `stop`, and is forgotten then.
    pub(super) fn prepare<K: Kind>(
        &self,
        namespace: Option<String>,
        is_optional: bool,
        stop: &CancellationToken,
    ) -> Box<dyn FnOnce() + Send> {
        let (watched, client) = self.watched(K::RESOURCE, namespace.clone(), is_optional);
        let (store, stop, tasks) = (Arc::clone(&self.store), stop.clone(), self.tasks.clone());
        Box::new(move || {
            tasks.spawn(async move {
                let watch = Watch::<K> {
                    store: Arc::clone(&store),
                    watched: Arc::clone(&watched),
                    namespace,
                    listing: None,
                    kind: PhantomData,
                };
                stop.run_until_cancelled(Box::pin(watch.run(client))).await;
                store.drop_watch(&watched);
            });
        })
    }

    fn prepare_namespace(&self, name: String) -> Box<dyn FnOnce() + Send> {
        let (watched, client) = self.watched("namespaces", Some(name.clone()), false);
        let (store, stop, tasks) = (Arc::clone(&self.store), self.stop.clone(), self.tasks.clone());
        Box::new(move || {
            tasks.spawn(async move {
                stop.run_until_cancelled(read_namespace(&store, &watched, client, &name)).await;
            });
        })
    }

    fn watched(&self, resource: &'static str, namespace: Option<String>, is_optional: bool) -> (Arc<Watched>, Client) {
        let pulse = Arc::new(Pulse::default());
        let watched = Arc::new(Watched {
            resource,
            namespace,
            pulse: Arc::clone(&pulse),
            life: Pulse::default(),
            is_synced: AtomicBool::new(false),
            is_optional,
        });
        self.store.add_watch(Arc::clone(&watched));
        let client = metered(self.clients.watches.clone(), Arc::clone(&self.store.metrics), Some(pulse));
        (watched, client)
    }
}

/// One watch.
struct Watch<K: Kind> {
    store: Arc<Store>,
    watched: Arc<Watched>,
    namespace: Option<String>,
    /// What the list that goes on has brought, and when it began.
    listing: Option<(Instant, HashSet<(String, String)>)>,
    kind: PhantomData<fn() -> K>,
}

impl<K: Kind> Watch<K> {
    async fn run(mut self, client: Client) {
        let api = K::api(client, self.namespace.as_deref());
        let mut events = watcher(api, kinds::config::<K>()).boxed();
        let mut backoff = Backoff::new(PAUSES.0, PAUSES.1);
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    // An `Init` only says that a list is about to be asked for.
                    if !matches!(event, Event::Init) {
                        backoff.reset();
                        self.watched.pulse.beat();
                    }
                    self.take(event);
                }
                Err(error) => {
                    self.watched.life.beat();
                    self.store.metrics.watch_failed(K::RESOURCE);
                    let pause = backoff.next();
                    tracing::warn!(watch = %self.watched.title(), %error, ?pause, "a watch failed and is begun again");
                    sleep(pause).await;
                }
            }
        }
    }

    fn take(&mut self, event: Event<DeserializeGuard<K::Object>>) {
        match event {
            Event::Init => self.listing = Some((Instant::now(), HashSet::new())),
            Event::InitApply(object) => self.put(object, false),
            Event::Apply(object) => self.put(object, true),
            Event::Delete(object) => {
                let meta = object.meta();
                let (namespace, name) = key(meta);
                let version = Version::parse(meta.resource_version.as_deref());
                self.store.update(|index| K::remove(index, &namespace, &name, version));
            }
            Event::InitDone => {
                if let Some((began, listed)) = self.listing.take() {
                    self.store.update(|index| {
                        for (namespace, name) in K::names(index, self.namespace.as_deref(), began) {
                            if !listed.contains(&(namespace.clone(), name.clone())) {
                                K::remove(index, &namespace, &name, Version::default());
                            }
                        }
                    });
                }
                self.store.listed(&self.watched);
            }
        }
    }

    fn put(&mut self, object: DeserializeGuard<K::Object>, is_change: bool) {
        let (namespace, name) = key(object.meta());
        if let Some((_, listed)) = &mut self.listing {
            listed.insert((namespace.clone(), name.clone()));
        }
        match object.0 {
            Ok(object) => {
                if let Some(prepared) = K::prepare(object) {
                    self.store.update(|index| K::put(index, &namespace, &name, prepared, is_change));
                }
            }
            Err(error) => {
                self.store.metrics.could_not_decode(K::RESOURCE);
                let watch = self.watched.resource;
                tracing::warn!(watch, %namespace, %name, %error, "an object cannot be decoded and is left out");
            }
        }
    }
}

fn key(meta: &ObjectMeta) -> (String, String) {
    (meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default())
}

/// Where only some namespaces may be watched, each is read by its name: a Role in it allows that, and a watch of
/// namespaces it cannot allow.
async fn read_namespace(store: &Store, watched: &Watched, client: Client, name: &str) {
    let api = kinds::Namespaces::api(client, None);
    let mut backoff = Backoff::new(PAUSES.0, PAUSES.1);
    loop {
        let pause = match api.get_opt(name).await {
            Ok(found) => {
                backoff.reset();
                watched.pulse.beat();
                let is_enabled = found.and_then(|found| kinds::Namespaces::prepare(found.0.ok()?));
                store.update(|index| index.put_namespace(name, is_enabled == Some(true)));
                store.listed(watched);
                NAMESPACES_EVERY
            }
            Err(error) => {
                watched.life.beat();
                store.metrics.watch_failed("namespaces");
                let pause = backoff.next();
                tracing::warn!(namespace = name, %error, ?pause, "a namespace cannot be read, which is tried again");
                pause
            }
        };
        sleep(pause).await;
    }
}

#[cfg(test)]
mod tests;

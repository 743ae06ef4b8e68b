//! Watches: one task for each kind and namespace, each with a backoff of its own.
//!
//! kube's watcher lists, watches and resumes; around it, a guard leaves out an object that cannot be decoded, where
//! the plain type would end the watch at it for ever, and the pulse notes that the server still answers. Separate
//! tasks, because one that fails (a rule missing, an API gone) must not slow the others down, as it does when all
//! triggers of a controller share one stream and one backoff.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use kube::core::{DeserializeGuard, NamespaceResourceScope};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, Resource};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::index::Version;
use super::kinds::{self, Kind};
use super::objects;
use super::scope::{Scope, api};
use super::{Store, Watched};
use crate::api::{Clients, Pulse, metered};
use crate::backoff::Backoff;

/// Waits between attempts of a watch that fails. Short, because a handful of watches costs an API server that comes
/// back nothing, and nobody should wait for half a minute after it has.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(8));
/// How often the labels of namespaces are read where they cannot be watched.
const NAMESPACES_EVERY: Duration = Duration::from_secs(30);

/// Starts and owns the watches.
#[derive(Debug)]
pub(crate) struct Watches {
    store: Arc<Store>,
    clients: Clients,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Watches {
    /// Starts the watches that every cluster has.
    pub(crate) fn start(store: &Arc<Store>, clients: &Clients, scope: &Scope, stop: &CancellationToken) -> Self {
        let watches = Self {
            store: Arc::clone(store),
            clients: clients.clone(),
            tasks: TaskTracker::new(),
            stop: stop.child_token(),
        };
        // All are known before any can say that everything is synced.
        let mut ready: Vec<Box<dyn FnOnce() + Send>> = Vec::new();
        for namespace in scope.parts() {
            watches.prepare::<kinds::Routes>(namespace.clone(), &mut ready);
            watches.prepare::<kinds::Services>(namespace.clone(), &mut ready);
            watches.prepare::<kinds::Slices>(namespace.clone(), &mut ready);
            watches.prepare::<kinds::Pods>(namespace.clone(), &mut ready);
            watches.prepare::<kinds::Documents>(namespace.clone(), &mut ready);
            watches.prepare_namespaces(namespace, &mut ready);
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

    fn prepare<K: Kind>(&self, namespace: Option<String>, ready: &mut Vec<Box<dyn FnOnce() + Send>>)
    where
        K::Object: Resource<Scope = NamespaceResourceScope>,
    {
        let (watched, client) = self.watched(K::RESOURCE, namespace.clone());
        let (store, stop, tasks) = (Arc::clone(&self.store), self.stop.clone(), self.tasks.clone());
        ready.push(Box::new(move || {
            tasks.spawn(async move {
                let watch = Watch::<K> { store, watched, namespace, listing: None, kind: std::marker::PhantomData };
                stop.run_until_cancelled_owned(watch.run(client)).await;
            });
        }));
    }

    fn prepare_namespaces(&self, namespace: Option<String>, ready: &mut Vec<Box<dyn FnOnce() + Send>>) {
        let (watched, client) = self.watched("namespaces", namespace.clone());
        let (store, stop, tasks) = (Arc::clone(&self.store), self.stop.clone(), self.tasks.clone());
        ready.push(Box::new(move || {
            tasks.spawn(async move {
                let run = async {
                    match namespace {
                        Some(name) => read_namespace(&store, &watched, client, &name).await,
                        None => watch_namespaces(&store, &watched, client).await,
                    }
                };
                stop.run_until_cancelled(run).await;
            });
        }));
    }

    fn watched(&self, resource: &'static str, namespace: Option<String>) -> (Arc<Watched>, Client) {
        let pulse = Arc::new(Pulse::default());
        let watched = Arc::new(Watched {
            resource,
            namespace,
            pulse: Arc::clone(&pulse),
            life: Pulse::default(),
            is_synced: AtomicBool::new(false),
            is_optional: false,
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
    kind: std::marker::PhantomData<fn() -> K>,
}

impl<K: Kind> Watch<K>
where
    K::Object: Resource<Scope = NamespaceResourceScope>,
{
    async fn run(mut self, client: Client) {
        let api = api::<DeserializeGuard<K::Object>>(client, self.namespace.as_deref());
        let mut events = watcher(api, kinds::config::<K>()).boxed();
        let mut backoff = Backoff::new(PAUSES.0, PAUSES.1);
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    backoff.reset();
                    self.watched.pulse.beat();
                    self.take(event);
                }
                Err(error) => {
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

fn key(meta: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta) -> (String, String) {
    (meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default())
}

fn is_enabled(namespace: &objects::Namespace) -> bool {
    use moorline_crds::names;

    let labels = namespace.metadata.labels.as_ref();
    labels.and_then(|labels| labels.get(names::INJECT_LABEL)).map(String::as_str) == Some(names::ENABLED)
}

async fn watch_namespaces(store: &Store, watched: &Watched, client: Client) {
    let config = watcher::Config::default().timeout(crate::api::WATCH_TIMEOUT_SECONDS);
    let mut events = watcher(kube::Api::<objects::Namespace>::all(client), config).boxed();
    let mut backoff = Backoff::new(PAUSES.0, PAUSES.1);
    let mut listed: Option<HashSet<String>> = None;
    while let Some(event) = events.next().await {
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                store.metrics.watch_failed("namespaces");
                let pause = backoff.next();
                tracing::warn!(watch = "namespaces", %error, ?pause, "a watch failed and is begun again");
                sleep(pause).await;
                continue;
            }
        };
        backoff.reset();
        watched.pulse.beat();
        match event {
            Event::Init => listed = Some(HashSet::new()),
            Event::Apply(namespace) | Event::InitApply(namespace) => {
                let name = namespace.metadata.name.clone().unwrap_or_default();
                if let Some(listed) = &mut listed {
                    listed.insert(name.clone());
                }
                store.update(|index| index.put_namespace(&name, is_enabled(&namespace)));
            }
            Event::Delete(namespace) => {
                let name = namespace.metadata.name.unwrap_or_default();
                store.update(|index| index.remove_namespace(&name));
            }
            Event::InitDone => {
                if let Some(listed) = listed.take() {
                    store.update(|index| {
                        for name in index.namespace_names() {
                            if !listed.contains(&name) {
                                index.remove_namespace(&name);
                            }
                        }
                    });
                }
                store.listed(watched);
            }
        }
    }
}

/// Where only some namespaces may be watched, each is read by its name: a Role in it allows that, and a watch of
/// namespaces it cannot allow.
async fn read_namespace(store: &Store, watched: &Watched, client: Client, name: &str) {
    let api = kube::Api::<objects::Namespace>::all(client);
    let mut backoff = Backoff::new(PAUSES.0, PAUSES.1);
    loop {
        let pause = match api.get_opt(name).await {
            Ok(found) => {
                backoff.reset();
                watched.pulse.beat();
                store.update(|index| index.put_namespace(name, found.as_ref().is_some_and(is_enabled)));
                store.listed(watched);
                NAMESPACES_EVERY
            }
            Err(error) => {
                store.metrics.watch_failed("namespaces");
                let pause = backoff.next();
                tracing::warn!(namespace = name, %error, ?pause, "a namespace cannot be read, which is tried again");
                pause
            }
        };
        sleep(pause).await;
    }
}

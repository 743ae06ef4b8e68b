//! Routes in the index.

use std::sync::Arc;

use moorline_crds::compile::{route_id, service_of};
use moorline_crds::document::{RouteId, ServiceId};
use moorline_crds::v1alpha1::WebSocketRoute;
use tokio::time::Instant;

use super::{Index, Reason, Route, Version};
use crate::plan::exposed_hosts;
use crate::view::StatusWritten;

impl Index {
    /// A route as it is now. `appeared` is when it was seen to change, and none for what was there at the start.
    pub(crate) fn put_route(&mut self, route: WebSocketRoute, appeared: Option<Instant>) {
        let id = route_id(&route);
        let version = Version::parse(route.metadata.resource_version.as_deref());
        let target = service_of(&route);
        let known = self.namespace(&id.namespace);
        let old = known.routes.get(&id.name);
        if old.is_some_and(|old| !version.replaces(old.version)) {
            return;
        }
        let generation = route.metadata.generation.unwrap_or(0);
        let is_same = |old: &&Route| {
            old.manifest.metadata.uid == route.metadata.uid
                && old.manifest.metadata.generation == route.metadata.generation
        };
        let unchanged = old.filter(is_same);
        let (appeared, written) = match unchanged {
            Some(old) => (old.appeared, old.written),
            None => (appeared.map(|at| (generation, at)), None),
        };
        let is_new = unchanged.is_none();
        let before = old.map(|old| Arc::clone(&old.manifest));
        let route = Arc::new(route);
        known.routes.insert(id.name.clone(), Route { manifest: Arc::clone(&route), version, appeared, written });
        if !is_new {
            // Somebody may have written the status, which is then to be put right. The neighbours do not read it.
            self.mark(&target.namespace, &target.name, Reason::Route);
            return;
        }
        if let Some(before) = before {
            self.forget_hosts(&before);
            let was = service_of(&before);
            if was != target {
                self.leave(&was, &id);
            }
        }
        self.track(&target.namespace, &target.name, |tracked| {
            tracked.routes.insert(id.name.clone());
        });
        self.mark(&target.namespace, &target.name, Reason::Route);
        self.mark_neighbours(&target.namespace, &target.name, Reason::Route);
        for host in exposed_hosts(&route) {
            self.exposed.entry(host).or_default().insert(id.clone());
        }
        self.mark_exposed(&route);
    }

    /// A route that is gone.
    pub(crate) fn remove_route(&mut self, id: &RouteId, version: Version) {
        let Some(known) = self.namespaces.get_mut(&id.namespace) else { return };
        if known.routes.get(&id.name).is_none_or(|route| !version.deletes(route.version)) {
            return;
        }
        let Some(old) = known.routes.remove(&id.name) else { return };
        self.forget_hosts(&old.manifest);
        self.leave(&service_of(&old.manifest), id);
    }

    /// The routes of one namespace, or of all.
    pub(crate) fn route_names(&self, scope: Option<&str>) -> Vec<RouteId> {
        self.scope(scope)
            .flat_map(|(namespace, known)| {
                known.routes.keys().map(|name| RouteId { namespace: namespace.clone(), name: name.clone() })
            })
            .collect()
    }

    /// How long ago this generation appeared; told once.
    pub(crate) fn take_appeared(&mut self, id: &RouteId, generation: i64) -> Option<Instant> {
        let route = self.namespaces.get_mut(&id.namespace)?.routes.get_mut(&id.name)?;
        route.appeared.take_if(|(appeared, _)| *appeared <= generation).map(|(_, at)| at)
    }

    /// The status of a route was written.
    pub(crate) fn status_written(&mut self, id: &RouteId, written: StatusWritten) {
        let namespace = self.namespaces.get_mut(&id.namespace);
        if let Some(route) = namespace.and_then(|known| known.routes.get_mut(&id.name)) {
            route.written = Some(written);
        }
    }

    /// Every route, for the metrics.
    pub(crate) fn routes(&self) -> impl Iterator<Item = &Arc<WebSocketRoute>> {
        self.namespaces.values().flat_map(|known| known.routes.values().map(|route| &route.manifest))
    }

    fn leave(&mut self, service: &ServiceId, route: &RouteId) {
        self.mark(&service.namespace, &service.name, Reason::Route);
        self.mark_neighbours(&service.namespace, &service.name, Reason::Route);
        self.untrack(&service.namespace, &service.name, |tracked| {
            tracked.routes.remove(&route.name);
        });
    }

    fn forget_hosts(&mut self, route: &WebSocketRoute) {
        self.mark_exposed(route);
        let id = route_id(route);
        for host in exposed_hosts(route) {
            if let Some(routes) = self.exposed.get_mut(&host) {
                routes.remove(&id);
                if routes.is_empty() {
                    self.exposed.remove(&host);
                }
            }
        }
    }

    fn mark_exposed(&mut self, route: &WebSocketRoute) {
        let services: Vec<ServiceId> = self.exposed_with(route).map(|other| service_of(other)).collect();
        for service in services {
            self.mark(&service.namespace, &service.name, Reason::Route);
        }
    }

    /// Routes that are exposed on a host of this one.
    pub(super) fn exposed_with(&self, route: &WebSocketRoute) -> impl Iterator<Item = &Arc<WebSocketRoute>> {
        exposed_hosts(route)
            .into_iter()
            .filter_map(|host| self.exposed.get(&host))
            .flatten()
            .filter_map(|id| Some(&self.namespaces.get(&id.namespace)?.routes.get(&id.name)?.manifest))
    }
}

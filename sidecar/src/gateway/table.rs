//! All routes of the process, and how a reload turns one table into the next.
//!
//! The next table is built aside and swapped in at once. What has not changed is carried over as it is: cells with
//! their connections, Services with their groups, pools with their open connections.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use http::HeaderValue;
use moorline_crds::{Route, RouteId, Router, ServiceId};

use super::pools::Pools;
use super::problem::{self, RouteProblem};
use super::route::{RouteCell, RouteRuntime, Service};
use super::shared::Shared;
use crate::hub::Backplane;
use crate::report::{RouteReport, ServiceReport};
use crate::source::documents::Loaded;

/// The routes of the process.
#[derive(Debug, Default)]
pub struct Table {
    router: Router,
    cells: Vec<Arc<RouteCell>>,
    /// By token, which is the index of the cell.
    problems: BTreeMap<usize, RouteProblem>,
    services: BTreeMap<ServiceId, Arc<Service>>,
    hashes: BTreeMap<ServiceId, String>,
    pools: Pools,
}

/// Name and text of each capture of a path.
pub(super) type Captures = Vec<(Box<str>, Box<str>)>;

/// What a reload changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// Routes that are new.
    pub added: usize,
    /// Routes whose content changed.
    pub changed: usize,
    /// Routes that are gone.
    pub removed: usize,
    /// Routes left as they were.
    pub unchanged: usize,
}

/// What a table is built with.
#[derive(Debug)]
pub(super) struct Parts<'a> {
    pub(super) shared: &'a Shared,
    pub(super) callback_base: &'a str,
}

/// A new table, and the cells that have no place in it.
pub(super) struct Next {
    pub(super) table: Table,
    pub(super) reloaded: Reloaded,
    pub(super) removed: Vec<Arc<RouteCell>>,
}

impl Table {
    /// The route for a request, and the captures of its path.
    pub(super) fn find(&self, host: &str, path: &str) -> Option<(&Arc<RouteCell>, Captures)> {
        let found = self.router.find(host, path)?;
        Some((self.cells.get(found.token)?, found.captures))
    }

    /// One hash for all documents. For a single one it is the document's own, so that it can be compared with what
    /// `moorline compile` printed.
    pub fn hash(&self) -> String {
        if self.hashes.is_empty() {
            return "none".to_owned();
        }
        self.hashes.values().map(String::as_str).collect::<Vec<_>>().join("+")
    }

    /// What keeps routes from working here, each with its name.
    pub(super) fn problems(&self) -> impl Iterator<Item = (&RouteId, &RouteProblem)> {
        self.problems.iter().filter_map(|(token, problem)| Some((&self.cells.get(*token)?.id, problem)))
    }

    /// The Services and their routes, as they are reported.
    pub(super) fn report(&self) -> Vec<ServiceReport> {
        let of_service = |service: &Arc<Service>| {
            let cells = self.cells.iter().enumerate().filter(|(_, cell)| cell.service.id == service.id);
            let routes = cells.map(|(token, cell)| RouteReport {
                name: cell.id.name.clone(),
                generation: cell.current().route.generation,
                problem: self.problems.get(&token).map(RouteProblem::report),
            });
            ServiceReport {
                namespace: service.id.namespace.clone(),
                name: service.id.name.clone(),
                hash: self.hashes.get(&service.id).cloned(),
                connections: service.hub.len(),
                routes: routes.collect(),
                refused: None,
                gone: false,
            }
        };
        self.services.values().map(of_service).collect()
    }

    /// The Services, by name.
    pub fn services(&self) -> impl Iterator<Item = &Arc<Service>> {
        self.services.values()
    }

    /// The pools.
    pub(super) fn pools(&self) -> &Pools {
        &self.pools
    }

    /// The only Service.
    pub(super) fn only_service(&self) -> Option<Arc<dyn Backplane>> {
        let mut services = self.services.values();
        match (services.next(), services.next()) {
            (Some(service), None) => Some(Arc::clone(&service.backplane)),
            _ => None,
        }
    }

    /// The Service of this name.
    pub(super) fn service(&self, namespace: &str, name: &str) -> Option<Arc<dyn Backplane>> {
        let id = ServiceId { namespace: namespace.to_owned(), name: name.to_owned() };
        self.services.get(&id).map(|service| Arc::clone(&service.backplane))
    }

    /// The base URL of the callback API for a Service.
    pub(super) fn callback_url(base: &str, service: &ServiceId, several: bool) -> String {
        if several { format!("{base}/{}/{}", service.namespace, service.name) } else { base.to_owned() }
    }

    /// The table after these documents.
    pub(super) fn next(&self, mut documents: Vec<Loaded>, parts: &Parts<'_>) -> Next {
        let several = documents.len() > 1;
        // Of routes that serve the same, the first counts: it must not depend on who handed the documents over.
        documents.sort_by(|a, b| a.document.service.cmp(&b.document.service));
        let mut next = Self::default();
        let mut reloaded = Reloaded::default();
        let known: HashMap<(&ServiceId, &RouteId), &Arc<RouteCell>> =
            self.cells.iter().map(|cell| ((&cell.service.id, &cell.id), cell)).collect();
        let mut kept = HashSet::new();
        for Loaded { document, hash } in documents {
            let service = self
                .services
                .get(&document.service)
                .map_or_else(|| Arc::new(Service::new(document.service.clone())), Arc::clone);
            let url = Self::callback_url(parts.callback_base, &document.service, several);
            // Names of namespaces and Services are DNS labels, so the URL is visible ASCII.
            let url = HeaderValue::try_from(url).unwrap_or_else(|_| HeaderValue::from_static(""));
            for route in document.routes {
                let existing = known.get(&(&service.id, &route.id)).copied();
                if let Some(cell) = existing {
                    kept.insert(Arc::as_ptr(cell));
                }
                let cell = next.place(self, route, existing, &service, &url, parts, &mut reloaded);
                next.cells.push(cell);
            }
            next.hashes.insert(service.id.clone(), hash);
            next.services.insert(service.id.clone(), service);
        }
        let removed: Vec<_> = self.cells.iter().filter(|cell| !kept.contains(&Arc::as_ptr(cell))).cloned().collect();
        reloaded.removed = removed.len();
        let current: Vec<_> = next.cells.iter().map(|cell| cell.current()).collect();
        next.router = Router::new(current.iter().enumerate().map(|(token, runtime)| (token, &runtime.route)));
        for (token, first) in problem::overlaps(current.iter().map(|runtime| &runtime.route)) {
            let problem =
                problem::path_taken(&current[token].route, &current[first].route, &next.cells[first].service.id);
            next.problems.insert(token, problem);
        }
        Next { table: next, reloaded, removed }
    }

    #[allow(clippy::too_many_arguments)] // one step of the loop above, split out for its length
    fn place(
        &mut self,
        before: &Self,
        route: Route,
        existing: Option<&Arc<RouteCell>>,
        service: &Arc<Service>,
        url: &HeaderValue,
        parts: &Parts<'_>,
        reloaded: &mut Reloaded,
    ) -> Arc<RouteCell> {
        let (app, problem) = self.pools.app(&before.pools, &route, parts.shared);
        self.problems.extend(problem.map(|problem| (self.cells.len(), problem)));
        if let Some(cell) = existing {
            let current = cell.current();
            if current.route == route && current.callback_url == *url {
                reloaded.unchanged += 1;
            } else {
                cell.replace(RouteRuntime::new(route, app, url.clone(), &parts.shared.metrics));
                reloaded.changed += 1;
            }
            return Arc::clone(cell);
        }
        reloaded.added += 1;
        let runtime = RouteRuntime::new(route, app, url.clone(), &parts.shared.metrics);
        Arc::new(RouteCell::new(Arc::clone(service), runtime))
    }
}

//! What steers a gateway from outside: reload, drain, shutdown, and what it says of itself.

use std::sync::Arc;

use moorline_crds::{Document, ServiceId};

use super::drain;
use super::shared::{Shared, Withheld};
use super::table::{Parts, Reloaded, Table};
use crate::closing::CloseCause;
use crate::metrics::{Metrics, Reload};
use crate::report::Report;
use crate::source::documents::{Loaded, Refused};

/// Steers a gateway.
#[derive(Clone, Debug)]
pub struct Handle {
    shared: Arc<Shared>,
    callback_base: Arc<str>,
}

impl Handle {
    pub(super) fn new(shared: Arc<Shared>, callback_base: Arc<str>) -> Self {
        Self { shared, callback_base }
    }

    /// Swaps in the routes of these documents. No listener is bound anew and no socket closed, but those of routes
    /// that are gone: they get 1001, spread as in a drain, each after its calls, and `$disconnect` under the old route.
    pub fn reload(&self, documents: Vec<Document>) -> Reloaded {
        self.load(documents.into_iter().map(Loaded::from).collect())
    }

    /// As [`Handle::reload`], with the hashes of what the documents were read from.
    pub fn load(&self, documents: Vec<Loaded>) -> Reloaded {
        let shared = &self.shared;
        let before = shared.table.load_full();
        let parts = Parts { shared, callback_base: &self.callback_base };
        let next = before.next(documents, &parts);
        let table = Arc::new(next.table);
        shared.table.store(Arc::clone(&table));
        before.pools().close_unused(table.pools());
        for (route, problem) in table.problems() {
            tracing::warn!(%route, reason = problem.reason, "{}", problem.message);
        }
        let mut leaving = Vec::new();
        for cell in &next.removed {
            cell.remove();
            let connections = cell.service.hub.all();
            leaving.extend(connections.into_iter().filter(|connection| Arc::ptr_eq(&connection.route, cell)));
            shared.metrics.forget_route(&cell.id);
        }
        if !leaving.is_empty() {
            shared.tasks.spawn(drain::let_go(Arc::clone(shared), leaving, CloseCause::RouteRemoved));
        }
        let reloaded = next.reloaded;
        let changed = reloaded.added + reloaded.changed + reloaded.removed > 0;
        shared.metrics.reloaded(if changed { Reload::Applied } else { Reload::Unchanged });
        reloaded
    }

    /// Counts a document that was refused. The routes stay as they are.
    pub fn reload_refused(&self, reason: &str) {
        // Whoever refused it says so, with the file and the field, which are not known here.
        tracing::debug!(reason, "a document was refused");
        self.shared.metrics.reloaded(Reload::Refused);
    }

    /// Notes what is not served although it is there, and what is served although it is not, for the report.
    pub fn note(&self, refused: Vec<Refused>, gone: Vec<ServiceId>) {
        *self.shared.withheld.lock() = Withheld { refused, gone };
    }

    /// What is served, and what is not.
    pub fn report(&self) -> Report {
        self.shared.report()
    }

    /// Closes every connection as the settings say; ready when none is left. The process stays and answers handshakes
    /// with 503.
    pub async fn drain(&self) {
        drain::drain(&self.shared).await;
    }

    /// Drains, then stops every listener and task; [`Gateway::run`] returns after that.
    pub async fn shutdown(&self) {
        self.drain().await;
        self.shared.stop.cancel();
    }

    /// A hash of the content of the documents.
    pub fn config_hash(&self) -> String {
        self.shared.table.load().hash()
    }

    /// Sockets of clients now.
    pub fn connections(&self) -> usize {
        self.shared.connections()
    }

    /// Whether a drain has begun.
    pub fn is_draining(&self) -> bool {
        self.shared.is_draining()
    }

    /// The metrics.
    pub fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.shared.metrics)
    }

    /// The base URL of the callback API for each Service.
    pub fn service_urls(&self) -> Vec<(ServiceId, String)> {
        let table = self.shared.table.load();
        let several = table.services().count() > 1;
        table
            .services()
            .map(|service| (service.id.clone(), Table::callback_url(&self.callback_base, &service.id, several)))
            .collect()
    }
}

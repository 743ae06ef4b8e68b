//! What all tasks of a gateway share.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use moorline_crds::ServiceId;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::drain::DrainPhase;
use super::settings::DrainSettings;
use super::table::Table;
use crate::budget::Budget;
use crate::metrics::Metrics;
use crate::observe::Observer;
use crate::report::{Report, ReportedProblem, ServiceReport};
use crate::source::documents::Refused;
use crate::upstream::Resolver;

/// How many sockets over the process-wide limit are answered at a time.
const REFUSALS: usize = 64;

/// The state of a gateway.
pub struct Shared {
    /// The bound on buffered bytes.
    pub budget: Arc<Budget>,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// Who watches.
    pub observer: Option<Arc<dyn Observer>>,
    pub(super) table: ArcSwap<Table>,
    /// Handshakes that reached a route, and sessions. A drain waits for them.
    pub(super) sessions: TaskTracker,
    /// Everything else: listeners, sockets before their handshake, connections to applications. Ends after the sessions.
    pub(super) tasks: TaskTracker,
    /// Stops the listeners.
    pub(super) stop: CancellationToken,
    /// Handshakes are answered with 503.
    pub(super) refusing: AtomicBool,
    /// From the beginning of a drain on, load balancers that ask are told to go elsewhere.
    pub(super) phase: watch::Sender<DrainPhase>,
    pub(super) drain: DrainSettings,
    pub(super) loopback_hosts_only: bool,
    pub(super) app_idle: Duration,
    /// The numbers of the ports that routes may name.
    pub(super) app_ports: BTreeMap<String, u16>,
    pub(super) own_addresses: Vec<IpAddr>,
    pub(super) resolver: Arc<Resolver>,
    /// What the source of the documents says of those that are not served.
    pub(super) withheld: Mutex<Withheld>,
    /// Places for sockets over the limit to be told so.
    pub(super) refusals: Arc<Semaphore>,
    connections: AtomicUsize,
    max_connections: usize,
}

/// Documents that are not served as they are.
#[derive(Debug, Default)]
pub(super) struct Withheld {
    pub(super) refused: Vec<Refused>,
    pub(super) gone: Vec<ServiceId>,
}

/// Counts a socket against the process-wide limit, from accept to its end.
#[derive(Debug)]
pub(super) struct ProcessPermit {
    shared: Arc<Shared>,
}

impl Shared {
    pub(super) fn new(
        settings: &super::Settings,
        max_connections: usize,
        budget: Arc<Budget>,
        metrics: Arc<Metrics>,
    ) -> Arc<Self> {
        Arc::new(Self {
            budget,
            metrics,
            observer: settings.observer.clone(),
            table: ArcSwap::from_pointee(Table::default()),
            sessions: TaskTracker::new(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            refusing: AtomicBool::new(false),
            phase: watch::Sender::new(DrainPhase::NotBegun),
            drain: settings.drain,
            loopback_hosts_only: settings.loopback_hosts_only,
            app_idle: settings.app_idle,
            app_ports: settings.app_ports.clone(),
            own_addresses: settings.own_addresses.clone(),
            resolver: Arc::new(Resolver::new(settings.name_servers.clone())),
            withheld: Mutex::default(),
            refusals: Arc::new(Semaphore::new(REFUSALS)),
            connections: AtomicUsize::new(0),
            max_connections,
        })
    }

    /// Sockets of clients now.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Whether a drain has begun.
    pub(super) fn is_draining(&self) -> bool {
        *self.phase.borrow() != DrainPhase::NotBegun
    }

    /// What is served, and what is not.
    pub(super) fn report(&self) -> Report {
        let mut report = Report::new(self.is_draining(), self.connections());
        report.services = self.table.load().report();
        let withheld = self.withheld.lock();
        for refused in &withheld.refused {
            let problem = ReportedProblem { reason: refused.reason.to_owned(), message: refused.message.clone() };
            service_report(&mut report.services, &refused.service).refused = Some(problem);
        }
        for service in &withheld.gone {
            service_report(&mut report.services, service).gone = true;
        }
        report
    }

    /// The process-wide limit.
    pub(super) fn max_connections(&self) -> usize {
        self.max_connections
    }

    /// Counts one more socket, if the limit allows it.
    pub(super) fn permit(self: &Arc<Self>) -> Option<ProcessPermit> {
        let max = self.max_connections;
        self.connections
            .try_update(Ordering::AcqRel, Ordering::Acquire, |count| (count < max).then_some(count + 1))
            .ok()?;
        Some(ProcessPermit { shared: Arc::clone(self) })
    }
}

/// The entry of a Service, made if there is none: of one whose only document was refused.
fn service_report<'a>(services: &'a mut Vec<ServiceReport>, id: &ServiceId) -> &'a mut ServiceReport {
    let place = |service: &ServiceReport| {
        (service.namespace.as_str(), service.name.as_str()).cmp(&(id.namespace.as_str(), id.name.as_str()))
    };
    let at = match services.binary_search_by(place) {
        Ok(at) => at,
        Err(at) => {
            services.insert(at, ServiceReport::unserved(&id.namespace, &id.name));
            at
        }
    };
    &mut services[at]
}

impl Drop for ProcessPermit {
    fn drop(&mut self) {
        self.shared.connections.fetch_sub(1, Ordering::AcqRel);
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("connections", &self.connections()).finish_non_exhaustive()
    }
}

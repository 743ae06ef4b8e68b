//! Carries plans out, while this replica is the leader.
//!
//! One loop hands out Services to a few workers; each makes a view of one, has the core plan, and does what the plan
//! says. All that is done is idempotent, so a worker that is dropped in the middle, because the lease is lost or the
//! process stops, leaves nothing to clean up: whoever leads next plans from what is there.
//!
//! Invariants: nothing is written while the lease is not held; at most [`WORKERS`] Services are worked on at a time, and
//! none twice; a Service whose plan fails is tried again with growing waits.

pub(crate) mod children;
mod error;
mod events;
mod nudge;
mod owner;
mod queue;
mod repair;
mod status;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::Client;
use moorline_crds::document::ServiceId;
use moorline_inject::InjectSettings;
use tokio::task::{self, JoinSet};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::children::{Applied, Children};
use self::error::ActError;
use self::events::Events;
use self::nudge::{Nudger, Nudges};
use self::queue::Queue;
use self::repair::Repairer;
use crate::lease::{Leadership, became};
use crate::metrics::Metrics;
use crate::plan::{DocumentPlan, Regarding, ServicePlan, plan};
use crate::store::Store;
use crate::store::index::{PodKey, Reason};

/// Services worked on at a time.
const WORKERS: usize = 8;
/// How long changes of one Service are gathered: an `apply -f` of ten routes is one document.
const GATHER: Duration = Duration::from_millis(100);
/// After which time the place of a child that was taken is looked at again.
const TAKEN_AGAIN: Duration = Duration::from_secs(50);
/// Repairs of one Service in one go. Each reads a pod and its owners.
const REPAIRS: usize = 8;

/// What acting needs.
#[derive(Clone)]
pub(crate) struct Actor {
    store: Arc<Store>,
    client: Client,
    metrics: Arc<Metrics>,
    leadership: Leadership,
    events: Arc<Events>,
    repairer: Arc<Repairer>,
    nudges: Arc<Nudges>,
    nudges_per_second: u32,
}

/// How acting is set up.
#[derive(Debug, Clone)]
pub(crate) struct ActSettings {
    /// The name of this pod.
    pub(crate) instance: String,
    /// What is injected.
    pub(crate) inject: Arc<InjectSettings>,
    /// The most pods told of new documents per second.
    pub(crate) nudges_per_second: u32,
}

impl Actor {
    pub(crate) fn new(
        store: &Arc<Store>,
        client: &Client,
        metrics: &Arc<Metrics>,
        leadership: &Leadership,
        settings: ActSettings,
    ) -> Self {
        let events = Arc::new(Events::new(settings.instance));
        let repairer = Repairer::new(Arc::clone(store), Arc::clone(metrics), settings.inject, Arc::clone(&events));
        Self {
            store: Arc::clone(store),
            client: client.clone(),
            metrics: Arc::clone(metrics),
            leadership: leadership.clone(),
            events,
            repairer: Arc::new(repairer),
            nudges: Arc::default(),
            nudges_per_second: settings.nudges_per_second,
        }
    }

    /// Acts whenever this replica leads, until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut leader = self.leadership.watch();
        let mut synced = self.store.synced();
        let ready = async { synced.wait_for(|synced| *synced).await.is_ok() };
        if stop.run_until_cancelled(ready).await != Some(true) {
            return;
        }
        while stop.run_until_cancelled(became(&mut leader, true)).await == Some(true) {
            let term = stop.child_token();
            let work = self.lead(&term);
            tokio::pin!(work);
            tokio::select! {
                () = &mut work => {}
                _ = became(&mut leader, false) => {
                    term.cancel();
                    work.await;
                }
            }
        }
    }

    /// Acts until `term` ends.
    async fn lead(&self, term: &CancellationToken) {
        self.metrics.leader.set(1);
        let nudger = Arc::new(Nudger {
            store: Arc::clone(&self.store),
            client: self.client.clone(),
            metrics: Arc::clone(&self.metrics),
            leadership: self.leadership.clone(),
            nudges: Arc::clone(&self.nudges),
            per_second: self.nudges_per_second,
        });
        let tasks = TaskTracker::new();
        tasks.spawn(nudger.run(term.clone()));
        self.store.update(|index| index.mark_all(Reason::Leader));
        self.hand_out(term).await;
        tasks.close();
        tasks.wait().await;
        self.metrics.leader.set(0);
    }

    async fn hand_out(&self, term: &CancellationToken) {
        let mut queue = Queue::default();
        let mut workers: JoinSet<Outcome> = JoinSet::new();
        let mut running: HashMap<task::Id, ServiceId> = HashMap::new();
        loop {
            while workers.len() < WORKERS
                && let Some((id, reason)) = queue.pop(Instant::now())
            {
                let (actor, term, looked_at) = (self.clone(), term.clone(), id.clone());
                let worker = workers.spawn(async move {
                    let look = Box::pin(actor.look(&looked_at, reason));
                    term.run_until_cancelled(look).await.unwrap_or(Outcome::Done(None))
                });
                running.insert(worker.id(), id);
            }
            self.metrics.queue_depth.set(i64::try_from(queue.len()).unwrap_or(i64::MAX));
            let wake = queue.wake().filter(|_| workers.len() < WORKERS);
            tokio::select! {
                () = term.cancelled() => break,
                () = self.store.changed.notified() => self.gather(&mut queue),
                Some(finished) = workers.join_next_with_id() => {
                    let (worker, outcome) = match finished {
                        Ok((worker, outcome)) => (worker, outcome),
                        // A bug in the plan of one Service must not take the others with it.
                        Err(error) => (error.id(), Outcome::Panicked),
                    };
                    if let Some(id) = running.remove(&worker) {
                        finish(&mut queue, id, outcome);
                    }
                }
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {}
            }
        }
        while workers.join_next().await.is_some() {}
        self.metrics.queue_depth.set(0);
    }

    fn gather(&self, queue: &mut Queue) {
        let now = Instant::now();
        for (id, reason) in self.store.update(crate::store::index::Index::take_services) {
            // What we stored ourselves is done gathering, and pods wait to be told of it.
            let wait = if reason == Reason::Document { Duration::ZERO } else { GATHER };
            queue.mark(id, reason, now + wait);
        }
    }

    async fn look(&self, id: &ServiceId, reason: Reason) -> Outcome {
        let started = Instant::now();
        let result = self.carry_out(id).await;
        let outcome = match &result {
            Ok(_) => "ok",
            Err(error) => error.reason(),
        };
        self.metrics.reconciled(reason.name(), outcome, started.elapsed());
        match result {
            Ok(again) => Outcome::Done(again),
            Err(error) => Outcome::Failed(error),
        }
    }

    async fn carry_out(&self, id: &ServiceId) -> Result<Option<Duration>, ActError> {
        let children = Children { store: &self.store, client: &self.client, service: id };
        if let Some(before) = Instant::now().checked_sub(TAKEN_AGAIN) {
            children.look_again(before).await?;
        }
        let settings = self.store.settings();
        let view = self.store.read(|index| index.view(id, &settings, Timestamp::now()));
        let plan = plan(&view);
        let has_repairs_left = plan.repairs.len() > REPAIRS;
        let again = plan.recheck_after;
        let failed = self.write(id, &children, plan).await;
        failed?;
        Ok(if has_repairs_left { Some(Duration::from_secs(1)) } else { again })
    }

    /// Does what a plan says. A failure of one part leaves the others alone, where they do not need it; the first one is
    /// told.
    async fn write(&self, id: &ServiceId, children: &Children<'_>, plan: ServicePlan) -> Result<(), ActError> {
        let mut first: Option<ActError> = None;
        let mut keep = |error: ActError| {
            first.get_or_insert(error);
        };
        match plan.document {
            DocumentPlan::Keep => {}
            DocumentPlan::Write(write) if self.leadership.holds() => {
                match children.apply(&write.child, &write.object).await {
                    Ok(Applied::Well) => tracing::info!(service = %id, hash = %write.hash, "the document is stored"),
                    // The plan was made without knowing, and is void: the next one says so in the statuses.
                    Ok(Applied::Taken) => return Ok(()),
                    Err(error) => keep(error),
                }
            }
            DocumentPlan::Delete(child) if self.leadership.holds() => {
                children.delete(&child).await.unwrap_or_else(&mut keep);
            }
            DocumentPlan::Write(_) | DocumentPlan::Delete(_) => return Ok(()),
        }
        for apply in &plan.apply {
            if self.leadership.holds() {
                match children.apply(&apply.child, &apply.object).await {
                    Ok(Applied::Well) => {}
                    Ok(Applied::Taken) => return Ok(()),
                    Err(error) => keep(error),
                }
            }
        }
        for child in &plan.delete {
            if self.leadership.holds() {
                children.delete(child).await.unwrap_or_else(&mut keep);
            }
        }
        for write in &plan.statuses {
            if !self.leadership.holds() {
                return Ok(());
            }
            match status::write(&self.store, &self.client, &self.metrics, write).await {
                Ok(true) => {
                    for event in &write.events {
                        self.events.publish(&self.client, &self.metrics, &id.namespace, event).await;
                    }
                }
                Ok(false) => {}
                Err(error) => keep(error),
            }
        }
        let pods = plan.nudges.iter();
        let pods = pods.map(|nudge| PodKey { namespace: id.namespace.clone(), name: nudge.pod.clone() });
        self.nudges.add(pods, &self.metrics);
        for event in &plan.events {
            self.events.publish(&self.client, &self.metrics, &id.namespace, event).await;
            if let Regarding::Pod { name, uid } = &event.on {
                let key = PodKey { namespace: id.namespace.clone(), name: name.clone() };
                self.store.update(|index| index.advised(&key, uid));
            }
        }
        for repair in plan.repairs.iter().take(REPAIRS) {
            if self.leadership.holds() {
                self.repairer.repair(&self.client, id, repair).await.unwrap_or_else(&mut keep);
            }
        }
        first.map_or(Ok(()), Err)
    }
}

/// How a look ended.
enum Outcome {
    Done(Option<Duration>),
    Failed(ActError),
    Panicked,
}

fn finish(queue: &mut Queue, id: ServiceId, outcome: Outcome) {
    let now = Instant::now();
    match outcome {
        Outcome::Done(again) => queue.done(id, again.map(|after| now + after)),
        Outcome::Panicked => {
            let service = id.to_string();
            let pause = queue.failed(id, now);
            tracing::error!(%service, ?pause, "a plan ended with a panic and is tried again");
        }
        Outcome::Failed(error) => {
            let service = id.to_string();
            let pause = queue.failed(id, now);
            if error.is_expected() {
                tracing::info!(%service, %error, ?pause, "a plan is tried again");
            } else {
                tracing::warn!(%service, %error, reason = error.reason(), ?pause, "a plan failed and is tried again");
            }
        }
    }
}

#[cfg(test)]
mod on_cluster;
#[cfg(test)]
mod tests;

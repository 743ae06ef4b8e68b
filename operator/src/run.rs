//! The operator as a process: what runs, and in which order it ends.
//!
//! At SIGTERM first what writes stops, then the lease is given up, so that another replica leads within a second; the
//! webhook goes on answering for as long as the API server may still send it pods, and health is last, because a kubelet
//! that gets no answer from a process that is ending would restart it. A second signal ends it at once.
//!
//! Every task is awaited here. One that ends before it is told to is an error, and ends the process: half an operator
//! looks well from outside.

mod index;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use moorline_inject::InjectSettings;
use prometheus_client::registry::Registry;
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::index::IndexFacts;
use crate::act::{ActSettings, Actor};
use crate::api::{ClientError, Clients};
use crate::certs::{self, Served};
use crate::cli::{Certificates, Rollout, RunArgs};
use crate::lease::{Candidate, Election, Leadership};
use crate::metrics::{self, Metrics, Process, WorldCollector};
use crate::poll::Poller;
use crate::serve::{self, health};
use crate::store::{Scope, Store, Watches};
use crate::view::Settings;
use crate::webhook::{self, Webhook};

/// How long what writes may take to stop. It stops at its next await; this is for the unforeseen.
const STOP_WITHIN: Duration = Duration::from_secs(2);

/// How the process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// As it was told to.
    Stopped,
    /// At once, by a second signal.
    Interrupted,
}

/// Why the operator cannot run.
#[derive(Debug, Error)]
pub(crate) enum RunError {
    /// Signals cannot be had.
    #[error("signals: {0}")]
    Signals(#[source] std::io::Error),
    /// There is no way to the API server.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The webhook's port cannot be had.
    #[error("cannot listen on {address} for the webhook: {source}")]
    BindWebhook { address: std::net::SocketAddr, source: std::io::Error },
    /// TLS cannot be set up.
    #[error("TLS: {0}")]
    Tls(#[source] rustls::Error),
    /// Health cannot be told.
    #[error(transparent)]
    Health(#[from] health::HealthError),
    /// A part of the process ended by itself.
    #[error("a part of the operator ended: {0}")]
    Part(&'static str),
}

impl RunError {
    /// A fixed name for the kind of error.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Signals(_) => "signals",
            Self::Client(error) => error.reason(),
            Self::BindWebhook { .. } => "bind_webhook",
            Self::Tls(_) => "tls",
            Self::Health(error) => error.reason(),
            Self::Part(_) => "part",
        }
    }
}

/// Runs until a signal.
pub(crate) async fn run(args: RunArgs) -> Result<Ended, RunError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(RunError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(RunError::Signals)?;
    let operator = Operator::start(args).await?;
    let failed = tokio::select! {
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
        part = operator.failed() => Some(part),
    };
    match failed {
        None => tracing::info!("stopping; a second signal ends the process at once"),
        Some(part) => tracing::error!(part, "stopping, because a part of the operator ended"),
    }
    tokio::select! {
        () = operator.stop() => {}
        _ = terminate.recv() => return Ok(Ended::Interrupted),
        _ = interrupt.recv() => return Ok(Ended::Interrupted),
    }
    failed.map_or(Ok(Ended::Stopped), |part| Err(RunError::Part(part)))
}

/// Everything that runs.
struct Operator {
    /// What writes.
    writing: Part,
    election: Part,
    /// Watches and certificates: what the webhook answers from.
    knowing: Part,
    webhook: Part,
    watches: Watches,
    health: health::Health,
}

impl Operator {
    async fn start(args: RunArgs) -> Result<Self, RunError> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Process));
        let ours = registry.sub_registry_with_prefix(metrics::PREFIX);
        let metrics = Metrics::register(ours);
        let certificate_metrics = certs::Metrics::register(ours);
        let webhook_metrics = webhook::Metrics::register(ours);
        let clients = Clients::infer(&metrics).await?;
        let store = Store::new(settings(&args), Arc::clone(&metrics));
        ours.register_collector(Box::new(WorldCollector(Arc::clone(&store) as Arc<_>)));
        let facts = Arc::new(IndexFacts::new(Arc::clone(&store)));
        let inject = inject_settings(&args);

        // Listeners first: a port that is taken should end the process before it knows anything.
        let listener = serve::bind(args.webhook_listen)
            .await
            .map_err(|source| RunError::BindWebhook { address: args.webhook_listen, source })?;
        let certificate = Served::new();
        let tls = certificate.server_config().map_err(RunError::Tls)?;
        let health = health::start(
            args.http_listen,
            health::Facts {
                watches: Arc::clone(&facts) as Arc<_>,
                certificate: Arc::clone(&certificate),
                registry: Arc::new(registry),
            },
        )
        .await?;
        tracing::info!(webhook = %args.webhook_listen, http = %health.address(), "listening");

        let (election, leadership) = Election::new(Candidate {
            namespace: args.namespace.clone(),
            name: args.lease.clone(),
            // A container that was restarted in the same pod is somebody else.
            identity: format!("{}-{:08x}", args.pod_name, rand::random::<u32>()),
        });
        let mut knowing = Part::new("certificates");
        keep_certificate(&mut knowing, &args, &clients, &certificate, certificate_metrics, &leadership);
        let mut webhook = Part::new("webhook");
        let answers = Webhook::new(facts, (*inject).clone(), webhook_metrics);
        let filter = webhook::filter(answers);
        let limits = serve::tls::TlsLimits::default();
        webhook.spawn(|stop| serve::tls::serve(listener, tls, filter, limits, stop));
        let exposes = !args.expose_hosts.is_empty();
        let watches = Watches::start(&store, &clients, Scope::new(args.watch_namespaces.clone()), exposes);

        let mut writing = Part::new("acting");
        let act = ActSettings { instance: args.pod_name.clone(), inject, nudges_per_second: args.nudges_per_second };
        let actor = Actor::new(&store, &clients.calls, &metrics, &leadership, act);
        writing.spawn(|stop| actor.run(stop));
        let poller = Poller { store, metrics, leadership, concurrency: usize::from(args.poll_concurrency) };
        writing.spawn(|stop| poller.run(stop));
        let mut standing = Part::new("election");
        standing.spawn(|resign| election.run(clients.calls.clone(), resign));
        Ok(Self { writing, election: standing, knowing, webhook, watches, health })
    }

    /// Waits for a part that ends by itself, which none should.
    async fn failed(&self) -> &'static str {
        tokio::select! {
            () = self.writing.ended.cancelled() => self.writing.name,
            () = self.election.ended.cancelled() => self.election.name,
            () = self.knowing.ended.cancelled() => self.knowing.name,
            () = self.webhook.ended.cancelled() => self.webhook.name,
        }
    }

    async fn stop(self) {
        // The webhook goes on for a while after it is told; nothing else waits for that.
        let webhook = self.webhook.stop();
        let rest = async {
            if tokio::time::timeout(STOP_WITHIN, self.writing.stop()).await.is_err() {
                tracing::warn!("acting did not stop in time; the lease is given up all the same");
            }
            self.election.stop().await;
        };
        tokio::join!(webhook, rest);
        self.knowing.stop().await;
        self.watches.finish().await;
        self.health.stop().await;
    }
}

/// Tasks that end together.
struct Part {
    name: &'static str,
    tasks: JoinSet<()>,
    stop: CancellationToken,
    /// One of them ended before it was told to.
    ended: CancellationToken,
}

impl Part {
    fn new(name: &'static str) -> Self {
        Self { name, tasks: JoinSet::new(), stop: CancellationToken::new(), ended: CancellationToken::new() }
    }

    fn spawn<F>(&mut self, task: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (stop, ended) = (self.stop.clone(), self.ended.clone().drop_guard());
        let task = task(self.stop.clone());
        self.tasks.spawn(async move {
            // Dropped by a panic, too.
            let ended = ended;
            task.await;
            if stop.is_cancelled() {
                ended.disarm();
            }
        });
    }

    async fn stop(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

fn keep_certificate(
    part: &mut Part,
    args: &RunArgs,
    clients: &Clients,
    certificate: &Arc<Served>,
    metrics: certs::Metrics,
    leadership: &Leadership,
) {
    let certificate = Arc::clone(certificate);
    match &args.certificates {
        Certificates::OwnAuthority => {
            let source = certs::SelfManaged {
                client: clients.calls.clone(),
                namespace: args.namespace.clone(),
                secret: args.certificate_secret.clone(),
                service: args.webhook_service.clone(),
                webhook_configuration: Some(args.webhook_configuration.clone()).filter(|name| !name.is_empty()),
            };
            let leader = leadership.watch();
            part.spawn(|stop| source.run(certificate, metrics, leader, stop));
        }
        Certificates::Directory(directory) => {
            let source = certs::Files { directory: directory.clone() };
            part.spawn(|stop| source.run(certificate, metrics, stop));
        }
    }
}

fn settings(args: &RunArgs) -> Settings {
    Settings {
        sidecar_version: env!("CARGO_PKG_VERSION").to_owned(),
        rollout_allowed: args.rollout == Rollout::Allowed,
        expose_hosts: args.expose_hosts.clone(),
        has_ingress: false,
        has_http_route: false,
    }
}

fn inject_settings(args: &RunArgs) -> Arc<InjectSettings> {
    Arc::new(InjectSettings {
        image: args.sidecar_image.clone(),
        pull_policy: args.sidecar_pull_policy,
        pull_secrets: args.sidecar_pull_secrets.clone(),
        run_as_user: args.sidecar_run_as_user.0,
        ..InjectSettings::default()
    })
}

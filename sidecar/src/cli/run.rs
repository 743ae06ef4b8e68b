//! `moorline run`: the sidecar as in a pod.
//!
//! It starts and stays up whatever the directory holds, because the REST service beside it must not depend on an
//! operator being there: no document means no routes, and a bad one is refused, logged, counted and reported while the
//! one before it goes on being served.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::args::{RunArgs, Switch};
use super::outcome::{Failure, Outcome};
use super::serving::Signals;
use super::{logging, serving};
use crate::access_log::AccessLog;
use crate::gateway::{CallbackBind, DrainSettings, Handle, Settings};
use crate::observe::Observer;
use crate::source::directory::{self, Content};
use crate::source::documents::{Documents, Update};
use crate::source::watch::Watch;
use crate::upstream::NameServers;

/// How late a change is seen where there are no file events.
const POLL: Duration = Duration::from_secs(2);

/// Runs the command.
pub(super) async fn run(args: RunArgs) -> Outcome {
    logging::start(&args.log, args.log_format)?;
    let signals = Signals::new()?;
    let (observer, writer) = match args.access_log {
        Switch::Off => (None, None),
        Switch::On => {
            let (log, writer) =
                AccessLog::to_stdout().map_err(|error| Failure::Runtime(format!("the access log: {error}")))?;
            (Some(Arc::new(log) as Arc<dyn Observer>), Some(writer))
        }
    };
    let settings = Settings {
        client: args.listen,
        callback: CallbackBind { port: args.callback_port, explicit: None },
        admin: args.admin,
        max_connections: args.max_connections,
        max_buffered_bytes: args.max_buffered_bytes,
        max_push_bytes: args.max_push_bytes,
        app_idle: args.app_idle_timeout,
        app_ports: args.app_ports.0,
        own_addresses: args.pod_ip,
        name_servers: NameServers::System,
        loopback_hosts_only: args.listen.ip().is_loopback(),
        drain: DrainSettings { grace: args.drain_grace, window: args.drain_window },
        observer,
    };
    let gateway = serving::bind(settings, Vec::new()).await?;
    let addresses = gateway.addresses();
    tracing::info!(
        clients = %addresses.client, callback = ?addresses.callback, admin = %addresses.admin,
        max_connections = gateway.max_connections(), "listening"
    );
    let handle = gateway.handle();
    // Before the first client is served, so that none meets a sidecar without its routes.
    let start = directory::read(&args.config);
    let mut documents = Documents::new(&args.config);
    if apply(&handle, documents.take(&start)) == 0 {
        tracing::info!(directory = %args.config.display(), "no document yet: no routes are served");
    }
    let outcome = serving::until_signalled(gateway, signals, follow(handle, args.config, start, documents)).await;
    if let Some(writer) = writer {
        // Last, when nothing can be observed any more.
        writer.finish();
    }
    outcome
}

/// Serves what the directory holds, from now on.
async fn follow(handle: Handle, config: PathBuf, start: Content, mut documents: Documents) -> Failure {
    let watched = config.clone();
    let mut watch = Watch::new(start, vec![config], POLL, move || directory::read(&watched));
    loop {
        let content = watch.changed().await;
        apply(&handle, documents.take(&content));
    }
}

/// Serves what is to be served, tells what is not, and gives the number of documents.
fn apply(handle: &Handle, update: Update) -> usize {
    for refused in &update.newly_refused {
        handle.reload_refused(refused.reason);
        tracing::error!(
            service = %refused.service, reason = refused.reason, error = refused.message,
            "the document is refused; what was served before stays"
        );
    }
    for file in &update.newly_gone {
        tracing::warn!(file = %file.display(), "the document is gone; what was served before stays");
    }
    let count = update.documents.len();
    if update.changed {
        let services: Vec<String> = update.documents.iter().map(|loaded| loaded.document.service.to_string()).collect();
        let reloaded = handle.load(update.documents);
        tracing::info!(
            services = services.join(","),
            hash = handle.config_hash(),
            added = reloaded.added,
            changed = reloaded.changed,
            removed = reloaded.removed,
            unchanged = reloaded.unchanged,
            "serving"
        );
    }
    // After the documents: who sees that nothing is refused sees what is served instead.
    handle.note(update.refused, update.gone);
    count
}

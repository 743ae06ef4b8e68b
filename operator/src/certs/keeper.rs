//! Keeps the certificate that the operator makes itself: every replica presents it, the leader renews and publishes it.
//!
//! One loop for both, because a follower does what the leader does, without the writing; so a new leader has nothing to
//! catch up with. Each round starts from what is stored, and nothing but the age of the publication is remembered.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::ByteString;
use kube::Client;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::cluster::{Cluster, Found, Published};
use super::error::CertificateError;
use super::issue::{Issued, carry_out};
use super::metrics::Metrics;
use super::served::Served;
use super::step::{Step, next};
use super::stored::{AUTHORITIES, AUTHORITY_KEY, CERTIFICATE, KEY, Stored};

/// How often the Secret is read.
const POLL: Duration = Duration::from_secs(10);
/// How often as long as there is nothing to present.
const FIRST_POLL: Duration = Duration::from_secs(1);
/// How many steps a round makes at most. Three make everything anew; more means that somebody undoes them.
const MAX_STEPS: usize = 8;

/// Certificates made by the operator.
pub struct SelfManaged {
    /// Asks the API.
    pub client: Client,
    /// The operator's namespace.
    pub namespace: String,
    /// The Secret.
    pub secret: String,
    /// The Service by which the API server reaches the webhook.
    pub service: String,
    /// The `MutatingWebhookConfiguration` that is to trust it; none when somebody else publishes the CA.
    pub webhook_configuration: Option<String>,
}

impl SelfManaged {
    /// Runs until `shutdown`. Followers only read.
    pub async fn run(
        self,
        served: Arc<Served>,
        metrics: Metrics,
        mut leader: watch::Receiver<bool>,
        shutdown: CancellationToken,
    ) {
        let mut keeper = Keeper::new(self, Arc::clone(&served), metrics);
        loop {
            let leads = *leader.borrow_and_update();
            tokio::select! {
                () = keeper.round_and_tell(leads) => {}
                () = shutdown.cancelled() => return,
            }
            let pause = if served.is_present() { POLL } else { FIRST_POLL };
            tokio::select! {
                () = sleep(pause) => {}
                () = changed(&mut leader) => {}
                () = shutdown.cancelled() => return,
            }
        }
    }
}

async fn changed(leader: &mut watch::Receiver<bool>) {
    if leader.changed().await.is_err() {
        // Who leads is not told any more, which happens at the end of the process only.
        std::future::pending::<()>().await;
    }
}

struct Keeper {
    cluster: Cluster,
    served: Arc<Served>,
    metrics: Metrics,
    names: Vec<String>,
    /// The bundle that was last seen to be published, and since when.
    published: Option<(String, Instant)>,
    /// What went wrong in the last round.
    failing: Option<&'static str>,
}

impl Keeper {
    fn new(settings: SelfManaged, served: Arc<Served>, metrics: Metrics) -> Self {
        // The one name that API servers ask for.
        let names = vec![format!("{}.{}.svc", settings.service, settings.namespace)];
        let SelfManaged { client, namespace, secret, webhook_configuration, .. } = settings;
        let cluster = Cluster::new(client, &namespace, secret, webhook_configuration);
        Self { cluster, served, metrics, names, published: None, failing: None }
    }

    async fn round_and_tell(&mut self, leads: bool) {
        let result = self.round(leads).await;
        tell(&self.metrics, &mut self.failing, result);
    }

    async fn round(&mut self, leads: bool) -> Result<(), CertificateError> {
        let stored = self.bring_up_to_date(leads).await?;
        // First the bundle and then the certificate; but one that cannot be published is presented all the same, for
        // the one before is no longer stored.
        let published = if leads { self.publish(&stored).await } else { Ok(()) };
        let Some(leaf) = &stored.leaf else {
            return Err(CertificateError::DamagedSecret(self.cluster.secret().to_owned()));
        };
        if self.served.present(leaf) {
            tracing::info!(names = leaf.names.join(","), until = %leaf.valid.until, "presenting a certificate");
        }
        self.metrics.serving_until(leaf.valid.until);
        if let Some((authority, _)) = &stored.signing {
            self.metrics.authority_until(authority.valid.until);
        }
        published
    }

    /// What is stored, after the leader has done what was to be done.
    async fn bring_up_to_date(&self, leads: bool) -> Result<Stored, CertificateError> {
        let mut stored = Stored::default();
        for _ in 0..MAX_STEPS {
            let (found, now) = self.cluster.read().await?;
            if found.is_none() && !leads {
                return Err(CertificateError::AwaitSecret(self.cluster.secret().to_owned()));
            }
            stored = found.as_ref().map(|found| Stored::read(&found.data)).unwrap_or_default();
            let published_for = self.published_for(&stored.bundle());
            let step = next(&stored.facts(&self.names, published_for), now);
            if step == Step::Keep || !leads {
                break;
            }
            let (after, issued) = carry_out(&stored, step, &self.names, now)?;
            self.store(found.as_ref(), step, &after, issued).await?;
        }
        Ok(stored)
    }

    async fn store(
        &self,
        found: Option<&Found>,
        step: Step,
        after: &Stored,
        issued: Option<Issued>,
    ) -> Result<(), CertificateError> {
        let mut data = BTreeMap::from([(AUTHORITIES, bytes(after.bundle()))]);
        if let Some((_, key)) = &after.signing {
            data.insert(AUTHORITY_KEY, bytes(key.clone()));
        }
        if let Some(issued) = issued {
            data.extend([(CERTIFICATE, bytes(issued.certificate)), (KEY, bytes(issued.key))]);
        }
        if self.cluster.write(found, &data).await? {
            self.metrics.step(step);
            tracing::info!(step = step.reason(), secret = self.cluster.secret(), "renewed what the webhook presents");
        } else {
            tracing::debug!(step = step.reason(), "another replica has written the Secret meanwhile");
        }
        Ok(())
    }

    fn published_for(&self, bundle: &str) -> Option<Duration> {
        self.published.as_ref().filter(|(published, _)| published == bundle).map(|(_, since)| since.elapsed())
    }

    async fn publish(&mut self, stored: &Stored) -> Result<(), CertificateError> {
        let bundle = stored.bundle();
        let outcome = self.cluster.publish(&bundle).await;
        match outcome {
            Ok(Published::AsItWas) if self.published_for(&bundle).is_some() => {}
            Ok(Published::AsItWas) => self.published = Some((bundle, Instant::now())),
            Ok(Published::Now) => {
                tracing::info!("the webhook's configuration has the new CA");
                self.published = Some((bundle, Instant::now()));
            }
            Ok(Published::Contended | Published::Elsewhere) => self.published = None,
            Err(error) => {
                self.published = None;
                return Err(error);
            }
        }
        Ok(())
    }
}

fn bytes(text: String) -> ByteString {
    ByteString(text.into_bytes())
}

/// Counts and logs what came of a round: a failure when it begins, and its end.
pub(super) fn tell(metrics: &Metrics, failing: &mut Option<&'static str>, result: Result<(), CertificateError>) {
    let Err(error) = result else {
        if failing.take().is_some() {
            tracing::info!("the certificate is in order again");
        }
        return;
    };
    // Every replica but the first waits for it at the installation.
    let is_expected = matches!(error, CertificateError::AwaitSecret(_));
    if !is_expected {
        metrics.error(&error);
    }
    if failing.replace(error.reason()) == Some(error.reason()) {
        tracing::debug!(%error, reason = error.reason(), "the certificate is still not in order");
    } else if is_expected {
        tracing::info!("{error}");
    } else {
        tracing::warn!(%error, reason = error.reason(), "the certificate is not in order");
    }
}

#[cfg(test)]
mod on_cluster;
#[cfg(test)]
mod tests;

//! Rounds of keepers against an API server that keeps versions, over real HTTP, with the clock turned.

#![allow(clippy::unwrap_used, clippy::panic)] // tests fail by panicking

use jiff::Timestamp;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use serde_json::json;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::super::fake_api::{CONFIGURATION, FakeApi, NAMESPACE, SECRET};
use super::super::testing::NAME;
use super::*;

const WITHIN: Duration = Duration::from_secs(30);
const DAY: Duration = Duration::from_hours(24);

fn settings(api: &FakeApi) -> SelfManaged {
    SelfManaged {
        client: api.client(),
        namespace: NAMESPACE.to_owned(),
        secret: SECRET.to_owned(),
        service: "moorline-webhook".to_owned(),
        webhook_configuration: Some(CONFIGURATION.to_owned()),
    }
}

fn keeper(api: &FakeApi) -> Keeper {
    Keeper::new(settings(api), Served::new(), Metrics::default())
}

impl Keeper {
    fn presented(&self) -> Arc<CertifiedKey> {
        self.served.presented().unwrap()
    }

    /// As if the publication had been seen long ago.
    pub(super) fn settle(&mut self) {
        if let Some((_, since)) = &mut self.published {
            *since = since.checked_sub(DAY).unwrap_or(*since);
        }
    }
}

/// Whether an API server that trusts `bundle` takes what is presented, at that time.
fn is_trusted(presented: &CertifiedKey, bundle: &str, now: Timestamp) -> bool {
    let mut roots = rustls::RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
        roots.add(authority.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let Ok(verifier) = WebPkiServerVerifier::builder_with_provider(roots.into(), provider).build() else {
        return false;
    };
    let name = ServerName::try_from(NAME).unwrap();
    let time = UnixTime::since_unix_epoch(Duration::from_secs(now.as_second().try_into().unwrap()));
    verifier.verify_server_cert(&presented.cert[0], &presented.cert[1..], &name, &[], time).is_ok()
}

#[tokio::test]
async fn the_leader_makes_a_certificate_and_has_every_webhook_trust_it() {
    let api = FakeApi::start().await;
    let mut leader = keeper(&api);
    leader.round(true).await.unwrap();
    assert!(is_trusted(&leader.presented(), &api.published(), Timestamp::now()));
    let state = api.state.lock();
    let secret = state.secret.as_ref().unwrap();
    assert_eq!(secret["type"], "kubernetes.io/tls");
    assert_eq!(secret["metadata"]["labels"], json!({ "app.kubernetes.io/managed-by": "moorline" }));
    let webhook = &state.configuration.as_ref().unwrap()["webhooks"][0];
    assert_eq!(webhook["sideEffects"], "None", "the rest of the entry is the chart's");
}

#[tokio::test]
async fn when_nothing_is_due_nothing_is_written() {
    let api = FakeApi::start().await;
    let mut leader = keeper(&api);
    leader.round(true).await.unwrap();
    api.state.lock().calls.clear();
    leader.round(true).await.unwrap();
    assert_eq!(api.state.lock().calls, ["GET secrets", "GET mutatingwebhookconfigurations"]);
}

#[tokio::test]
async fn a_follower_waits_for_the_secret_presents_it_and_never_writes() {
    let api = FakeApi::start().await;
    let (mut leader, mut follower) = (keeper(&api), keeper(&api));
    let waiting = follower.round(false).await.unwrap_err();
    assert_eq!(waiting.reason(), "AwaitSecret");
    leader.round(true).await.unwrap();
    api.state.lock().calls.clear();
    follower.round(false).await.unwrap();
    assert_eq!(api.state.lock().calls, ["GET secrets"]);
    assert_eq!(follower.presented().cert, leader.presented().cert);
}

#[tokio::test]
async fn two_that_believe_to_lead_end_up_with_one_certificate() {
    let api = FakeApi::start().await;
    let (mut one, mut other) = (keeper(&api), keeper(&api));
    // One of them may lose a race, and sees to it in its next round.
    let _ = tokio::join!(one.round(true), other.round(true));
    one.round(true).await.unwrap();
    other.round(true).await.unwrap();
    assert_eq!(one.presented().cert, other.presented().cert);
    assert!(is_trusted(&one.presented(), &api.published(), Timestamp::now()));
}

#[tokio::test]
async fn through_a_rotation_every_replica_is_trusted_at_any_time() {
    let api = FakeApi::start().await;
    let start = Timestamp::now();
    let (mut leader, mut follower) = (keeper(&api), keeper(&api));
    let (mut bundles, mut presented) = (Vec::new(), Vec::new());
    for day in 0..280 {
        let now = start + day * DAY;
        api.state.lock().clock = Some(now);
        // The follower is always one round late.
        if leader.served.is_present() {
            follower.round(false).await.unwrap();
            assert!(is_trusted(&follower.presented(), &api.published(), now), "day {day}, before the leader");
        }
        leader.round(true).await.unwrap();
        if follower.served.is_present() {
            assert!(is_trusted(&follower.presented(), &api.published(), now), "day {day}, after the leader");
        }
        assert!(is_trusted(&leader.presented(), &api.published(), now), "day {day}, the leader");
        leader.settle();
        bundles.push(api.published());
        presented.push(leader.presented().cert.clone());
    }
    bundles.dedup();
    presented.dedup();
    // The authority alone, both, the new one alone. And a certificate every 20 days, plus that of the rotation.
    assert_eq!(bundles.len(), 3);
    assert!((14..=16).contains(&presented.len()), "{}", presented.len());
}

#[tokio::test]
async fn a_bundle_that_cannot_be_published_holds_up_the_new_authority_and_no_request() {
    let api = FakeApi::start().await;
    let start = Timestamp::now();
    let mut leader = keeper(&api);
    for day in 0..300 {
        let now = start + day * DAY;
        api.state.lock().clock = Some(now);
        if day == 240 {
            api.state.lock().forbidden = Some("PATCH mutatingwebhookconfigurations");
        }
        // From the day on which there is a bundle to be published.
        let is_refused = leader.round(true).await.is_err();
        if (250..260).contains(&day) {
            assert!(is_refused, "day {day}");
            assert!(is_trusted(&leader.presented(), &api.published(), now), "day {day}");
        }
        leader.settle();
    }
}

#[tokio::test]
async fn a_local_clock_that_is_wrong_does_not_matter() {
    let api = FakeApi::start().await;
    // Nothing of what the process believes to be the time is in what it makes.
    let now = Timestamp::now() + 3650 * DAY;
    api.state.lock().clock = Some(now);
    let mut leader = keeper(&api);
    leader.round(true).await.unwrap();
    assert!(is_trusted(&leader.presented(), &api.published(), now));
    assert!(!is_trusted(&leader.presented(), &api.published(), Timestamp::now()));
    // The API server's clock was wrong, and is set right.
    api.state.lock().clock = None;
    leader.round(true).await.unwrap();
    assert!(is_trusted(&leader.presented(), &api.published(), Timestamp::now()));
}

#[tokio::test]
async fn a_secret_of_somebody_else_is_left_alone() {
    let api = FakeApi::start().await;
    let foreign = json!({ "metadata": { "name": SECRET, "resourceVersion": "7" }, "data": {} });
    api.state.lock().secret = Some(foreign.clone());
    let mut leader = keeper(&api);
    let error = leader.round(true).await.unwrap_err();
    assert_eq!(error.reason(), "ForeignSecret");
    assert_eq!(api.state.lock().secret, Some(foreign));
    assert!(!leader.served.is_present());
}

#[tokio::test]
async fn a_damaged_secret_is_repaired_and_keeps_what_is_not_ours() {
    let api = FakeApi::start().await;
    let mut leader = keeper(&api);
    leader.round(true).await.unwrap();
    let before = leader.presented();
    {
        let mut state = api.state.lock();
        let data = &mut state.secret.as_mut().unwrap()["data"];
        data["tls.key"] = json!("bm90IGEga2V5");
        data["notes"] = json!("bWluZQ==");
    }
    // A replica that leads nothing keeps presenting what it has.
    let mut follower = Keeper::new(settings(&api), Arc::clone(&leader.served), Metrics::default());
    assert_eq!(follower.round(false).await.unwrap_err().reason(), "DamagedSecret");
    assert_eq!(follower.presented().cert, before.cert);
    leader.round(true).await.unwrap();
    assert_ne!(leader.presented().cert, before.cert);
    assert!(is_trusted(&leader.presented(), &api.published(), Timestamp::now()));
    assert_eq!(api.state.lock().secret.as_ref().unwrap()["data"]["notes"], "bWluZQ==");
}

#[tokio::test]
async fn a_secret_that_was_deleted_is_made_anew() {
    let api = FakeApi::start().await;
    let mut leader = keeper(&api);
    leader.round(true).await.unwrap();
    api.state.lock().secret = None;
    leader.round(true).await.unwrap();
    assert!(is_trusted(&leader.presented(), &api.published(), Timestamp::now()));
}

#[tokio::test]
async fn a_bundle_that_somebody_changed_is_put_right() {
    let api = FakeApi::start().await;
    let mut leader = keeper(&api);
    leader.round(true).await.unwrap();
    let bundle = api.published();
    api.state.lock().configuration.as_mut().unwrap()["webhooks"][1]["clientConfig"]["caBundle"] = json!("bm8=");
    leader.round(true).await.unwrap();
    assert_eq!(api.published(), bundle);
}

#[tokio::test]
async fn without_the_configuration_a_certificate_is_presented_and_published_as_soon_as_there_is_one() {
    let api = FakeApi::start().await;
    let configuration = api.state.lock().configuration.take();
    let mut leader = keeper(&api);
    assert_eq!(leader.round(true).await.unwrap_err().reason(), "GetConfiguration");
    assert!(leader.served.is_present());
    api.state.lock().configuration = configuration;
    leader.round(true).await.unwrap();
    assert!(is_trusted(&leader.presented(), &api.published(), Timestamp::now()));
}

#[tokio::test]
async fn a_follower_that_becomes_the_leader_does_not_wait_for_its_next_round() {
    let api = FakeApi::start().await;
    let (served, shutdown, tasks) = (Served::new(), CancellationToken::new(), TaskTracker::new());
    let (lead, leader) = watch::channel(false);
    tasks.spawn(settings(&api).run(Arc::clone(&served), Metrics::default(), leader, shutdown.clone()));
    tasks.close();
    lead.send(true).unwrap();
    let present = async {
        while !served.is_present() {
            tokio::task::yield_now().await;
        }
    };
    timeout(WITHIN, present).await.unwrap();
    shutdown.cancel();
    timeout(WITHIN, tasks.wait()).await.unwrap();
    api.stop().await;
}

//! What every scenario stands on: one cluster, one runtime, one installation of the chart.
//!
//! Scenarios run in parallel in namespaces of their own. Those that stop a part all others need run alone; a fair lock
//! keeps them apart, instead of a second test program that would start a second cluster.

use std::future::Future;
use std::path::PathBuf;
use std::sync::LazyLock;

use anyhow::{Context as _, Result};
use kube::Client;
use moorline_e2e::cluster::Control;
use tokio::runtime::Runtime;
use tokio::sync::{OnceCell, RwLock};

use super::diagnose;
use super::install::Installation;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
});
static GROUND: OnceCell<Ground> = OnceCell::const_new();
static TURN: RwLock<()> = RwLock::const_new(());

/// The cluster with Moorline in it.
#[derive(Clone)]
pub(crate) struct Ground {
    pub(crate) client: Client,
    pub(crate) installation: Installation,
}

impl Ground {
    async fn prepare() -> Result<Self> {
        let client = Client::try_default().await.context("KUBECONFIG: run this through `make e2e`")?;
        let installation = Installation::install(&client).await?;
        Ok(Self { client, installation })
    }
}

/// Runs a scenario beside others.
pub(crate) fn alongside<F: Future<Output = Result<()>>>(scenario: impl FnOnce(Ground) -> F) {
    RUNTIME.block_on(async {
        let _turn = TURN.read().await;
        perform(scenario).await;
    });
}

/// Runs a scenario while no other runs.
pub(crate) fn alone<F: Future<Output = Result<()>>>(scenario: impl FnOnce(Ground) -> F) {
    RUNTIME.block_on(async {
        let _turn = TURN.write().await;
        perform(scenario).await;
    });
}

/// Runs a scenario alone, and only in a cluster that the tests started: it stops parts of it.
pub(crate) fn alone_in_own_cluster<F: Future<Output = Result<()>>>(scenario: impl FnOnce(Ground, Control) -> F) {
    match Control::from_env() {
        Some(control) => alone(|ground| scenario(ground, control)),
        None => println!("skipped: stops parts of the cluster, and this one is yours (KUBECONFIG)"),
    }
}

async fn perform<F: Future<Output = Result<()>>>(scenario: impl FnOnce(Ground) -> F) {
    let ground = match GROUND.get_or_try_init(Ground::prepare).await {
        Ok(ground) => ground.clone(),
        Err(error) => panic!("Moorline cannot be installed: {error:?}"),
    };
    if let Err(error) = scenario(ground.clone()).await {
        diagnose::print(&ground.client).await;
        panic!("{error:?}");
    }
}

/// The folder of the repository.
pub(crate) fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

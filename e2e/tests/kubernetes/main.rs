//! The control plane on a real Kubernetes: the chart, the operator, injected pods and their clients.
//!
//! One program, so that all scenarios share one cluster and one installation. `make e2e` starts the cluster and runs
//! this inside its namespaces; with `KUBECONFIG` it runs against that cluster instead. The scenarios are ignored in a
//! plain `cargo test`, which has no cluster.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests fail by panicking
#![allow(clippy::cast_precision_loss)] // counts of a test are far below 2^52

mod scenarios;
mod support;

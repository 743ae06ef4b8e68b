#![allow(clippy::unwrap_used)] // tests fail by panicking

use std::collections::BTreeSet;

use super::*;
use crate::{certs, webhook};

#[derive(Debug)]
struct Busy;

impl World for Busy {
    fn watch_ages(&self) -> Vec<(&'static str, Duration)> {
        vec![("pods", Duration::from_millis(1500))]
    }

    fn sidecars(&self) -> Vec<(String, u64)> {
        vec![("0.1.0".to_owned(), 3)]
    }

    fn routes(&self) -> Vec<(&'static str, &'static str, u64)> {
        vec![("Accepted", "True", 2)]
    }
}

/// What a scrape of a process gives in which everything has happened once.
fn scrape() -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Process));
    let ours = registry.sub_registry_with_prefix(PREFIX);
    let metrics = Metrics::register(ours);
    certs::Metrics::register(ours).touch();
    webhook::Metrics::register(ours).touch();
    ours.register_collector(Box::new(WorldCollector(Arc::new(Busy))));
    metrics.reconciled("route", "ok", Duration::from_millis(3));
    metrics.called("apply", "configmaps", "ok");
    metrics.could_not_decode("pods");
    metrics.watch_failed("pods");
    metrics.nudged("ok");
    metrics.polled("ok");
    metrics.restarted("ok");
    metrics.evicted("ok");
    metrics.told("ok");
    metrics.programmed(Duration::from_millis(400));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    text
}

/// Names as Prometheus shows them, of all families that are registered.
fn registered(text: &str) -> BTreeSet<String> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types
        .filter_map(|line| line.split_once(' '))
        .map(|(name, kind)| match kind {
            "counter" => format!("{name}_total"),
            "info" => format!("{name}_info"),
            _ => name.to_owned(),
        })
        .collect()
}

#[test]
fn every_metric_is_documented_and_every_documented_one_is_there() {
    let page = include_str!("../../../docs/operator-metrics.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")).filter(|line| !line.starts_with('/'));
    let documented: BTreeSet<String> = rows
        .filter_map(|row| row.split(" |").next())
        .flat_map(|names| names.split(", "))
        .map(|name| name.trim_matches('`').to_owned())
        .collect();
    assert_eq!(documented, registered(&scrape()));
}

#[test]
fn what_has_happened_is_counted_under_its_labels() {
    let text = scrape();
    for line in [
        "moorline_operator_reconciles_total{reason=\"route\",result=\"ok\"} 1",
        "moorline_operator_api_calls_total{verb=\"apply\",resource=\"configmaps\",result=\"ok\"} 1",
        "moorline_operator_watch_age_seconds{resource=\"pods\"} 1.5",
        "moorline_operator_sidecars{version=\"0.1.0\"} 3",
        "moorline_operator_routes{condition=\"Accepted\",status=\"True\"} 2",
        "moorline_operator_programmed_seconds_bucket{le=\"0.5\"} 1",
        "moorline_operator_programmed_seconds_bucket{le=\"0.3\"} 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
}

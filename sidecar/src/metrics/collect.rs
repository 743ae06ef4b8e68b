//! One scrape of the numbers that come and go.
//!
//! A family is one block of text, so the routes are walked once per family; they are few. The lists are copied first:
//! a scrape must not hold up a reload.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::route::{KeyMetrics, RouteMetrics};
use super::{Live, NO_ROUTE};

type Routes = [(String, Arc<RouteMetrics>)];
type Keys = [(String, Vec<(Box<str>, Arc<KeyMetrics>)>)];

impl Live {
    /// Drops what was forgotten and is no longer held by anyone else.
    pub(super) fn prune(&self) {
        self.routes.lock().retain(|_, metrics| !metrics.is_retired() || Arc::strong_count(metrics) > 1);
        self.upstreams.lock().retain(|_, metrics| Arc::strong_count(metrics) > 1);
    }
}

impl Collector for Live {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let routes: Vec<_> =
            self.routes.lock().iter().map(|(name, metrics)| (name.clone(), Arc::clone(metrics))).collect();
        let keys: Vec<_> = routes.iter().map(|(name, metrics)| (name.clone(), metrics.key_list())).collect();
        self.encode_handshakes(&mut encoder, &routes)?;
        encode_routes(&mut encoder, &routes)?;
        encode_keys(&mut encoder, &keys)?;
        self.encode_process(&mut encoder)
    }
}

impl Live {
    fn encode_handshakes(&self, encoder: &mut DescriptorEncoder<'_>, routes: &Routes) -> fmt::Result {
        let mut family = family(encoder, "handshakes", "Handshakes by outcome", MetricType::Counter)?;
        let unrouted = (NO_ROUTE.to_owned(), Arc::clone(&self.unrouted));
        for (route, metrics) in routes.iter().chain([&unrouted]) {
            for (outcome, count) in metrics.handshakes.iter() {
                counter(&mut family, &[("route", route), ("outcome", outcome)], count)?;
            }
        }
        Ok(())
    }

    fn encode_process(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Bytes buffered for clients, each shared payload once";
        let bytes = family(encoder, "queue_bytes", help, MetricType::Gauge)?;
        ConstGauge::new(self.budget.used() as u64).encode(bytes)?;

        let help = "Calls of the callback API by operation and status";
        let mut pushes = family(encoder, "pushes", help, MetricType::Counter)?;
        for ((operation, status), count) in self.pushes.iter() {
            counter(&mut pushes, &[("operation", operation), ("status", status)], count)?;
        }

        let mut reloads = family(encoder, "reloads", "Reloads of documents by result", MetricType::Counter)?;
        for (result, count) in self.reloads.iter() {
            counter(&mut reloads, &[("result", result)], count)?;
        }

        let help = "Connections to apps by state, and calls waiting for one";
        let mut apps = family(encoder, "app_connections", help, MetricType::Gauge)?;
        for (upstream, metrics) in self.upstreams.lock().iter() {
            for (state, gauge) in [("active", &metrics.active), ("idle", &metrics.idle), ("waiting", &metrics.waiting)]
            {
                let labels: &[(&str, &str)] = &[("upstream", upstream), ("state", state)];
                gauge.encode(apps.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

fn encode_routes(encoder: &mut DescriptorEncoder<'_>, routes: &Routes) -> fmt::Result {
    let mut connections = family(encoder, "connections", "Connections open now", MetricType::Gauge)?;
    for (route, metrics) in routes {
        let labels: &[(&str, &str)] = &[("route", route)];
        metrics.connections.encode(connections.encode_family(&labels)?)?;
    }
    let help = "Calls that were tried at other replicas, by outcome";
    let mut failed_over = family(encoder, "calls_failed_over", help, MetricType::Counter)?;
    for (route, metrics) in routes {
        for (outcome, count) in metrics.failed_over.iter() {
            counter(&mut failed_over, &[("route", route), ("outcome", outcome)], count)?;
        }
    }
    let help = "Ended connections by close code and cause";
    let mut closes = family(encoder, "closes", help, MetricType::Counter)?;
    for (route, metrics) in routes {
        for ((code, cause), count) in metrics.close_counts() {
            counter(&mut closes, &[("route", route), ("code", code), ("cause", cause)], count)?;
        }
    }
    Ok(())
}

fn encode_keys(encoder: &mut DescriptorEncoder<'_>, routes: &Keys) -> fmt::Result {
    let mut messages = family(encoder, "messages", "Messages of clients by selected key", MetricType::Counter)?;
    for (route, key, metrics) in each_key(routes) {
        counter(&mut messages, &[("route", route), ("key", key)], metrics.messages.get())?;
    }
    let mut calls = family(encoder, "calls", "Calls of apps by outcome", MetricType::Counter)?;
    for (route, key, metrics) in each_key(routes) {
        for (outcome, count) in metrics.call_counts() {
            counter(&mut calls, &[("route", route), ("key", key), ("outcome", outcome)], count)?;
        }
    }
    let help = "How long calls of apps took";
    let mut seconds = family(encoder, "call_duration_seconds", help, MetricType::Histogram)?;
    for (route, key, metrics) in each_key(routes) {
        // A key without calls (a route may have no `request`) would add sixteen lines of zeros.
        if metrics.seconds().count() > 0 {
            let labels: &[(&str, &str)] = &[("route", route), ("key", key)];
            metrics.seconds().encode(seconds.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

fn each_key(routes: &Keys) -> impl Iterator<Item = (&str, &str, &KeyMetrics)> {
    routes.iter().flat_map(|(route, keys)| keys.iter().map(|(key, metrics)| (route.as_str(), &**key, &**metrics)))
}

fn family<'a>(
    encoder: &'a mut DescriptorEncoder<'_>,
    name: &'a str,
    help: &'a str,
    kind: MetricType,
) -> Result<MetricEncoder<'a>, fmt::Error> {
    encoder.encode_descriptor(name, help, None, kind)
}

fn counter(family: &mut MetricEncoder<'_>, labels: &[(&str, &str)], count: u64) -> fmt::Result {
    ConstCounter::new(count).encode(family.encode_family(&labels)?)
}

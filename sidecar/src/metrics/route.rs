//! The numbers of one route and of each of its keys.
//!
//! Whoever serves a route keeps these handles, so that counting is an addition and never a search by name.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use super::histogram::Histogram;
use super::labelled::Labelled;

/// The key of what no route key selected.
pub const NO_KEY: &str = "none";

/// Handshake outcomes: one per refusal reason of the gateway and of the application.
const HANDSHAKE_OUTCOMES: usize = 32;
/// Call outcomes: one per failure reason.
const CALL_OUTCOMES: usize = 32;
/// Code and cause together. Each of our causes has one code, except the application's, which may use any of thirteen;
/// clients use some twenty.
const CLOSES: usize = 64;

/// One route.
#[derive(Debug, Default)]
pub struct RouteMetrics {
    /// Connections open now.
    pub connections: Gauge,
    /// Handshakes, by `accepted` or the fixed reason for which they were refused.
    pub handshakes: Labelled<&'static str, HANDSHAKE_OUTCOMES>,
    /// Calls that found nobody at the app beside the sidecar, by outcome.
    pub failed_over: Labelled<&'static str, CALL_OUTCOMES>,
    closes: Labelled<(&'static str, &'static str), CLOSES>,
    keys: Mutex<BTreeMap<Box<str>, Arc<KeyMetrics>>>,
    retired: AtomicBool,
}

/// One key of a route.
#[derive(Debug, Default)]
pub struct KeyMetrics {
    /// Messages of clients that selected the key.
    pub messages: Counter,
    calls: Labelled<&'static str, CALL_OUTCOMES>,
    seconds: Histogram,
}

impl RouteMetrics {
    /// The handles of a key. Keys come from documents, never from clients; `$connect` and `$disconnect` are keys too.
    /// To be asked for when a document is taken up, not for each message.
    pub fn key(&self, key: &str) -> Arc<KeyMetrics> {
        Arc::clone(self.keys.lock().entry(key.into()).or_default())
    }

    /// Forgets the keys that a new document no longer has.
    pub fn retain_keys(&self, mut keep: impl FnMut(&str) -> bool) {
        self.keys.lock().retain(|key, _| &**key == NO_KEY || keep(key));
    }

    /// Counts the end of a connection; the cause is that of [`Ended::label`](crate::closing::Ended::label).
    pub fn closed(&self, code: u16, cause: &'static str) {
        self.closes.inc((code_label(code), cause));
    }

    /// How many connections ended like this.
    pub fn closes(&self, code: u16, cause: &'static str) -> u64 {
        self.closes.get((code_label(code), cause))
    }

    pub(super) fn close_counts(&self) -> impl Iterator<Item = ((&'static str, &'static str), u64)> {
        self.closes.iter()
    }

    pub(super) fn key_list(&self) -> Vec<(Box<str>, Arc<KeyMetrics>)> {
        self.keys.lock().iter().map(|(key, metrics)| (key.clone(), Arc::clone(metrics))).collect()
    }

    pub(super) fn retire(&self, retired: bool) {
        self.retired.store(retired, Ordering::Relaxed);
    }

    pub(super) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Relaxed)
    }
}

impl KeyMetrics {
    /// Counts a call: `ok`, or the fixed reason of its failure, and how long it took.
    pub fn called(&self, outcome: &'static str, duration: Duration) {
        self.calls.inc(outcome);
        self.seconds.observe(duration);
    }

    /// How many calls ended like this.
    pub fn calls(&self, outcome: &'static str) -> u64 {
        self.calls.get(outcome)
    }

    pub(super) fn call_counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.calls.iter()
    }

    pub(super) fn seconds(&self) -> &Histogram {
        &self.seconds
    }
}

/// A close code as a label. Clients may choose among two thousand private codes; those become two labels.
fn code_label(code: u16) -> &'static str {
    match code {
        1000 => "1000",
        1001 => "1001",
        1002 => "1002",
        1003 => "1003",
        1005 => "1005",
        1006 => "1006",
        1007 => "1007",
        1008 => "1008",
        1009 => "1009",
        1010 => "1010",
        1011 => "1011",
        1012 => "1012",
        1013 => "1013",
        1014 => "1014",
        3000..=3999 => "3xxx",
        4000..=4999 => "4xxx",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_close_codes_share_two_labels() {
        let route = RouteMetrics::default();
        for code in 3000..=4999 {
            route.closed(code, "closed by the client");
        }
        assert_eq!(route.closes(3000, "closed by the client"), 1000);
        assert_eq!(route.closes(4999, "closed by the client"), 1000);
        assert_eq!(route.close_counts().count(), 2);
    }

    #[test]
    fn keys_that_a_document_no_longer_has_are_forgotten() {
        let route = RouteMetrics::default();
        route.key("old").messages.inc();
        route.key("kept").messages.inc();
        route.key(NO_KEY).messages.inc();
        route.retain_keys(|key| key == "kept");
        let keys: Vec<_> = route.key_list().into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["kept".into(), NO_KEY.into()]);
        assert_eq!(route.key("kept").messages.get(), 1);
    }
}

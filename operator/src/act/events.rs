//! Events: what the operator did, where people look first.
//!
//! Not kube's `Recorder`, which merges Events by their reason and sends the first one's text again: a route that is
//! refused for a second mistake would go on telling of the first. Here the same Event is written once in a while, and a
//! rate over all of them keeps a broken namespace from filling the API server.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::Client;
use kube::api::{Api, PostParams};
use moorline_crds::v1alpha1;
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};

use crate::bucket::Bucket;
use crate::metrics::Metrics;
use crate::plan::{PlannedEvent, Regarding};

/// Events per second, and at once.
const RATE: (f64, f64) = (10.0, 50.0);
/// How long the same Event is not written again.
const SAME_WITHIN: Duration = Duration::from_mins(10);
/// How many are remembered.
const REMEMBERED: usize = 4096;
/// How long a write may take. Nobody should wait for an Event.
const WITHIN: Duration = Duration::from_secs(2);
/// What Events say they are from.
const CONTROLLER: &str = "moorline.dev/operator";

/// Writes Events.
#[derive(Debug)]
pub(super) struct Events {
    instance: String,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    bucket: Bucket,
    /// When each was written last: the uid of the object, the reason and the text.
    written: HashMap<(String, &'static str, String), Instant>,
}

impl Events {
    /// `instance` is the name of this pod.
    pub(super) fn new(instance: String) -> Self {
        let bucket = Bucket::new(RATE.0, RATE.1, Instant::now());
        Self { instance, state: Mutex::new(State { bucket, written: HashMap::new() }) }
    }

    /// Writes an Event about something in `namespace`. One that cannot be written is lost: it is no state.
    pub(super) async fn publish(&self, client: &Client, metrics: &Metrics, namespace: &str, event: &PlannedEvent) {
        let regarding = reference(namespace, &event.on);
        let uid = regarding.uid.clone().unwrap_or_default();
        let verdict = self.state.lock().admit((uid, event.reason, event.message.clone()), Instant::now());
        if let Err(result) = verdict {
            metrics.told(result);
            return;
        }
        let object = self.object(namespace, regarding, event);
        let api: Api<Event> = Api::namespaced(client.clone(), namespace);
        let result = match timeout(WITHIN, api.create(&PostParams::default(), &object)).await {
            Ok(Ok(_)) => "ok",
            Ok(Err(error)) => {
                tracing::warn!(%namespace, reason = event.reason, %error, "an Event cannot be written");
                "error"
            }
            Err(_) => "error",
        };
        metrics.told(result);
    }

    fn object(&self, namespace: &str, regarding: ObjectReference, event: &PlannedEvent) -> Event {
        let now = Timestamp::now();
        let about = regarding.name.clone().unwrap_or_default();
        // As client-go names them: unique in time, and found by the name of the object.
        let suffix = format!(".{:x}", now.as_nanosecond());
        let about = about.get(..about.len().min(253 - suffix.len())).unwrap_or_default();
        Event {
            metadata: ObjectMeta {
                name: Some(format!("{about}{suffix}")),
                namespace: Some(namespace.to_owned()),
                ..ObjectMeta::default()
            },
            event_time: Some(MicroTime(now)),
            action: Some(event.reason.to_owned()),
            reason: Some(event.reason.to_owned()),
            note: Some(event.message.clone()),
            type_: Some(if event.is_warning { "Warning" } else { "Normal" }.to_owned()),
            regarding: Some(regarding),
            reporting_controller: Some(CONTROLLER.to_owned()),
            reporting_instance: Some(self.instance.clone()),
            ..Event::default()
        }
    }
}

impl State {
    fn admit(&mut self, key: (String, &'static str, String), now: Instant) -> Result<(), &'static str> {
        if self.written.get(&key).is_some_and(|at| now.saturating_duration_since(*at) < SAME_WITHIN) {
            return Err("same");
        }
        self.bucket.take(now).map_err(|_| "dropped")?;
        if self.written.len() >= REMEMBERED {
            self.written.retain(|_, at| now.saturating_duration_since(*at) < SAME_WITHIN);
        }
        if self.written.len() < REMEMBERED {
            self.written.insert(key, now);
        }
        Ok(())
    }
}

fn reference(namespace: &str, on: &Regarding) -> ObjectReference {
    let (api_version, kind, name, uid) = match on {
        Regarding::Route { id, uid } => {
            (format!("{}/{}", v1alpha1::GROUP, v1alpha1::VERSION), v1alpha1::KIND, &id.name, uid)
        }
        Regarding::Pod { name, uid } => ("v1".to_owned(), "Pod", name, uid),
        Regarding::Workload(workload) => ("apps/v1".to_owned(), workload.kind.as_str(), &workload.name, &workload.uid),
    };
    ObjectReference {
        api_version: Some(api_version),
        kind: Some(kind.to_owned()),
        namespace: Some(namespace.to_owned()),
        name: Some(name.clone()),
        uid: Some(uid.clone()).filter(|uid| !uid.is_empty()),
        ..ObjectReference::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(now: Instant) -> State {
        State { bucket: Bucket::new(RATE.0, RATE.1, now), written: HashMap::new() }
    }

    fn key(text: &str) -> (String, &'static str, String) {
        ("uid".to_owned(), "Rejected", text.to_owned())
    }

    #[test]
    fn the_same_event_is_written_once_in_ten_minutes_and_another_text_at_once() {
        let now = Instant::now();
        let mut state = state(now);
        assert_eq!(state.admit(key("a"), now), Ok(()));
        assert_eq!(state.admit(key("a"), now + Duration::from_secs(599)), Err("same"));
        assert_eq!(state.admit(key("b"), now), Ok(()));
        assert_eq!(state.admit(key("a"), now + SAME_WITHIN), Ok(()));
    }

    #[test]
    fn a_flood_is_cut_off() {
        let now = Instant::now();
        let mut state = state(now);
        let passed = (0..1000).filter(|n| state.admit(key(&n.to_string()), now).is_ok()).count();
        assert_eq!(passed, 50);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut now = Instant::now();
        let mut state = state(now);
        for n in 0..2 * REMEMBERED {
            now += Duration::from_millis(100);
            let _ = state.admit(key(&n.to_string()), now);
        }
        assert!(state.written.len() <= REMEMBERED);
    }
}

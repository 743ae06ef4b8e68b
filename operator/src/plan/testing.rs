//! A small world for tests: one Service with its routes and pods, and somebody who carries plans out.
//!
//! [`World::carry_out`] does to the view what the shell, the API server, the kubelets and the sidecars would do, so that
//! tests can say what holds in the end and not only what one plan contains.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests fail by panicking

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use moorline_crds::bundle;
use moorline_crds::codec;
use moorline_crds::compile::route_id;
use moorline_crds::document::{Document, ServiceId};
use moorline_crds::names::{COMPRESSED_DOCUMENT_FILE, Child, DOCUMENT_FILE};
use moorline_crds::pattern::HostPattern;
use moorline_crds::v1alpha1::{WebSocketRoute, WebSocketRouteStatus};
use serde_json::{Value, json};

use super::children::APPLIED_ANNOTATION;
use super::{DocumentPlan, Repair, ServicePlan, plan_within};
use crate::view::{
    BarePod, ChildFacts, ChildKind, ChildRef, LiveDocument, Nudged, PodFacts, PortFacts, Report, Reported,
    ReportedRoute, ReportedService, ServiceFacts, ServiceView, Settings, StatusWritten,
};

/// The version of the operator in tests.
pub(super) const VERSION: &str = "0.1.0";

/// A time, in seconds.
pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(second)
}

/// The Service of every test.
pub(super) fn id() -> ServiceId {
    ServiceId { namespace: "shop".to_owned(), name: "orders".to_owned() }
}

/// Labels.
pub(super) fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A port over TCP.
pub(super) fn port(name: Option<&str>, port: u16, target: IntOrString) -> PortFacts {
    PortFacts { name: name.map(str::to_owned), port, target, is_tcp: true }
}

/// The facts of that Service.
pub(super) fn service() -> ServiceFacts {
    ServiceFacts {
        uid: "service-uid".to_owned(),
        selector: labels(&[("app", "orders")]),
        is_external: false,
        is_headless: false,
        ports: vec![port(Some("http"), 80, IntOrString::Int(3000))],
    }
}

/// A valid route of that Service, created at a second, in its first generation.
pub(super) fn route(name: &str, created: i64, path: &str) -> WebSocketRoute {
    route_with(name, created, path, &json!({}))
}

/// The same with more fields of its spec.
pub(super) fn route_with(name: &str, created: i64, path: &str, more: &Value) -> WebSocketRoute {
    let mut spec = json!({
        "serviceRef": { "name": "orders", "port": "http" },
        "path": path,
        "routes": [{ "key": "$default", "request": { "method": "POST", "path": "/messages" } }],
    });
    for (field, value) in more.as_object().unwrap() {
        spec[field] = value.clone();
    }
    let mut route: WebSocketRoute = serde_json::from_value(json!({
        "apiVersion": "moorline.dev/v1alpha1",
        "kind": "WebSocketRoute",
        "metadata": { "name": name, "namespace": "shop", "generation": 1, "uid": format!("{name}-uid") },
        "spec": spec,
    }))
    .unwrap();
    route.metadata.creation_timestamp = Some(Time(at(created)));
    route
}

/// What the user would do with `kubectl edit`.
pub(super) fn edited(route: &WebSocketRoute, edit: impl FnOnce(&mut WebSocketRoute)) -> Arc<WebSocketRoute> {
    let mut route = route.clone();
    edit(&mut route);
    route.metadata.generation = Some(route.metadata.generation.unwrap() + 1);
    Arc::new(route)
}

/// Makes a route invalid.
pub(super) fn broken(route: &WebSocketRoute) -> Arc<WebSocketRoute> {
    edited(route, |route| route.spec.route_selection_expression = "${request.nonsense}".to_owned())
}

/// A pod with a started sidecar that was not asked yet.
pub(super) fn pod(name: &str) -> PodFacts {
    PodFacts {
        name: name.to_owned(),
        uid: format!("{name}-uid"),
        ip: Some("10.0.0.1".to_owned()),
        is_terminating: false,
        is_started: true,
        created: Some(at(0)),
        sidecar_version: VERSION.to_owned(),
        services: vec!["orders".to_owned()],
        annotations: BTreeMap::new(),
        is_advised: false,
        report: None,
        nudged: None,
        repair: None,
    }
}

/// A pod without the sidecar.
pub(super) fn bare(name: &str) -> BarePod {
    BarePod { name: name.to_owned(), uid: format!("{name}-uid"), repair: None }
}

/// What a sidecar that serves this document answers.
pub(super) fn report(document: Option<&Document>) -> Report {
    let service = |document: &Document| ReportedService {
        namespace: document.service.namespace.clone(),
        name: document.service.name.clone(),
        hash: Some(document.hash()),
        routes: document
            .routes
            .iter()
            .map(|route| ReportedRoute { name: route.id.name.clone(), generation: route.generation })
            .collect(),
        refused: None,
    };
    Report {
        version: VERSION.to_owned(),
        formats: vec![1],
        draining: false,
        connections: 0,
        services: document.map(service).into_iter().collect(),
    }
}

/// A world that plans are made for and carried out in.
pub(super) struct World {
    pub(super) view: ServiceView,
    /// Whether sidecars answer and read what is stored.
    pub(super) sidecars_work: bool,
    /// What a document may have.
    pub(super) max_bytes: usize,
    /// The repairs that were asked for.
    pub(super) repairs: Vec<Repair>,
    /// Reasons and words of all Events, in order.
    pub(super) events: Vec<(&'static str, String)>,
}

impl World {
    /// A Service in an enabled namespace, with these routes and three pods with sidecars.
    pub(super) fn new(routes: Vec<WebSocketRoute>) -> Self {
        let settings = Settings {
            sidecar_version: VERSION.to_owned(),
            rollout_allowed: true,
            expose_hosts: vec![HostPattern::parse("*.example.com").unwrap()],
            has_ingress: true,
            has_http_route: true,
        };
        let view = ServiceView {
            now: at(1000),
            id: id(),
            service: Some(service()),
            routes: routes.into_iter().map(Arc::new).collect(),
            neighbours: Vec::new(),
            exposed_neighbours: Vec::new(),
            live: None,
            children: BTreeMap::new(),
            apply_errors: BTreeMap::new(),
            written: BTreeMap::new(),
            namespace_enabled: true,
            pods: ["a", "b", "c"].map(pod).into(),
            bare_pods: Vec::new(),
            settings: Arc::new(settings),
        };
        Self { view, sidecars_work: true, max_bytes: bundle::MAX_PACKED_BYTES, repairs: Vec::new(), events: Vec::new() }
    }

    /// The same, with everything done that is to do.
    pub(super) fn settled(routes: Vec<WebSocketRoute>) -> Self {
        let mut world = Self::new(routes);
        world.settle();
        world
    }

    /// The plan for the world as it is.
    pub(super) fn plan(&self) -> ServicePlan {
        plan_within(&self.view, self.max_bytes)
    }

    /// Plans and carries out until a plan is empty. Fails when that does not come.
    pub(super) fn settle(&mut self) {
        for _ in 0..40 {
            let plan = self.plan();
            let recheck = plan.recheck_after;
            if is_empty(&plan) && recheck.is_none() {
                return;
            }
            self.carry_out(&plan);
            self.pass(recheck.unwrap_or(Duration::from_millis(100)));
        }
        panic!("no end in sight: {:#?}", self.plan());
    }

    /// The same for what happens within a time: `recheck_after` that lies beyond it is left alone.
    pub(super) fn settle_within(&mut self, time: Duration) {
        let end = self.view.now + SignedDuration::try_from(time).unwrap();
        for _ in 0..100 {
            let plan = self.plan();
            let recheck = plan.recheck_after;
            let is_idle = is_empty(&plan);
            self.carry_out(&plan);
            let step = if is_idle { recheck.unwrap_or(time) } else { Duration::from_millis(100) };
            self.pass(step);
            if self.view.now >= end {
                return;
            }
        }
        panic!("busy: {:#?}", self.plan());
    }

    /// Lets time pass.
    pub(super) fn pass(&mut self, time: Duration) {
        self.view.now += SignedDuration::try_from(time).unwrap();
    }

    /// Does what a plan says, and what the world does because of it.
    pub(super) fn carry_out(&mut self, plan: &ServicePlan) {
        match &plan.document {
            DocumentPlan::Keep => {}
            DocumentPlan::Write(write) => {
                self.view.live = Some(stored(&write.object));
                assert_eq!(self.view.live.as_ref().unwrap().hash, write.hash);
                self.put(&write.child, &write.object);
            }
            DocumentPlan::Delete(child) => {
                self.view.live = None;
                assert!(self.view.children.remove(child).is_some());
            }
        }
        for apply in &plan.apply {
            assert_ne!(self.view.children.get(&apply.child), Some(&ChildFacts::Foreign), "{}", apply.child);
            self.put(&apply.child, &apply.object);
        }
        for child in &plan.delete {
            assert!(matches!(self.view.children.remove(child), Some(ChildFacts::Ours { .. })), "{child}");
        }
        for write in &plan.statuses {
            let route = self.view.routes.iter_mut().find(|route| route_id(route) == write.route).unwrap();
            Arc::make_mut(route).status = Some(write.status.clone());
            let written = StatusWritten { at: self.view.now, is_churn: write.is_churn };
            self.view.written.insert(write.route.name.clone(), written);
            self.events.extend(write.events.iter().map(|event| (event.reason, event.message.clone())));
        }
        for nudge in &plan.nudges {
            let pod = self.view.pods.iter_mut().find(|pod| pod.uid == nudge.uid).unwrap();
            pod.nudged = Some(Nudged { hash: nudge.hash.clone(), attempts: nudge.attempt, at: self.view.now });
        }
        self.repairs.extend(plan.repairs.iter().cloned());
        self.ask();
    }

    /// Asks every sidecar: one that was nudged, or asked for the first time, serves what is stored.
    fn ask(&mut self) {
        if !self.sidecars_work {
            return;
        }
        let document = self.view.live.as_ref().and_then(|live| live.document.clone());
        let now = self.view.now;
        for pod in self.view.pods.iter_mut().filter(|pod| pod.is_started && pod.services.contains(&"orders".to_owned()))
        {
            let stored = document.as_ref().map(|document| document.hash());
            let was_nudged = pod.nudged.as_ref().map(|nudged| &nudged.hash) == stored.as_ref();
            if was_nudged || pod.report.is_none() {
                let report = Some(Arc::new(report(document.as_deref())));
                pod.report = Some(Reported { at: now, report, failures: 0 });
            }
        }
    }

    fn put(&mut self, child: &ChildRef, object: &Value) {
        let digest = object["metadata"]["annotations"][APPLIED_ANNOTATION].as_str().map(str::to_owned);
        let found = (child.kind == ChildKind::Service).then(|| found(object));
        let facts = ChildFacts::Ours { digest, found, applied: Some(self.view.now) };
        self.view.children.insert(child.clone(), facts);
    }

    /// A route by its name.
    pub(super) fn route(&self, name: &str) -> &WebSocketRoute {
        self.view.routes.iter().find(|route| route.metadata.name.as_deref() == Some(name)).unwrap()
    }

    /// Replaces a route by its name.
    pub(super) fn replace(&mut self, route: Arc<WebSocketRoute>) {
        let place = self.view.routes.iter_mut().find(|other| other.metadata.name == route.metadata.name).unwrap();
        *place = route;
    }

    /// Deletes a route.
    pub(super) fn delete(&mut self, name: &str) {
        self.view.routes.retain(|route| route.metadata.name.as_deref() != Some(name));
    }

    /// The status of a route.
    pub(super) fn status(&self, name: &str) -> &WebSocketRouteStatus {
        self.route(name).status.as_ref().expect("a status")
    }

    /// A condition of a route.
    pub(super) fn condition(&self, name: &str, type_: &str) -> &Condition {
        let found = self.status(name).conditions.iter().find(|condition| condition.type_ == type_);
        found.unwrap_or_else(|| panic!("{name} has no condition {type_}"))
    }

    /// A condition as `False Reason: message`.
    pub(super) fn says(&self, name: &str, type_: &str) -> String {
        let condition = self.condition(name, type_);
        format!("{} {}: {}", condition.status, condition.reason, condition.message)
    }

    /// `name@generation path` for each route of the stored document.
    pub(super) fn served(&self) -> Vec<String> {
        let document = self.view.live.as_ref().and_then(|live| live.document.as_ref());
        let routes = document.into_iter().flat_map(|document| &document.routes);
        routes.map(|route| format!("{}@{} {}", route.id.name, route.generation, route.path)).collect()
    }
}

/// Whether there is nothing to do.
pub(super) fn is_empty(plan: &ServicePlan) -> bool {
    *plan == ServicePlan { recheck_after: plan.recheck_after, ..ServicePlan::default() }
}

/// A child by its role.
pub(super) fn child(child: Child) -> ChildRef {
    let kind = if child == Child::Document { ChildKind::ConfigMap } else { ChildKind::Service };
    ChildRef { kind, name: child.name("orders") }
}

/// The document in a ConfigMap.
pub(super) fn stored(object: &Value) -> LiveDocument {
    let bytes = match (&object["data"][DOCUMENT_FILE], &object["binaryData"][COMPRESSED_DOCUMENT_FILE]) {
        (Value::String(json), Value::Null) => json.clone().into_bytes(),
        (Value::Null, archive) => {
            let archive: k8s_openapi::ByteString = serde_json::from_value(archive.clone()).unwrap();
            bundle::unpack(&archive.0).unwrap()
        }
        other => panic!("exactly one file is written: {other:?}"),
    };
    let document = codec::decode(&bytes).unwrap();
    LiveDocument { hash: document.hash(), document: Some(Arc::new(document)) }
}

/// What the store would read of an applied Service.
fn found(object: &Value) -> ServiceFacts {
    let spec = &object["spec"];
    let ports = spec["ports"].as_array().unwrap().iter().map(|port| PortFacts {
        name: port["name"].as_str().map(str::to_owned),
        port: u16::try_from(port["port"].as_u64().unwrap()).unwrap(),
        target: serde_json::from_value(port["targetPort"].clone()).unwrap(),
        is_tcp: port["protocol"] == "TCP",
    });
    ServiceFacts {
        uid: "child-uid".to_owned(),
        selector: serde_json::from_value(spec["selector"].clone()).unwrap(),
        is_external: spec["type"] == "ExternalName",
        is_headless: spec["clusterIP"] == "None",
        ports: ports.collect(),
    }
}

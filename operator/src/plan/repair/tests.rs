//! Repairs, case by case, and what is read of workloads.

#![allow(clippy::unwrap_used, clippy::panic)] // tests fail by panicking

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::plan::testing::{at, id};
use crate::reasons::event;
use crate::view::RepairNote;

/// A Deployment of three pods that is rolled out.
fn manifest(kind: WorkloadKind) -> Value {
    json!({
        "metadata": { "namespace": "shop", "name": "orders", "uid": "orders-uid", "generation": 4 },
        "spec": { "replicas": 3, "template": { "metadata": { "labels": { "app": "orders" } }, "spec": {} } },
        "status": match kind {
            WorkloadKind::DaemonSet => json!({
                "observedGeneration": 4, "desiredNumberScheduled": 3, "currentNumberScheduled": 3,
                "updatedNumberScheduled": 3, "numberAvailable": 3,
            }),
            _ => json!({
                "observedGeneration": 4, "replicas": 3, "updatedReplicas": 3, "readyReplicas": 3, "availableReplicas": 3,
            }),
        },
    })
}

fn workload() -> WorkloadFacts {
    WorkloadFacts::read(WorkloadKind::Deployment, &manifest(WorkloadKind::Deployment), false).unwrap()
}

/// One case to decide, and what can be changed in it.
struct Case {
    now: i64,
    mode: RepairMode,
    lack: Lack,
    created: i64,
    owner: Owner,
    injection: Injection,
    history: RepairHistory,
}

impl Case {
    fn new(facts: WorkloadFacts) -> Self {
        Self {
            now: 10_000,
            mode: RepairMode::Automatic,
            lack: Lack::Sidecar,
            created: 0,
            owner: Owner::Workload(facts),
            injection: Injection::Succeeds,
            history: RepairHistory::default(),
        }
    }

    fn decide(&self) -> RepairDecision {
        let repair = Repair { pod: "orders-1".to_owned(), uid: "uid-1".to_owned(), lack: self.lack, mode: self.mode };
        decide_repair(&RepairCase {
            now: at(self.now),
            service: &id(),
            repair: &repair,
            pod_created: Some(at(self.created)),
            owner: &self.owner,
            injection: &self.injection,
            history: &self.history,
        })
    }

    /// Decides and remembers.
    fn go(&mut self) -> RepairDecision {
        let decision = self.decide();
        self.history.remember(&decision, at(self.now));
        decision
    }
}

fn told(decision: &RepairDecision) -> (&'static str, &str) {
    match decision {
        RepairDecision::Restart { event, .. }
        | RepairDecision::Evict { event, .. }
        | RepairDecision::Event { event, .. } => (event.reason, &event.message),
        RepairDecision::Wait { note } => panic!("waits: {}", note.message),
    }
}

fn waits(decision: &RepairDecision) -> &RepairNote {
    match decision {
        RepairDecision::Wait { note } => note,
        other => panic!("acts: {other:?}"),
    }
}

#[test]
fn a_workload_without_a_single_sidecar_is_restarted_once_per_template() {
    let mut case = Case::new(workload());
    let first = case.go();
    let RepairDecision::Restart { template_hash, .. } = &first else { panic!("{first:?}") };
    assert_eq!(
        told(&first),
        (event::RESTARTED_WORKLOAD, "restarted for Service shop/orders, because its pods have no sidecar")
    );
    // What the patch leaves behind.
    let restarted = Some(template_hash.clone());
    let facts = WorkloadFacts { restarted_template: restarted, restarted_at: Some(at(10_000)), ..workload() };
    case.owner = Owner::Workload(facts);
    case.now += 3600;
    assert!(matches!(case.decide(), RepairDecision::Evict { .. }));
    // The user rolls out another template, and the webhook misses all of it.
    case.owner = Owner::Workload(WorkloadFacts { template_hash: "other".to_owned(), ..workload() });
    assert!(matches!(case.decide(), RepairDecision::Restart { .. }));
}

#[test]
fn a_workload_is_restarted_no_more_than_once_in_ten_minutes() {
    // Known from the template, as after a restart of the operator, or from this process.
    let mut remembers = Case::new(workload());
    remembers.go();
    let reads = Case::new(WorkloadFacts { restarted_at: Some(at(10_000)), ..workload() });
    for mut case in [remembers, reads] {
        case.now += 9 * 60;
        let decision = case.decide();
        let note = waits(&decision);
        assert_eq!(note.again, at(10_600));
        assert_eq!(note.message, "deployment/orders was restarted lately; the operator tries again at 02:56 UTC");
        case.now += 60;
        assert!(matches!(case.decide(), RepairDecision::Restart { .. }));
    }
}

#[test]
fn the_patch_restarts_the_template_and_remembers_which() {
    assert_eq!(
        restart_patch("abc", at(0)),
        json!({
            "metadata": {"annotations": {"moorline.dev/restarted-template": "abc"}},
            "spec": {"template": {"metadata": {"annotations": {"moorline.dev/restartedAt": "1970-01-01T00:00:00Z"}}}},
        })
    );
}

#[test]
fn a_restart_of_ours_makes_no_new_template_and_one_of_somebody_else_does() {
    let template = json!({"metadata": {"labels": {"app": "orders"}}, "spec": {}});
    let mut ours = template.clone();
    ours["metadata"]["annotations"] = json!({"moorline.dev/restartedAt": "1970-01-01T00:00:00Z"});
    let mut theirs = template.clone();
    theirs["metadata"]["annotations"] = json!({"kubectl.kubernetes.io/restartedAt": "1970-01-01T00:00:00Z"});
    assert_eq!(template_hash(&ours), template_hash(&template));
    assert_ne!(template_hash(&theirs), template_hash(&template));
}

#[test]
fn nothing_is_done_while_a_rollout_is_under_way() {
    let decision = Case::new(WorkloadFacts { is_rolled_out: false, ..workload() }).decide();
    assert_eq!(waits(&decision).message, "deployment/orders is being rolled out");
}

#[test]
fn pods_beside_served_ones_are_evicted_one_after_the_other() {
    let mut case = Case::new(WorkloadFacts { has_served_pods: true, ..workload() });
    let first = case.go();
    assert_eq!(
        told(&first),
        (event::EVICTED_POD, "evicted orders-1, so that its replacement gets what it lacks for Service shop/orders")
    );
    case.now += 29;
    assert_eq!(waits(&case.decide()).again, at(10_030));
    case.now += 1;
    assert!(matches!(case.decide(), RepairDecision::Evict { .. }));
}

#[test]
fn no_pod_is_evicted_while_others_are_not_ready_but_a_restart_minds_that_itself() {
    let facts = WorkloadFacts { is_available: false, ..workload() };
    assert!(matches!(Case::new(facts.clone()).decide(), RepairDecision::Restart { .. }));
    let decision = Case::new(WorkloadFacts { has_served_pods: true, ..facts }).decide();
    assert_eq!(waits(&decision).message, "the operator evicts no pod of deployment/orders while others are not ready");
}

#[test]
fn evictions_that_do_not_help_become_rare_and_are_told_once() {
    let mut case = Case::new(WorkloadFacts { has_served_pods: true, ..workload() });
    let mut evictions = Vec::new();
    let mut warnings = 0;
    // Each replacement is as bare as the pod before it.
    for second in 0..3600 {
        case.now = 10_000 + second;
        match case.go() {
            RepairDecision::Evict { .. } => {
                evictions.push(second);
                case.created = case.now + 1;
            }
            RepairDecision::Event { event, .. } => {
                assert_eq!(event.reason, event::POD_NOT_INJECTED);
                warnings += 1;
            }
            RepairDecision::Wait { .. } => {}
            RepairDecision::Restart { .. } => panic!("restarted"),
        }
    }
    assert_eq!(evictions[..4], [0, 60, 240, 780]);
    assert!(evictions.len() < 10, "{evictions:?}");
    assert_eq!(warnings, evictions.len());
}

#[test]
fn a_pod_of_before_the_evictions_waits_only_for_its_turn() {
    let mut case = Case::new(WorkloadFacts { has_served_pods: true, ..workload() });
    case.go();
    case.now += 30;
    case.created = 9_000;
    assert!(matches!(case.decide(), RepairDecision::Evict { .. }));
}

/// Each row: the case, and the words of its Event.
#[test]
fn where_the_operator_may_not_act_it_says_what_to_run() {
    let other = Owner::Other { kind: "Rollout".to_owned(), name: "orders".to_owned() };
    let rows = [
        (
            Case { mode: RepairMode::Manual, ..Case::new(workload()) },
            "pods have no sidecar for Service shop/orders: spec.rollout is Manual; run: kubectl -n shop rollout restart deployment/orders",
        ),
        (
            Case { mode: RepairMode::Vetoed, lack: Lack::Source, ..Case::new(workload()) },
            "pods do not mount the document for Service shop/orders: the admin has switched restarts off for the operator; run: kubectl -n shop rollout restart deployment/orders",
        ),
        (
            Case::new(WorkloadFacts { update: Update::Paused, ..workload() }),
            "pods have no sidecar for Service shop/orders: deployment/orders is paused; run: kubectl -n shop rollout resume deployment/orders && kubectl -n shop rollout restart deployment/orders",
        ),
        (
            Case::new(WorkloadFacts { update: Update::OnDelete, ..workload() }),
            "pods have no sidecar for Service shop/orders: deployment/orders replaces pods only when they are deleted (OnDelete); run, pod by pod: kubectl -n shop delete pod orders-1",
        ),
        (
            Case { owner: other, ..Case::new(workload()) },
            "pods have no sidecar for Service shop/orders: orders-1 belongs to Rollout orders, which the operator does not restart; restart it, or run: kubectl -n shop delete pod orders-1",
        ),
        (
            Case { owner: Owner::Nobody, ..Case::new(workload()) },
            "pods have no sidecar for Service shop/orders: orders-1 belongs to no workload, so nothing would replace it; create it again",
        ),
    ];
    for (mut case, words) in rows {
        let first = case.go();
        assert_eq!(told(&first), (event::RESTART_NEEDED, words));
        assert!(first.note().needs_hand);
        // It is told once, and the condition goes on saying it.
        let second = case.decide();
        assert_eq!(waits(&second).message, first.note().message);
    }
}

#[test]
fn what_would_not_be_injected_is_not_restarted() {
    let mut case = Case::new(workload());
    case.injection =
        Injection::Skipped { reason: "PortTaken".to_owned(), message: "container app has port 8800".to_owned() };
    let decision = case.go();
    assert_eq!(told(&decision), (event::POD_NOT_INJECTED, "no sidecar: PortTaken: container app has port 8800"));
    assert_eq!(decision.note().message, "it cannot have one: PortTaken: container app has port 8800");
    waits(&case.decide());
    case.injection = Injection::OptedOut;
    assert_eq!(waits(&case.decide()).message, "orders-1 opts out with moorline.dev/inject: disabled");
}

#[test]
fn what_a_repair_depends_on_is_read_of_each_kind_of_workload() {
    for kind in [WorkloadKind::Deployment, WorkloadKind::StatefulSet, WorkloadKind::DaemonSet] {
        assert_eq!(WorkloadKind::of("apps/v1", kind.as_str()), Some(kind));
        let facts = WorkloadFacts::read(kind, &manifest(kind), false).unwrap();
        assert!(facts.is_rolled_out && facts.update == Update::Replaces, "{facts:?}");
        assert_eq!(facts.workload.resource(), format!("{}/orders", kind.as_str().to_lowercase()));
        let mut unseen = manifest(kind);
        unseen["metadata"]["generation"] = json!(5);
        assert!(!WorkloadFacts::read(kind, &unseen, false).unwrap().is_rolled_out);
    }
    assert_eq!(WorkloadKind::of("argoproj.io/v1alpha1", "Deployment"), None);
    assert_eq!(WorkloadKind::of("apps/v1", "ReplicaSet"), None);
    let mut half = manifest(WorkloadKind::Deployment);
    half["status"]["updatedReplicas"] = json!(2);
    half["status"]["availableReplicas"] = json!(1);
    half["spec"]["paused"] = json!(true);
    half["metadata"]["annotations"] = json!({"moorline.dev/restarted-template": "abc"});
    half["spec"]["template"]["metadata"]["annotations"] = json!({"moorline.dev/restartedAt": "1970-01-01T00:00:09Z"});
    let facts = WorkloadFacts::read(WorkloadKind::Deployment, &half, true).unwrap();
    assert!(!facts.is_rolled_out && !facts.is_available && facts.update == Update::Paused && facts.has_served_pods);
    assert_eq!((facts.restarted_template.as_deref(), facts.restarted_at), (Some("abc"), Some(at(9))));
    let mut on_delete = manifest(WorkloadKind::StatefulSet);
    on_delete["spec"]["updateStrategy"] = json!({"type": "OnDelete"});
    assert_eq!(WorkloadFacts::read(WorkloadKind::StatefulSet, &on_delete, false).unwrap().update, Update::OnDelete);
    assert_eq!(WorkloadFacts::read(WorkloadKind::Deployment, &json!({}), false), None);
}

#[test]
fn an_eviction_long_ago_has_nothing_to_do_with_a_bare_pod_of_today() {
    let mut case = Case::new(WorkloadFacts { has_served_pods: true, ..workload() });
    case.go();
    case.now += 7200;
    case.created = case.now - 5;
    assert!(matches!(case.go(), RepairDecision::Evict { .. }));
    case.now += 1;
    case.created = case.now;
    let note = case.decide();
    let wait = note.note().again.duration_since(at(case.now - 1));
    assert_eq!(Duration::try_from(wait).unwrap(), Duration::from_mins(1));
}

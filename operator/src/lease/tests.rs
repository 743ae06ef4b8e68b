#![allow(clippy::unwrap_used, clippy::panic)] // tests fail by panicking

// The clock is the tests': whole minutes pass at once, and always in the same order.

use serde_json::json;
use tokio::task::JoinSet;

use super::*;
use crate::fake_api::{Answer, FakeApi, failure};

const PATH: &str = "/apis/coordination.k8s.io/v1/namespaces/m/leases/l";

/// A candidate that runs.
struct Replica {
    leadership: Leadership,
    resign: CancellationToken,
    tasks: JoinSet<()>,
}

impl Replica {
    fn start(api: &FakeApi, identity: &str) -> Self {
        let candidate = Candidate { namespace: "m".to_owned(), name: "l".to_owned(), identity: identity.to_owned() };
        let (election, leadership) = Election::new(candidate);
        let (resign, mut tasks) = (CancellationToken::new(), JoinSet::new());
        tasks.spawn(election.run(api.client(), resign.clone()));
        Self { leadership, resign, tasks }
    }

    /// Waits until it leads; how long that took.
    async fn leads(&self) -> Duration {
        let start = Instant::now();
        assert!(became(&mut self.leadership.watch(), true).await);
        start.elapsed()
    }

    fn is_leader(&self) -> bool {
        *self.leadership.watch().borrow()
    }

    async fn stop(mut self) {
        self.resign.cancel();
        while self.tasks.join_next().await.is_some() {}
    }

    /// As a killed process would: without a word.
    fn kill(mut self) {
        self.tasks.abort_all();
    }
}

/// Lets time pass in small steps, and looks at each.
async fn pass(time: Duration, mut look: impl FnMut()) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        sleep(Duration::from_millis(50)).await;
        look();
    }
}

#[tokio::test(start_paused = true)]
async fn one_of_several_leads_and_goes_on_leading() {
    let api = FakeApi::default();
    let replicas = [Replica::start(&api, "a"), Replica::start(&api, "b"), Replica::start(&api, "c")];
    pass(Duration::from_mins(10), || {
        assert!(replicas.iter().filter(|replica| replica.leadership.holds()).count() <= 1);
    })
    .await;
    assert_eq!(replicas.iter().filter(|replica| replica.is_leader()).count(), 1);
    assert_eq!(api.get(PATH).unwrap()["spec"]["leaseTransitions"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_stops_hands_over_within_a_second() {
    let api = FakeApi::default();
    let first = Replica::start(&api, "a");
    first.leads().await;
    let second = Replica::start(&api, "b");
    pass(Duration::from_secs(20), || assert!(!second.is_leader())).await;
    let leadership = first.leadership.clone();
    first.stop().await;
    assert!(!leadership.holds());
    let took = second.leads().await;
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_killed_is_replaced_within_twenty_seconds_and_not_before_it_would_have_stepped_down() {
    let api = FakeApi::default();
    let first = Replica::start(&api, "a");
    first.leads().await;
    let second = Replica::start(&api, "b");
    pass(Duration::from_secs(30), || {}).await;
    let leadership = first.leadership.clone();
    first.kill();
    let took = second.leads().await;
    assert!(took > STEP_DOWN && took < Duration::from_secs(20), "{took:?}");
    // The dead one's handle may still be asked, by a worker that was frozen with it.
    assert!(!leadership.holds());
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_cannot_renew_steps_down_before_anybody_may_take_over() {
    let api = FakeApi::default();
    let replica = Replica::start(&api, "a");
    replica.leads().await;
    api.script(|call| if call.method == http::Method::PUT { Answer::Silence } else { Answer::Stored });
    let start = Instant::now();
    assert!(became(&mut replica.leadership.watch(), false).await);
    assert!(start.elapsed() < DURATION, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_leader_outlives_a_short_outage() {
    let api = FakeApi::default();
    let replica = Replica::start(&api, "a");
    replica.leads().await;
    let start = Instant::now();
    api.script(move |_| {
        if start.elapsed() < Duration::from_secs(6) { failure(503, "ServiceUnavailable") } else { Answer::Stored }
    });
    pass(Duration::from_mins(1), || assert!(replica.leadership.holds())).await;
}

#[tokio::test(start_paused = true)]
async fn a_process_that_was_frozen_knows_at_once_that_it_may_not_write() {
    let api = FakeApi::default();
    let replica = Replica::start(&api, "a");
    replica.leads().await;
    assert!(replica.leadership.holds());
    // The clock goes on while no task of the process runs.
    tokio::time::advance(Duration::from_secs(30)).await;
    assert!(!replica.leadership.holds());
}

#[tokio::test(start_paused = true)]
async fn somebody_who_labels_the_lease_does_not_take_it() {
    let api = FakeApi::default();
    let replica = Replica::start(&api, "a");
    replica.leads().await;
    for _ in 0..20 {
        api.change(PATH, |lease| lease["metadata"]["labels"] = json!({"a": "b"}));
        pass(Duration::from_secs(2), || assert!(replica.is_leader())).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_whose_lease_is_taken_stops_at_its_next_renewal() {
    let api = FakeApi::default();
    let replica = Replica::start(&api, "a");
    replica.leads().await;
    api.change(PATH, |lease| lease["spec"]["holderIdentity"] = json!("somebody"));
    let start = Instant::now();
    assert!(became(&mut replica.leadership.watch(), false).await);
    assert!(start.elapsed() <= RENEW_EVERY);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_was_deleted_is_made_anew() {
    let api = FakeApi::default();
    let replica = Replica::start(&api, "a");
    replica.leads().await;
    api.remove(PATH);
    assert!(became(&mut replica.leadership.watch(), false).await);
    assert!(replica.leads().await <= LOOK_EVERY);
    assert_eq!(api.get(PATH).unwrap()["spec"]["holderIdentity"], "a");
}

#[tokio::test(start_paused = true)]
async fn of_two_that_take_an_expired_lease_at_once_one_gets_it() {
    let api = FakeApi::default();
    api.put(
        PATH,
        json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l", "namespace": "m"},
            "spec": {"holderIdentity": ""},
        }),
    );
    let replicas = [Replica::start(&api, "a"), Replica::start(&api, "b")];
    pass(Duration::from_secs(3), || {
        assert!(replicas.iter().filter(|replica| replica.leadership.holds()).count() <= 1);
    })
    .await;
    assert_eq!(replicas.iter().filter(|replica| replica.is_leader()).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_candidate_that_may_not_read_the_lease_does_not_ask_in_a_loop() {
    let api = FakeApi::default();
    api.script(|_| failure(403, "Forbidden"));
    let replica = Replica::start(&api, "a");
    pass(Duration::from_secs(10), || assert!(!replica.is_leader())).await;
    assert!(api.count(&format!("GET {PATH}")) <= 20);
}

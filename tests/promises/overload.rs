//! Overload sheds new work, and never costs running work its leases.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use http::StatusCode;
use longrun::operation::Timestamp;
use longrun::store::turn::{Changes, Touches, WorkingSet};
use longrun::store::{Store, StoreError};

/// A store on a slow disk.
struct Slow<S> {
    store: S,
    commit: Duration,
}

impl<S: Store> Store for Slow<S> {
    fn begin(&mut self, touches: &Touches) -> Result<WorkingSet, StoreError> {
        self.store.begin(touches)
    }

    fn commit(&mut self, changes: &mut Changes) -> Result<(), StoreError> {
        if !changes.is_empty() {
            std::thread::sleep(self.commit);
        }
        self.store.commit(changes)
    }

    fn next_due(&mut self) -> Result<Option<Timestamp>, StoreError> {
        self.store.next_due()
    }

    fn has_room(&mut self) -> bool {
        self.store.has_room()
    }

    fn release_reserve(&mut self) {
        self.store.release_reserve();
    }
}

mod alone {
    use longrun::auth::admin::{self, TokenRequest};
    use longrun::store::Reader;
    use longrun::tracker::Options;
    use serde_json::{Value, json};
    use tokio::task::JoinSet;
    use tokio::time::{Instant, interval, sleep_until};

    use super::{
        Arc, AtomicBool, AtomicUsize, Changes, Duration, Ordering, Slow, StatusCode, Store, Timestamp,
        Touches,
    };
    use crate::promises::inside::{self, Inside};
    use crate::support::Client;

    const HELD: usize = 200;
    const LEASE: Duration = Duration::from_secs(2);
    const COMMIT: Duration = Duration::from_millis(20);
    /// Far more than the lane can take in at that pace.
    const SUBMITS_PER_TICK: usize = 40;
    const TICK: Duration = Duration::from_millis(10);

    #[derive(Default)]
    struct Tally {
        created: AtomicUsize,
        refused: AtomicUsize,
        other: AtomicUsize,
    }

    /// Sends submits at a steady pace, however slow the answers are.
    async fn flood(client: Client, seconds: u64, per_tick: usize, tally: Arc<Tally>) {
        let (mut pace, mut flying) = (interval(TICK), JoinSet::new());
        let end = Instant::now() + Duration::from_secs(seconds);
        while Instant::now() < end {
            pace.tick().await;
            while flying.try_join_next().is_some() {}
            for _ in 0..per_tick.min(2_000_usize.saturating_sub(flying.len())) {
                let (client, tally) = (client.clone(), tally.clone());
                flying.spawn(async move {
                    let answer = client.post("/v1.0/operations", &json!({"operationType": "new"})).await;
                    let count = match answer.status {
                        StatusCode::CREATED => &tally.created,
                        StatusCode::SERVICE_UNAVAILABLE => {
                            let after = answer.header("retry-after").and_then(|value| value.parse().ok());
                            assert!(after.is_some_and(|seconds: u32| seconds >= 1), "{:?}", answer.headers);
                            assert_eq!(answer.code(), "overloaded");
                            &tally.refused
                        }
                        _ => &tally.other,
                    };
                    count.fetch_add(1, Ordering::Relaxed);
                });
            }
        }
        flying.join_all().await;
    }

    fn reports(held: &[(String, i64)], status: &str) -> Value {
        let report = |(id, token): &(String, i64)| json!({"id": id, "leaseToken": token, "status": status});
        json!({"workerId": "w", "reports": held.iter().map(report).collect::<Vec<_>>()})
    }

    fn assert_all_ok(answer: &Value, what: &str) {
        let outcomes = answer["outcomes"].as_array().expect("outcomes are always there");
        assert_eq!(outcomes.len(), HELD, "{what}");
        for outcome in outcomes {
            assert!(outcome.get("error").is_none(), "{what}: {outcome}");
        }
    }

    /// Heartbeats at a third of the lease until told to end, then reports all as completed.
    async fn keep(client: Client, held: Vec<(String, i64)>, over: Arc<AtomicBool>) -> usize {
        let (mut beats, mut next) = (0, Instant::now());
        while !over.load(Ordering::Relaxed) {
            assert_all_ok(&client.work(&reports(&held, "Running")).await, "a heartbeat");
            beats += 1;
            next += LEASE / 3;
            sleep_until(next).await;
        }
        assert_all_ok(&client.work(&reports(&held, "Completed")).await, "the end");
        beats
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn overload_refuses_new_work_and_costs_running_work_nothing() {
        let seconds = std::env::var("LONGRUN_OVERLOAD_SECONDS").map_or(10, |text| text.parse().unwrap());
        let scratch = tempfile::tempdir().unwrap();
        let (store, reader) = inside::store(scratch.path());
        let store = Box::new(Slow { store, commit: COMMIT });
        let options = Options { submits_max: 64, ..Options::default() };
        let server = Inside::start(scratch.path(), store, reader, options).await;
        let client = &server.client;

        let mut made = JoinSet::new();
        for _ in 0..HELD {
            let client = client.clone();
            made.spawn(async move { client.submit(&json!({"operationType": "held"})).await });
            if made.len() >= 32 {
                made.join_next().await;
            }
        }
        made.join_all().await;
        let claim = json!({"id": "c", "operationTypes": ["held"], "limit": HELD, "leaseSeconds": 2});
        let answer = client.work(&json!({"workerId": "w", "claim": claim})).await;
        let operations = answer["operations"].as_array().unwrap().iter();
        let held: Vec<_> = operations
            .map(|operation| {
                let token = operation["lease"]["token"].as_i64().unwrap();
                (operation["id"].as_str().unwrap().to_owned(), token)
            })
            .collect();
        assert_eq!(held.len(), HELD);

        let (tally, over) = (Arc::new(Tally::default()), Arc::new(AtomicBool::new(false)));
        // A pool of its own: a worker does not queue behind the flood's connections.
        let worker = Client::new(&server.url());
        let kept = tokio::spawn(keep(worker, held.clone(), over.clone()));
        flood(client.clone(), seconds, SUBMITS_PER_TICK, tally.clone()).await;
        over.store(true, Ordering::Relaxed);
        let beats = kept.await.expect("no report was refused");

        let count = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        let (created, refused) = (count(&tally.created), count(&tally.refused));
        println!("{created} created, {refused} refused, {beats} heartbeats of {HELD} leases");
        assert_eq!(count(&tally.other), 0);
        assert!(created >= 1_000, "only {created} were created");
        assert!(refused >= 1_000, "only {refused} were refused");
        assert!(beats as u64 >= seconds, "only {beats} heartbeats");
        for (id, _) in &held {
            let operation = client.operation(id).await;
            assert_eq!(operation["status"], "Completed");
            assert_eq!(operation["attemptsCount"], 1);
        }
        server.stop().await;
    }

    /// A token of a tenant of its own, kept in the store; the whole of it.
    fn token_of(tenant: &str, store: &mut dyn Store, now: Timestamp) -> String {
        let request = TokenRequest {
            name: tenant.to_owned(),
            tenant: Some(tenant.to_owned()),
            scopes: vec!["Operation.ReadWrite".to_owned()],
            queues: None,
            lifetime_seconds: None,
        };
        let (credential, made) = admin::make(&request, now).unwrap();
        store.begin(&Touches::default()).unwrap();
        store.commit(&mut Changes { credentials: vec![credential], ..Changes::default() }).unwrap();
        made.token
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_flood_of_one_tenant_refuses_and_delays_no_other() {
        let scratch = tempfile::tempdir().unwrap();
        let (mut store, reader) = inside::store(scratch.path());
        let [greedy, modest] = ["greedy", "modest"].map(|tenant| token_of(tenant, &mut store, reader.now()));
        // Slow enough that it is the intake that is too little, and not the machine.
        let store = Box::new(Slow { store, commit: COMMIT * 5 });
        let options = Options { submits_max: 64, ..Options::default() };
        let server = Inside::start(scratch.path(), store, reader, options).await;
        let (greedy, modest) =
            (server.client.with_token(&greedy), Client::new(&server.url()).with_token(&modest));
        let (tally, over) = (Arc::new(Tally::default()), Arc::new(AtomicBool::new(false)));
        let beside = tokio::spawn({
            let over = over.clone();
            async move {
                let mut slowest = Duration::ZERO;
                let mut created = 0;
                while !over.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    let answer = modest.post("/v1.0/operations", &json!({"operationType": "new"})).await;
                    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
                    slowest = slowest.max(began.elapsed());
                    created += 1;
                }
                (created, slowest)
            }
        });
        flood(greedy, 5, SUBMITS_PER_TICK / 4, tally.clone()).await;
        over.store(true, Ordering::Relaxed);
        let (created, slowest) = beside.await.expect("nothing of the other tenant was refused");
        let refused = tally.refused.load(Ordering::Relaxed);
        println!("{created} created beside {refused} refused ones, the slowest in {slowest:?}");
        assert!(refused >= 500, "only {refused} of the flood were refused");
        assert!(created >= 10, "only {created} were created beside the flood");
        server.stop().await;
    }
}

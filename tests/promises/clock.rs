//! A machine whose clock is set wrong, and set right again, neither starts nor ends anything too early, and no lease is
//! lost or outlives its seconds by it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use longrun::operation::Timestamp;
use longrun::store::Reader;
use longrun::store::clock::{Machine, TimeSource};
use longrun::tracker::Options;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::inside::{self, Inside};
use crate::support::{Client, until};

const YEAR: Duration = Duration::from_hours(365 * 24);
const LEASE: Duration = Duration::from_secs(3);
/// How long the clock stands wrong.
const WRONG: Duration = Duration::from_secs(10);
/// When the near one starts: in the midst of all that happens here.
const NEAR: Duration = Duration::from_secs(12);
/// A promise of a second, ten times over: what a slow machine may add.
const SLACK: Duration = Duration::from_secs(10);

/// The machine's clocks, but somebody sets the one on the wall.
#[derive(Default)]
struct Wall {
    machine: Machine,
    /// By how much it is wrong, in ticks of 100 ns.
    wrong: AtomicI64,
}

impl Wall {
    fn set_ahead(&self, by: Duration) {
        self.wrong.store(i64::try_from(by.as_nanos() / 100).unwrap(), Ordering::SeqCst);
    }

    fn set_back(&self, by: Duration) {
        self.wrong.store(-i64::try_from(by.as_nanos() / 100).unwrap(), Ordering::SeqCst);
    }

    fn set_right(&self) {
        self.wrong.store(0, Ordering::SeqCst);
    }
}

impl TimeSource for Wall {
    fn wall(&self) -> Timestamp {
        Timestamp::from_ticks(self.machine.wall().ticks() + self.wrong.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        self.machine.monotonic()
    }
}

async fn start(directory: &Path, wall: &Arc<Wall>) -> (Inside, Arc<dyn Reader>) {
    let (store, reader) = inside::store_with(directory, wall.clone());
    let server = Inside::start(directory, Box::new(store), reader.clone(), Options::default()).await;
    (server, reader)
}

async fn claim(client: &Client, operation_type: &str, id: &str) -> Option<(String, i64)> {
    let claim = json!({"id": id, "operationTypes": [operation_type], "leaseSeconds": LEASE.as_secs()});
    let answer = client.work(&json!({"workerId": "w", "claim": claim})).await;
    let operation = answer["operations"].as_array().unwrap().first()?;
    let token = operation["lease"]["token"].as_i64().unwrap();
    Some((operation["id"].as_str().unwrap().to_owned(), token))
}

/// What stands when the clock goes wrong.
struct Scene {
    began: Instant,
    /// Starts in the midst.
    near: String,
    /// Starts in a day.
    far: String,
    /// Would expire in a day.
    expiring: String,
    /// Its worker lives.
    held: (String, i64),
    heartbeats: usize,
    silent: usize,
}

impl Scene {
    async fn set(client: &Client, reader: &dyn Reader) -> Self {
        let began = Instant::now();
        let at = |span: Duration| reader.now().plus(span).to_string();
        let day = Duration::from_hours(24);
        let near = json!({"operationType": "near", "startDateTime": at(NEAR)});
        let far = json!({"operationType": "far", "startDateTime": at(day)});
        let expiring = json!({"operationType": "nobody", "expirationDateTime": at(day)});
        let (near, far) = (client.submit(&near).await, client.submit(&far).await);
        let expiring = client.submit(&expiring).await;
        client.submit(&json!({"operationType": "held"})).await;
        let held = claim(client, "held", "held").await.expect("it is ready");
        Self { began, near, far, expiring, held, heartbeats: 0, silent: 0 }
    }

    async fn beat(&mut self, client: &Client) {
        let report = json!({"id": self.held.0, "leaseToken": self.held.1, "status": "Running"});
        let answer = client.work(&json!({"workerId": "w", "reports": [report]})).await;
        let outcome = &answer["outcomes"][0];
        assert!(outcome.get("error").is_none(), "the lease was lost: {outcome}");
        let left = outcome["leaseSeconds"].as_f64().unwrap();
        assert!(left <= LEASE.as_secs_f64() + 0.001, "the lease outlives its seconds: {left}");
        self.heartbeats += 1;
    }

    /// Lets time pass with a living worker, while nothing may happen that the clock's error would have made.
    async fn pass(&mut self, client: &Client, span: Duration) {
        let end = Instant::now() + span;
        loop {
            self.beat(client).await;
            self.assert_stands(client).await;
            if Instant::now() >= end {
                return;
            }
            sleep(Duration::from_millis(200)).await;
        }
    }

    async fn assert_stands(&self, client: &Client) {
        if claim(client, "near", "near").await.is_some() {
            let after = self.began.elapsed();
            assert!(after >= NEAR, "the near one started after {after:?}");
        }
        assert!(claim(client, "far", "far").await.is_none(), "the far one started");
        for id in [&self.far, &self.expiring] {
            assert_eq!(client.operation(id).await["status"], "NotStarted");
        }
        let held = client.operation(&self.held.0).await;
        assert_eq!((&held["status"], &held["attemptsCount"]), (&json!("Running"), &json!(1)));
    }

    /// A worker that takes one and goes silent loses it when its seconds are over: not sooner, and not much later.
    async fn assert_silence_ends(&mut self, client: &Client) {
        let name = format!("silent-{}", self.silent);
        self.silent += 1;
        let id = client.submit(&json!({"operationType": name})).await;
        claim(client, &name, &name).await.expect("it is ready");
        let taken = Instant::now();
        while is_running(&client.operation(&id).await) {
            self.beat(client).await;
            assert!(taken.elapsed() < LEASE + SLACK, "a lease outlived its seconds");
            sleep(Duration::from_millis(50)).await;
        }
        let lasted = taken.elapsed();
        assert!(lasted + Duration::from_millis(500) >= LEASE, "a lease was lost after {lasted:?}");
    }

    /// All is well again: what was to start starts, and what was held can be ended.
    async fn end(&self, client: &Client) {
        until("the start of the near one", async || {
            let _ = claim(client, "near", "near").await;
            let near = client.operation(&self.near).await;
            (near["status"] != "NotStarted" || near["attemptsCount"].as_u64() > Some(0)).then_some(())
        })
        .await;
        let near = client.operation(&self.near).await;
        let moment = |name: &str| Timestamp::parse(near[name].as_str().unwrap()).unwrap();
        assert!(moment("startedDateTime") >= moment("startDateTime"), "{near}");
        let report = json!({"id": self.held.0, "leaseToken": self.held.1, "status": "Completed"});
        let answer = client.work(&json!({"workerId": "w", "reports": [report]})).await;
        assert!(answer["outcomes"][0].get("error").is_none(), "{answer}");
        assert!(self.heartbeats >= 10, "only {} heartbeats", self.heartbeats);
        assert_eq!(client.operation(&self.held.0).await["attemptsCount"], 1);
    }
}

fn is_running(operation: &Value) -> bool {
    operation["status"] == "Running"
}

#[tokio::test(flavor = "multi_thread")]
async fn a_year_ahead_for_ten_seconds_and_back_starts_and_ends_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    let wall = Arc::new(Wall::default());
    let (server, reader) = start(scratch.path(), &wall).await;
    let mut scene = Scene::set(&server.client, &*reader).await;
    let before = reader.now();
    wall.set_ahead(YEAR);
    scene.assert_silence_ends(&server.client).await;
    scene.pass(&server.client, WRONG.saturating_sub(scene.began.elapsed())).await;
    assert!(reader.now().since(before) < WRONG + SLACK, "the store went along");
    wall.set_right();
    scene.assert_silence_ends(&server.client).await;
    scene.pass(&server.client, Duration::from_secs(1)).await;
    scene.end(&server.client).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_in_each_state_of_the_clock_starts_and_ends_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    let wall = Arc::new(Wall::default());
    let (mut server, reader) = start(scratch.path(), &wall).await;
    let mut scene = Scene::set(&server.client, &*reader).await;
    drop(reader);
    let states: [(&str, &dyn Fn()); 4] = [
        ("right", &|| wall.set_right()),
        ("a year ahead", &|| wall.set_ahead(YEAR)),
        ("right again", &|| wall.set_right()),
        ("a year behind", &|| wall.set_back(YEAR)),
    ];
    for (state, set) in states {
        println!("the clock is {state}");
        scene.beat(&server.client).await;
        set();
        scene.pass(&server.client, Duration::from_millis(500)).await;
        server.stop().await;
        let (again, reader) = start(scratch.path(), &wall).await;
        server = again;
        let client = server.client.clone();
        drop(reader);
        scene.pass(&client, Duration::from_millis(500)).await;
        scene.assert_silence_ends(&client).await;
    }
    wall.set_right();
    scene.pass(&server.client, Duration::from_secs(1)).await;
    scene.end(&server.client).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_while_the_clock_is_wrong_neither_loses_nor_stretches_a_silent_lease() {
    let scratch = tempfile::tempdir().unwrap();
    let wall = Arc::new(Wall::default());
    let (server, _) = start(scratch.path(), &wall).await;
    let id = server.client.submit(&json!({"operationType": "silent"})).await;
    claim(&server.client, "silent", "silent").await.expect("it is ready");
    wall.set_ahead(YEAR);
    server.stop().await;
    let (server, _) = start(scratch.path(), &wall).await;
    assert!(is_running(&server.client.operation(&id).await), "it was lost with the restart");
    wall.set_right();
    server.stop().await;
    let (server, _) = start(scratch.path(), &wall).await;
    let began = Instant::now();
    assert!(is_running(&server.client.operation(&id).await), "it was lost with the second restart");
    until("the end of the lease", async || (!is_running(&server.client.operation(&id).await)).then_some(()))
        .await;
    assert!(began.elapsed() < LEASE + SLACK, "it outlived its seconds");
    server.stop().await;
}

//! Three nodes over one database, with everything that may happen to them: what was acknowledged holds.
//!
//! `LONGRUN_CHAOS_SECONDS` says for how long (60).

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use longrun_postgres::{Postgres, Stop, execute};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::OPERATIONS;
use crate::support::{Client, Server, within};

const NODES: usize = 3;
const QUEUE: &str = "chaos";
const EVENTS: &str = "/v1.0/events?queue=chaos";
/// Between two mishaps.
const PACE: Duration = Duration::from_secs(2);
/// How long everything may take to come to rest.
const REST: Duration = Duration::from_secs(90);
/// At least so many operations are acknowledged in a second of it, on any machine.
const FLOOR: usize = 10;

/// What was asked, and what was answered.
#[derive(Default)]
struct History {
    /// The operation that each key made, by every answer that said so.
    acknowledged: Mutex<BTreeMap<usize, String>>,
    /// How often the end of an operation was accepted, repeats aside.
    ended: Mutex<HashMap<String, usize>>,
    /// Calls of which nobody knows what became of them.
    unknown: AtomicUsize,
    /// Reports of attempts that were somebody else's by then.
    stale: AtomicUsize,
    /// The next key. Each is used twice, at about the same time.
    uses: AtomicUsize,
    over: AtomicBool,
}

impl History {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }
}

fn any(clients: &[Client]) -> &Client {
    &clients[fastrand::usize(..clients.len())]
}

/// Tries a call at one node after another until it is answered as it should be.
async fn insist(
    history: &History,
    clients: &[Client],
    headers: &[(&str, &str)],
    path: &str,
    body: &Value,
) -> Value {
    let headers = [headers, &[("content-type", "application/json")]].concat();
    loop {
        match any(clients).try_send(Method::POST, path, &headers, body.to_string()).await {
            Ok(answer) if answer.status.is_success() => return answer.value(),
            Ok(answer) => assert!(
                answer.status == StatusCode::SERVICE_UNAVAILABLE,
                "{path} {}: {}",
                answer.status,
                answer.text()
            ),
            Err(_) => {}
        }
        history.unknown.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(fastrand::u64(20..200))).await;
    }
}

/// Submits with keys that another one uses, too.
async fn submits(history: Arc<History>, clients: Vec<Client>) {
    while !history.is_over() {
        let number = history.uses.fetch_add(1, Ordering::SeqCst) / 2;
        let key = format!("key-{number}");
        let body = json!({"operationType": "t", "queue": QUEUE, "maxAttempts": 1000, "input": number});
        let made = insist(&history, &clients, &[("idempotency-key", &key)], OPERATIONS, &body).await;
        let id = made["id"].as_str().unwrap().to_owned();
        let earlier = history.acknowledged.lock().unwrap().insert(number, id.clone());
        assert!(earlier.is_none_or(|earlier| earlier == id), "{key} made two operations");
        tokio::time::sleep(Duration::from_millis(fastrand::u64(..20))).await;
    }
}

/// Claims, and completes what it took; every so often only long after its lease.
async fn works(history: Arc<History>, clients: Vec<Client>, worker: String, ended: Arc<AtomicBool>) {
    while !ended.load(Ordering::SeqCst) {
        let claim = json!({"id": format!("{worker}-{}", fastrand::u64(..)), "queues": [QUEUE], "limit": 10,
            "leaseSeconds": 2, "waitSeconds": 1});
        let call = json!({"workerId": worker, "claim": claim});
        let answer = insist(&history, &clients, &[], "/v1.0/work", &call).await;
        let operations = answer["operations"].as_array().unwrap();
        if operations.is_empty() {
            continue;
        }
        if fastrand::u8(..8) == 0 {
            tokio::time::sleep(Duration::from_secs(4)).await;
        }
        let of = |operation: &Value| json!({"id": operation["id"], "leaseToken": operation["lease"]["token"], "status": "Completed"});
        let reports: Vec<Value> = operations.iter().map(of).collect();
        let call = json!({"workerId": worker, "reports": reports});
        let answer = insist(&history, &clients, &[], "/v1.0/work", &call).await;
        for outcome in answer["outcomes"].as_array().unwrap() {
            let id = outcome["id"].as_str().unwrap().to_owned();
            match outcome["error"]["code"].as_str() {
                // One that is repeated is this worker's own, whose first answer was lost.
                None => *history.ended.lock().unwrap().entry(id).or_default() += 1,
                Some("leaseLost" | "ended") => {
                    history.stale.fetch_add(1, Ordering::SeqCst);
                }
                Some(code) => panic!("{id}: {code}"),
            }
        }
    }
}

/// Watches one node, again whenever the connection breaks, until so many operations have completed.
async fn watches(
    client: Client,
    from: String,
    total: Arc<Mutex<Option<usize>>>,
) -> Vec<(i64, String, String)> {
    let (mut last, mut heard, mut completed) = (from, Vec::new(), 0);
    loop {
        let Ok(mut stream) = client.try_watch(EVENTS, Some(&last)).await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        while let Ok(Some(event)) = tokio::time::timeout(Duration::from_secs(1), stream.next()).await {
            assert_ne!(event.event, "reset", "nothing was pruned");
            last.clone_from(&event.id);
            completed += usize::from(event.event == "completed");
            let (_, cursor) = event.id.rsplit_once('-').unwrap();
            let id = event.data["id"].as_str().unwrap().to_owned();
            heard.push((cursor.parse().unwrap(), event.event, id));
        }
        if total.lock().unwrap().is_some_and(|total| completed >= total) {
            return heard;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// One mishap after another, of every kind in turn.
fn mishaps(mut postgres: Postgres, mut nodes: Vec<Server>, until: Instant) -> (Postgres, Vec<Server>, usize) {
    let url = postgres.url("postgres");
    let cut = |which: &str| {
        let ended = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND {which}"
        );
        let _ = execute(&url, &ended);
    };
    let mut count = 0;
    while Instant::now() < until || count < 7 {
        std::thread::sleep(PACE);
        let node = &mut nodes[fastrand::usize(..NODES)];
        match count % 7 {
            0 => {
                node.kill();
                node.start_again();
            }
            1 => cut("application_name LIKE 'longrun%'"),
            2 => {
                node.signal("STOP");
                std::thread::sleep(Duration::from_secs(3));
                node.signal("CONT");
            }
            3 => {
                postgres.stop(Stop::Fast);
                postgres.run();
            }
            4 => cut("query LIKE 'LISTEN%'"),
            5 => {
                postgres.stop(Stop::Immediate);
                postgres.run();
            }
            _ => {
                node.signal("TERM");
                node.wait();
                node.start_again();
            }
        }
        count += 1;
    }
    (postgres, nodes, count)
}

mod alone {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn whatever_happens_to_nodes_and_database_what_was_acknowledged_holds() {
        let seconds = std::env::var("LONGRUN_CHAOS_SECONDS").map_or(60, |text| text.parse().unwrap());
        let postgres = Postgres::start(&[]);
        let url = postgres.url("postgres");
        let nodes: Vec<Server> = (0..NODES).map(|_| Server::node(&url, &["--workers", "0"])).collect();
        let clients: Vec<Client> = nodes.iter().map(Server::client).collect();
        let history = Arc::new(History::default());
        let (ended, total) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(None)));
        let from = clients[0].watch(EVENTS, None).await.begin().await;
        let (mut submitting, mut working, mut watching) = (JoinSet::new(), JoinSet::new(), JoinSet::new());
        for number in 0..4 {
            submitting.spawn(submits(history.clone(), clients.clone()));
            working.spawn(works(history.clone(), clients.clone(), format!("w{number}"), ended.clone()));
        }
        for client in &clients {
            watching.spawn(watches(client.clone(), from.clone(), total.clone()));
        }
        let until = Instant::now() + Duration::from_secs(seconds);
        let (_postgres, _nodes, count) =
            tokio::task::spawn_blocking(move || mishaps(postgres, nodes, until)).await.unwrap();
        history.over.store(true, Ordering::SeqCst);
        submitting.join_all().await;

        let made = history.acknowledged.lock().unwrap().clone();
        within(REST, "everything to be done", async || {
            let left =
                clients[0].get(&format!("{OPERATIONS}/$count?$filter=status%20ne%20'Completed'")).await;
            (left.status == StatusCode::OK && left.text() == "0").then_some(())
        })
        .await;
        ended.store(true, Ordering::SeqCst);
        working.join_all().await;
        for id in made.values() {
            assert_eq!(clients[1].operation(id).await["status"], "Completed", "{id}");
        }
        let all = clients[2].get(&format!("{OPERATIONS}/$count")).await.text();
        assert_eq!(all, made.len().to_string(), "nothing was made but what was acknowledged");
        let ends = history.ended.lock().unwrap().clone();
        assert!(ends.values().all(|ends| *ends == 1), "an end was accepted twice");
        assert_eq!(ends.len(), made.len());

        *total.lock().unwrap() = Some(made.len());
        let told = tokio::time::timeout(REST, watching.join_all()).await.expect("all is told");
        for told in &told {
            assert!(told.is_sorted_by(|one, other| one.0 < other.0), "in order, and once");
            assert_eq!(told.iter().filter(|(_, kind, _)| kind == "completed").count(), made.len());
            assert_eq!(told.iter().filter(|(_, kind, _)| kind == "created").count(), made.len());
        }
        assert!(told.windows(2).all(|pair| pair[0] == pair[1]), "all watchers heard the same");
        let unknown = history.unknown.load(Ordering::SeqCst);
        eprintln!(
            "{} operations, {count} mishaps, {unknown} calls refused or lost, {} reports too late",
            made.len(),
            history.stale.load(Ordering::SeqCst)
        );
        assert!(unknown > 0 && made.len() >= FLOOR * usize::try_from(seconds).unwrap());
    }
}

//! Three nodes over one database and workers of both kinds, those of the test and `longrun work` in processes of their own,
//! with everything that may happen to them: what was acknowledged holds.
//!
//! `LONGRUN_CHAOS_SECONDS` says for how long (60).

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use longrun_postgres::{Postgres, Stop, ask, execute};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::OPERATIONS;
use crate::support::{Client, Programs, Server, Worker, within};

const NODES: usize = 3;
const QUEUE: &str = "chaos";
const EVENTS: &str = "/v1.0/events?queue=chaos";
/// Between two mishaps.
const PACE: Duration = Duration::from_secs(2);
/// How long everything may take to come to rest.
const REST: Duration = Duration::from_secs(90);
/// At least so many operations are acknowledged in a second of it, on any machine.
const FLOOR: usize = 10;
/// Workers of their own, one at each node; of so many operations one is theirs.
const PROGRAMS: usize = 3;
const ONE_IN: usize = 12;
/// Takes a while, and tells by which lease it was carried out.
const PROGRAM: &str = r#"sleep 0.5; printf '{"token": %s}' "$LONGRUN_LEASE_TOKEN""#;
/// What can happen, in turn.
const MISHAPS: [Mishap; 8] = [
    Mishap::NodeKilled,
    Mishap::ConnectionsCut,
    Mishap::NodeFrozen,
    Mishap::DatabaseRestarted,
    Mishap::ListenersCut,
    Mishap::WorkerFrozen,
    Mishap::DatabaseCrashed,
    Mishap::NodeStopped,
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Mishap {
    NodeKilled,
    ConnectionsCut,
    NodeFrozen,
    DatabaseRestarted,
    ListenersCut,
    WorkerFrozen,
    DatabaseCrashed,
    NodeStopped,
}

/// What was asked, and what was answered.
#[derive(Default)]
struct History {
    /// The operation that each key made, by every answer that said so.
    acknowledged: Mutex<BTreeMap<usize, String>>,
    /// How often the end of an operation was accepted, repeats aside.
    ended: Mutex<HashMap<String, usize>>,
    /// Calls that were told to come again.
    refused: AtomicUsize,
    /// Calls of which nobody knows what became of them.
    unknown: AtomicUsize,
    /// Calls that are being answered, by node.
    in_flight: [AtomicUsize; NODES],
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

    /// How many calls a mishap at this node would meet; none: at any.
    fn in_flight(&self, node: Option<usize>) -> usize {
        let all = self.in_flight.iter().enumerate().filter(|(of, _)| node.is_none_or(|node| node == *of));
        all.map(|(_, calls)| calls.load(Ordering::SeqCst)).sum()
    }
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
        let node = fastrand::usize(..clients.len());
        history.in_flight[node].fetch_add(1, Ordering::SeqCst);
        let said = clients[node].try_send(Method::POST, path, &headers, body.to_string()).await;
        history.in_flight[node].fetch_sub(1, Ordering::SeqCst);
        match said {
            Ok(answer) if answer.status.is_success() => return answer.value(),
            Ok(answer) => {
                let said = (answer.status, answer.text());
                assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{path} {said:?}");
                history.refused.fetch_add(1, Ordering::SeqCst);
            }
            Err(_) => {
                history.unknown.fetch_add(1, Ordering::SeqCst);
            }
        }
        tokio::time::sleep(Duration::from_millis(fastrand::u64(20..200))).await;
    }
}

/// Submits with keys that another one uses, too.
async fn submits(history: Arc<History>, clients: Vec<Client>) {
    while !history.is_over() {
        let number = history.uses.fetch_add(1, Ordering::SeqCst) / 2;
        let key = format!("key-{number}");
        let operation_type = if number.is_multiple_of(ONE_IN) { "program" } else { "t" };
        let body =
            json!({"operationType": operation_type, "queue": QUEUE, "maxAttempts": 1000, "input": number});
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
        let claim = json!({"id": format!("{worker}-{}", fastrand::u64(..)), "queues": [QUEUE], "operationTypes": ["t"], "limit": 10,
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
        let of = |operation: &Value| {
            let token = &operation["lease"]["token"];
            json!({"id": operation["id"], "leaseToken": token, "status": "Completed", "result": {"token": token}})
        };
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

/// Everything that mishaps happen to.
struct World {
    postgres: Postgres,
    nodes: Vec<Server>,
    workers: Vec<Worker>,
    history: Arc<History>,
}

impl World {
    /// One mishap after another, of every kind in turn, each in the middle of calls; how many those met of each kind.
    fn suffers(&mut self, until: Instant) -> BTreeMap<Mishap, Vec<usize>> {
        let mut met = BTreeMap::<Mishap, Vec<usize>>::new();
        for (count, mishap) in MISHAPS.into_iter().cycle().enumerate() {
            if Instant::now() >= until && count >= MISHAPS.len() {
                break;
            }
            std::thread::sleep(PACE);
            let node = fastrand::usize(..NODES);
            let of = matches!(mishap, Mishap::NodeKilled | Mishap::NodeFrozen | Mishap::NodeStopped);
            let calls = self.in_the_middle(of.then_some(node));
            self.happens(mishap, node);
            met.entry(mishap).or_default().push(calls);
        }
        met
    }

    /// Waits until there are calls under way.
    fn in_the_middle(&self, node: Option<usize>) -> usize {
        let began = Instant::now();
        loop {
            let calls = self.history.in_flight(node);
            if calls > 0 {
                return calls;
            }
            assert!(began.elapsed() < REST, "nobody asks anything of {node:?}");
            std::thread::yield_now();
        }
    }

    fn happens(&mut self, mishap: Mishap, node: usize) {
        let url = self.postgres.url("postgres");
        let cut = |which: &str| {
            let ended =
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()";
            let _ = execute(&url, &format!("{ended} AND {which}"));
        };
        let node = &mut self.nodes[node];
        match mishap {
            Mishap::NodeKilled => {
                node.kill();
                node.start_again();
            }
            Mishap::ConnectionsCut => cut("application_name LIKE 'longrun%'"),
            Mishap::NodeFrozen => {
                node.signal("STOP");
                std::thread::sleep(Duration::from_secs(3));
                node.signal("CONT");
            }
            Mishap::DatabaseRestarted => {
                self.postgres.stop(Stop::Fast);
                self.postgres.run();
            }
            Mishap::ListenersCut => cut("query LIKE 'LISTEN%'"),
            // Past its leases: others carry out meanwhile what it holds.
            Mishap::WorkerFrozen => {
                let worker = &self.workers[fastrand::usize(..PROGRAMS)];
                freeze_at_work(worker, &url);
                std::thread::sleep(Duration::from_secs(5));
                worker.signal("CONT");
            }
            Mishap::DatabaseCrashed => {
                self.postgres.stop(Stop::Immediate);
                self.postgres.run();
            }
            Mishap::NodeStopped => {
                node.signal("TERM");
                node.wait();
                node.start_again();
            }
        }
    }

    /// How often a worker was told that what it has done, or does, is another's by now.
    fn leases_lost(&self) -> usize {
        let is_lost = |line: &&str| line.contains("lease lost") || line.contains("leaseLost");
        self.workers.iter().map(|worker| worker.said().lines().filter(is_lost).count()).sum()
    }
}

/// Stops a worker when it holds something.
fn freeze_at_work(worker: &Worker, url: &str) {
    let held = format!("SELECT FROM longrun.lease WHERE worker LIKE '%:{}:%'", worker.pid());
    let began = Instant::now();
    loop {
        worker.signal("STOP");
        if matches!(ask(url, &format!("SELECT count(*) FROM ({held}) held")), Ok(Some(count)) if count != "0")
        {
            return;
        }
        worker.signal("CONT");
        assert!(began.elapsed() < REST, "the worker has nothing to do: {}", worker.said());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Workers of their own, each at a node of its own.
fn start_workers(nodes: &[Server], programs: &Programs) -> Vec<Worker> {
    let arguments = ["--queue", QUEUE, "--lease-seconds", "2", "--concurrency", "8"];
    let path = programs.path("program");
    nodes.iter().take(PROGRAMS).map(|node| Worker::start(&node.url, "program", &path, &arguments)).collect()
}

/// It was completed by the last of its leases: no report of an older one was taken.
async fn was_completed_once(client: &Client, id: &str) -> usize {
    let operation = client.operation(id).await;
    assert_eq!(operation["status"], "Completed", "{id}");
    let by = operation["result"]["token"].as_i64().expect("it says by which");
    let attempts = client.get(&format!("{OPERATIONS}/{id}/attempts")).await.value();
    let attempts = attempts["value"].as_array().expect("they are there");
    for attempt in attempts {
        let token = attempt["leaseToken"].as_i64().expect("it has one");
        assert!(token < by, "{id}: {attempt} and not {by}");
    }
    attempts.len()
}

/// Each watcher heard of each operation's begin and end once, in the one order that all of them saw.
fn all_heard_the_same(told: &[Vec<(i64, String, String)>], made: usize) {
    for told in told {
        assert!(told.is_sorted_by(|one, other| one.0 < other.0), "in order, and once");
        let kinds = |of: &str| told.iter().filter(|(_, kind, _)| kind == of).count();
        assert_eq!([kinds("created"), kinds("completed")], [made; 2]);
    }
    assert!(told.windows(2).all(|pair| pair[0] == pair[1]), "all watchers heard the same");
}

/// There were mishaps enough, and each was one to somebody.
fn were_met(met: &BTreeMap<Mishap, Vec<usize>>, history: &History, seconds: usize) {
    let refused = history.refused.load(Ordering::SeqCst);
    let unknown = history.unknown.load(Ordering::SeqCst);
    eprintln!("{refused} calls refused, {unknown} of unknown fate; calls that each mishap met: {met:?}");
    assert!(unknown > 0 && met.len() == MISHAPS.len());
    assert!(met.values().map(Vec::len).sum::<usize>() * 10 >= seconds);
    assert!(met.values().flatten().all(|calls| *calls > 0));
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
        let programs = Programs::new(&[("program", PROGRAM)]);
        let workers = start_workers(&nodes, &programs);
        let (mut submitting, mut working, mut watching) = (JoinSet::new(), JoinSet::new(), JoinSet::new());
        for number in 0..4 {
            submitting.spawn(submits(history.clone(), clients.clone()));
            working.spawn(works(history.clone(), clients.clone(), format!("w{number}"), ended.clone()));
        }
        for client in &clients {
            watching.spawn(watches(client.clone(), from.clone(), total.clone()));
        }
        let until = Instant::now() + Duration::from_secs(seconds as u64);
        let mut world = World { postgres, nodes, workers, history: history.clone() };
        let suffering = tokio::task::spawn_blocking(move || (world.suffers(until), world));
        let (met, world) = suffering.await.unwrap();
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
        let mut attempts = 0;
        for id in made.values() {
            attempts += was_completed_once(&clients[1], id).await;
        }
        let all = clients[2].get(&format!("{OPERATIONS}/$count")).await.text();
        assert_eq!(all, made.len().to_string(), "nothing was made but what was acknowledged");
        let ends = history.ended.lock().unwrap().clone();
        assert!(ends.values().all(|ends| *ends == 1), "an end was accepted twice");
        let by_programs = made.keys().filter(|number| number.is_multiple_of(ONE_IN)).count();
        assert_eq!(ends.len(), made.len() - by_programs);

        *total.lock().unwrap() = Some(made.len());
        let told = tokio::time::timeout(REST, watching.join_all()).await.expect("all is told");
        all_heard_the_same(&told, made.len());
        let (stale, lost) = (history.stale.load(Ordering::SeqCst), world.leases_lost());
        eprintln!(
            "{} operations acknowledged and completed, {by_programs} of them by programs, after {attempts} attempts that \
             were lost; too late: {stale} reports, {lost} leases of programs",
            made.len(),
        );
        assert!(made.len() >= FLOOR * seconds && stale > 0 && lost > 0);
        were_met(&met, &history, seconds);
    }
}

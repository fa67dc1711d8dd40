//! The real tracker over the real store, and a mixed load on it that remembers what it was told.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use longrun::operation::names::Tag;
use longrun::operation::{
    Actor, Command, Failure, Json, Lane, Name, Opening, OperationId, Payload, Progress, Report, ReportKind,
    Spec, Submission, TenantId, Timestamp, Via,
};
use longrun::store::clock::{Machine, TimeSource};
use longrun::store::sqlite::{self, OpenError};
use longrun::store::turn::Want;
use longrun::tracker::entry::{Claim, Exchange, Order, ReportOutcome, Reported, Submit};
use longrun::tracker::{Options, Retention, Tracker};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::mirror::{Mirrored, Record};

/// Time of the store passes so many times faster, so that leases end and pruning goes on within a short life.
const HASTE: u32 = 20;

struct Fast;

/// It goes on over restarts, as the time of a machine does.
static BEGAN: LazyLock<(Machine, Timestamp)> = LazyLock::new(|| (Machine::default(), Timestamp::wall()));

impl TimeSource for Fast {
    fn wall(&self) -> Timestamp {
        BEGAN.1.plus(self.monotonic())
    }

    fn monotonic(&self) -> Duration {
        BEGAN.0.monotonic() * HASTE
    }
}

/// What somebody was told: the version that an operation had.
#[derive(Clone, Default)]
pub struct Ledger(Arc<Mutex<Vec<(i64, i64)>>>);

impl Ledger {
    fn told(&self, seq: i64, version: i64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((seq, version));
    }

    /// The latest of each operation, of all that was told by now.
    pub fn latest(&self) -> BTreeMap<i64, i64> {
        let mut latest = BTreeMap::new();
        for (seq, version) in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let standing: &mut i64 = latest.entry(*seq).or_insert(0);
            *standing = (*standing).max(*version);
        }
        latest
    }
}

/// A tracker over the store of a directory.
pub struct House {
    runtime: Runtime,
    tracker: Tracker,
    intake: JoinHandle<()>,
    /// What it told.
    pub ledger: Ledger,
    numbers: Arc<AtomicU64>,
}

impl House {
    /// Opens it. `cursor` is the last one that was given before.
    pub fn open(directory: &Path, cursor: i64, record: &Record) -> Result<Self, OpenError> {
        let time = Arc::new(Fast);
        let options = sqlite::Options { directory: directory.to_owned(), min_free_bytes: 0, time };
        let (store, reader) = sqlite::open(options)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime can be made");
        let store = Box::new(Mirrored::new(store, cursor, record.clone()));
        let retention = Retention { operations: Duration::from_secs(3), events: Duration::from_secs(2) };
        let options = Options { retention, ..Options::default() };
        let opened = runtime.block_on(Tracker::open(store, reader, options));
        let (tracker, intake) = opened
            .map_err(|error| OpenError::Io { directory: directory.to_owned(), what: error.to_string() })?;
        Ok(Self { runtime, tracker, intake, ledger: Ledger::default(), numbers: Arc::default() })
    }

    /// A load of everything that clients and workers do, until it is stopped.
    pub fn load(&self) -> Load {
        let stopped = Arc::new(AtomicBool::new(false));
        let mut clients = JoinSet::new();
        for _ in 0..4 {
            let (client, stopped) = (self.client(), stopped.clone());
            clients.spawn_on(async move { while !stopped.load(Ordering::Relaxed) && client.submit_one().await.is_some() {} }, self.runtime.handle());
        }
        for n in 0..3 {
            let (client, stopped) = (self.client(), stopped.clone());
            let worker = format!("w{n}");
            clients.spawn_on(
                async move {
                    while !stopped.load(Ordering::Relaxed) && client.work_once(&worker).await.is_some() {}
                },
                self.runtime.handle(),
            );
        }
        Load { stopped, clients }
    }

    /// Some of everything, one after the other, for as long as it is answered.
    pub fn script(&self) {
        let client = self.client();
        self.runtime.block_on(async {
            for _ in 0..6 {
                let _ = client.submit_one().await;
                let _ = client.work_once("w").await;
            }
        });
    }

    fn client(&self) -> Client {
        Client { tracker: self.tracker.clone(), ledger: self.ledger.clone(), numbers: self.numbers.clone() }
    }

    /// Ends the load and the tracker, and closes the files.
    pub fn close(self, load: Option<Load>) {
        if let Some(mut load) = load {
            load.stopped.store(true, Ordering::Relaxed);
            self.tracker.drain();
            self.runtime.block_on(async { while load.clients.join_next().await.is_some() {} });
        }
        self.tracker.close();
        self.intake.join().expect("the loop does not panic");
        drop(self.tracker);
    }
}

/// Clients at work.
pub struct Load {
    stopped: Arc<AtomicBool>,
    clients: JoinSet<()>,
}

#[derive(Clone)]
struct Client {
    tracker: Tracker,
    ledger: Ledger,
    numbers: Arc<AtomicU64>,
}

fn tag(text: &str) -> Tag {
    Tag::parse(text).expect("a tag")
}

fn json(bytes: usize) -> Json {
    let text = format!("\"{}\"", "x".repeat(bytes));
    Arc::from(serde_json::value::RawValue::from_string(text).expect("JSON"))
}

fn actor() -> Actor {
    Actor { name: Arc::from("tester"), via: Via::Http }
}

fn submission(key: String) -> Submission {
    let name = |text| Name::parse(text).expect("a name");
    let queue = if fastrand::bool() { "a" } else { "b" };
    let lane = Lane { tenant: TenantId::default(), queue: name(queue), operation_type: name("t") };
    let spec = Spec {
        id: OperationId::fresh(),
        lane: Arc::new(lane),
        external: false,
        key: Some(Arc::from(key)),
        fingerprint: Some([7; 32]),
        created: Timestamp::MIN,
        received: Timestamp::MIN,
        input: Some(Payload::Inline(json([10, 500, 3000][fastrand::usize(..3)]))),
        priority: fastrand::i8(-2..3),
        timeout_seconds: None,
        max_attempts: 2,
        retry: None,
        labels: None,
        traceparent: None,
        submitted_by: Arc::from("tester"),
    };
    let progress = Progress::default();
    Submission { spec, last_action: None, start_at: None, expires: None, progress, opening: Opening::Waiting }
}

impl Client {
    /// A create, and now and then its repeat, its cancel and its delete; none: it was not answered well.
    async fn submit_one(&self) -> Option<()> {
        let key = format!("{:x}-{}", fastrand::u64(..), self.numbers.fetch_add(1, Ordering::Relaxed));
        let submission = submission(key);
        let submit =
            || Submit { submission: submission.clone(), id_chosen: false, actor: actor(), deposit: None };
        let made = self.tracker.submit(submit()).await.ok()?.operation;
        self.ledger.told(made.seq.0, made.version);
        match fastrand::u8(..8) {
            0 => {
                let again = self.tracker.submit(submit()).await.ok()?;
                assert!(again.replayed && again.operation.spec.id == made.spec.id, "its key names it");
                self.ledger.told(again.operation.seq.0, again.operation.version);
            }
            1 => {
                self.order(made.spec.id, Command::Cancel).await?;
            }
            2 if self.order(made.spec.id, Command::Cancel).await? => {
                self.order(made.spec.id, Command::Delete).await?;
            }
            _ => {}
        }
        Some(())
    }

    /// Whether it was carried out; one that the state refuses is an answer, too.
    async fn order(&self, id: OperationId, command: Command) -> Option<bool> {
        let order = Order { tenant: TenantId::default(), id, command, expected: None, actor: actor() };
        match self.tracker.order(order).await {
            Ok(operation) => {
                self.ledger.told(operation.seq.0, operation.version);
                Some(true)
            }
            Err(longrun::tracker::entry::Denied::Refused(_) | longrun::tracker::entry::Denied::NotFound) => {
                Some(false)
            }
            Err(_) => None,
        }
    }

    /// A claim, and reports of what it brought: most end well, some fail, some are given back, some never come.
    async fn work_once(&self, worker: &str) -> Option<()> {
        let claim = Claim {
            id: tag(&format!("c{}", fastrand::u64(..))),
            want: Want { tenant: TenantId::default(), queues: None, operation_types: None, limit: 4 },
            lease_seconds: 30,
            wait_until: Some(Instant::now() + Duration::from_millis(5)),
        };
        let (_, handed) = self.exchange(worker, Vec::new(), Some(claim)).await?;
        let mut reports = Vec::new();
        let mut versions = Vec::new();
        for handed in handed {
            let claimed = handed.claimed;
            self.ledger.told(claimed.operation.seq.0, claimed.operation.version);
            let failure = || Arc::new(Failure::new("upstream", "It did not answer."));
            let kind = match fastrand::u8(..10) {
                0 => continue,
                1 => ReportKind::Released,
                2 => ReportKind::Running,
                3 => ReportKind::Failed { failure: failure(), retryable: true, retry_after: None },
                n => ReportKind::Completed {
                    result: Some(json(if n == 4 { 3000 } else { 10 })),
                    resource_location: None,
                },
            };
            // A heartbeat is no change; whatever else it says is one.
            let changes = i64::from(!matches!(kind, ReportKind::Running));
            versions.push((claimed.operation.seq.0, claimed.operation.version + changes));
            let report = Report { kind, checkpoint: fastrand::bool().then(|| json(40)), progress: None };
            reports.push(Reported { id: claimed.operation.spec.id, token: claimed.token, report });
        }
        let (outcomes, _) = self.exchange(worker, reports, None).await?;
        for (outcome, (seq, version)) in outcomes.iter().zip(versions) {
            if let ReportOutcome::Accepted { .. } = outcome {
                self.ledger.told(seq, version);
            }
        }
        Some(())
    }

    async fn exchange(
        &self,
        worker: &str,
        reports: Vec<Reported>,
        claim: Option<Claim>,
    ) -> Option<(Vec<ReportOutcome>, Vec<longrun::tracker::Handed>)> {
        if reports.is_empty() && claim.is_none() {
            return Some((Vec::new(), Vec::new()));
        }
        let exchange = Exchange {
            address: None,
            tenant: TenantId::default(),
            worker: tag(worker),
            own: false,
            within: None,
            reports,
            claim,
        };
        let (exchanged, handed) = self.tracker.exchange(exchange).await.ok()?;
        Some((exchanged.outcomes, handed))
    }
}

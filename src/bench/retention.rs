//! Creates over minutes of whole lives, while what is over is pruned and somebody pages through everything, slowly.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::StatusCode;
use tokio::io::AsyncReadExt;
use tokio::task::JoinSet;

use super::creates::micros;
use super::lifecycles::{CONCURRENCY, REMOTE, UNDER_WAY_MAX, submitter};
use super::load::{Call, Connection, Latencies, LoadError};
use super::process::{Helper, Scratch, Server};
use super::report::Report;
use super::{Plan, lists};
use crate::server::Running;
use crate::settings::{Given, Settings};
use crate::store::clock::Machine;
use crate::store::sqlite;
use crate::tracker::{Options, Retention};

/// How long what is over is kept: so short that most of it is pruned within the run. No setting allows that.
const KEPT: Duration = Duration::from_secs(10);
/// Before the run counts, at most: by then as much is pruned as is made.
const WARM_UP_MAX: Duration = KEPT.saturating_mul(2);
/// Between two pages of the slow list.
const PAUSE: Duration = Duration::from_millis(50);
/// Between two looks at the load.
const LOOK: Duration = Duration::from_millis(5);

/// Serves over a directory and keeps what is over only so long, until standard input ends.
pub(super) async fn serve(data: &Path, seconds: u64) -> Result<(), LoadError> {
    let other = |error: &dyn std::fmt::Display| LoadError::Other(error.to_string());
    let settings = Given::default().settle().map_err(|error| other(&error))?;
    let listen = ([127, 0, 0, 1], 0).into();
    let settings = Settings { listen, data: data.to_owned(), workers: 0, ..settings };
    let (store, reader) = sqlite::open(sqlite::Options {
        directory: data.to_owned(),
        min_free_bytes: settings.min_free_bytes,
        time: Arc::new(Machine::default()),
    })
    .map_err(|error| other(&error))?;
    let kept = Duration::from_secs(seconds);
    let options = Options { retention: Retention { operations: kept, events: kept }, ..Options::default() };
    let running =
        Running::start(&settings, Box::new(store), reader, options).await.map_err(|error| other(&error))?;
    println!("http://{}", running.address);
    tokio::select! {
        () = running.tracker.failed() => Err(LoadError::Other("the store failed".to_owned())),
        _ = async { tokio::io::stdin().read_u8().await } => Ok(()),
    }
}

/// What the clients share.
#[derive(Default)]
struct Load {
    counting: AtomicBool,
    under_way: AtomicU64,
    made: AtomicU64,
    latencies: Mutex<Latencies>,
    pages: AtomicU64,
}

impl Load {
    fn took(&self, latency: Duration) {
        self.made.fetch_add(1, Ordering::Relaxed);
        if self.counting.load(Ordering::Relaxed) {
            self.latencies.lock().unwrap_or_else(PoisonError::into_inner).record(latency);
        }
    }

    /// Submitters that wait while too much is under way, and one who lists.
    fn start(self: &Arc<Self>, server: &Server, connections: usize) -> JoinSet<Result<(), LoadError>> {
        let mut clients = JoinSet::new();
        for _ in 0..connections {
            let (full, took) = (self.clone(), self.clone());
            let is_full = move || full.under_way.load(Ordering::Relaxed) > UNDER_WAY_MAX;
            clients.spawn(submitter(server.authority.clone(), REMOTE, is_full, move |it| took.took(it)));
        }
        clients.spawn(list_slowly(server.authority.clone(), self.clone()));
        clients
    }
}

/// Page after page, from the newest to the oldest, and again.
async fn list_slowly(authority: Arc<str>, load: Arc<Load>) -> Result<(), LoadError> {
    let mut connection = Connection::open(&authority).await?;
    loop {
        let mut next = Some(lists::all_pages());
        while let Some(path) = next {
            next = lists::next_link(&connection.value(StatusCode::OK, Call::get(&path)).await?);
            load.pages.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// The store's files over a while.
struct Files<'a> {
    data: &'a Path,
    longest_log: u64,
}

impl Files<'_> {
    fn bytes(&self, name: &str) -> u64 {
        std::fs::metadata(self.data.join(name)).map_or(0, |file| file.len())
    }

    fn look(&mut self) {
        self.longest_log = self.longest_log.max(self.bytes("longrun.db-wal"));
    }

    fn database(&self) -> u64 {
        self.bytes("longrun.db")
    }
}

pub(super) async fn measure(plan: &Plan) -> Result<Report, LoadError> {
    let scratch = Scratch::new(plan.scratch.as_deref())?;
    let data = scratch.0.join("data");
    let server = Server::brief(&data, KEPT)?;
    let _worker = Helper::worker(&server.url(), CONCURRENCY)?;
    let load = Arc::new(Load::default());
    let mut clients = load.start(&server, plan.connections);
    let mut watch = Connection::open(&server.authority).await?;
    let mut files = Files { data: &data, longest_log: 0 };
    let mut sizes = Vec::new();
    let parts = [(plan.span / 5).min(WARM_UP_MAX), plan.span / 2, plan.span / 2];
    for (part, span) in parts.into_iter().enumerate() {
        load.counting.store(part > 0, Ordering::Relaxed);
        let began = Instant::now();
        while began.elapsed() < span {
            let under_way = watch.queued("ready").await? + watch.queued("running").await?;
            load.under_way.store(under_way, Ordering::Relaxed);
            files.look();
            if let Some(ended) = clients.try_join_next() {
                // They go on for ever unless something is wrong.
                ended.map_err(|error| LoadError::Other(error.to_string()))??;
            }
            tokio::time::sleep(LOOK).await;
        }
        sizes.push(files.database());
    }
    clients.shutdown().await;
    let standing = watch.call(StatusCode::OK, Call::get("/v1.0/operations/$count")).await?;
    let standing: u64 = String::from_utf8_lossy(&standing).trim().parse().unwrap_or(0);
    tell(plan, &load, &sizes, files.longest_log, standing)
}

#[allow(clippy::cast_precision_loss)] // Counts and sizes of a bench are far below 2^52.
fn tell(
    plan: &Plan,
    load: &Load,
    sizes: &[u64],
    longest_log: u64,
    standing: u64,
) -> Result<Report, LoadError> {
    let (made, pages) = (load.made.load(Ordering::Relaxed), load.pages.load(Ordering::Relaxed));
    let pruned = made.saturating_sub(standing);
    if pruned == 0 || pages == 0 {
        return Err(LoadError::Other(format!(
            "{pruned} were pruned and {pages} pages listed: that is no run"
        )));
    }
    let latencies = load.latencies.lock().unwrap_or_else(PoisonError::into_inner);
    let [p50, p99, longest] = [0.5, 0.99, 1.0].map(|part| latencies.quantile(part));
    let mut report = Report::default();
    let rate = latencies.count() as f64 / plan.span.as_secs_f64();
    report.add(
        "creates, each carried out",
        rate,
        "/s",
        format!("{} in {:.0?}", latencies.count(), plan.span),
    );
    report.add("create: p50", micros(p50), "µs", "");
    report.add("create: p99", micros(p99), "µs", format!("the longest {longest:.1?}"));
    report.add("create: p99 ÷ p50", micros(p99) / micros(p50), "", "mark: at most 10");
    report.add("pruned", pruned as f64, "", format!("of {made} made; each kept for {KEPT:?}"));
    report.add("pages listed meanwhile", pages as f64, "", format!("{PAUSE:?} between two"));
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    report.add("log at its longest", megabytes(longest_log), "MB", "");
    for (when, bytes) in ["the beginning", "half-time", "the end"].iter().zip(sizes) {
        report.add(&format!("file at {when}"), megabytes(*bytes), "MB", "");
    }
    Ok(report)
}

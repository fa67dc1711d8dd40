//! Whole lives: submitted one by one, claimed, carried out by a handler that does nothing, completed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::StatusCode;
use longrun_sdk::{CancellationToken, Context, HandlerError, Worker};
use serde::de::IgnoredAny;
use tokio::io::AsyncReadExt;
use tokio::task::JoinSet;

use super::load::{Call, Connection, LoadError};
use super::process::{Helper, Scratch, Server, own_cpu};
use super::report::Report;
use super::{Plan, creates};

/// What the remote worker carries out; the server's own tasks do not know it.
pub(super) const REMOTE: &str = r#"{"operationType":"bench"}"#;
/// What the server's own tasks carry out.
const BUILT_IN: &str = r#"{"operationType":"noop"}"#;
/// Operations that a remote worker holds at a time.
pub(super) const CONCURRENCY: usize = 500;
/// Submitters stand still while so many are on their way: then nothing piles up, and the rate is that of whole lives.
pub(super) const UNDER_WAY_MAX: u64 = 1000;

/// The remote worker's process: no-ops until standard input ends.
pub(super) async fn worker(url: &str, concurrency: usize) -> Result<(), LoadError> {
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    tokio::spawn(async move {
        let _ = tokio::io::stdin().read_u8().await;
        stop.cancel();
    });
    let worker = Worker::builder(url).concurrency(concurrency).handler("bench", nothing);
    let run = async { worker.build()?.run_until(shutdown).await };
    run.await.map(drop).map_err(|error| LoadError::Other(error.to_string()))
}

async fn nothing(_: IgnoredAny, _: Context) -> Result<(), HandlerError> {
    Ok(())
}

/// Lives a second with no backlog growing, and the CPU that each costs.
pub(super) async fn balanced(plan: &Plan, in_process: bool) -> Result<Report, LoadError> {
    let mut report = Report::default();
    let scratch = Scratch::new(plan.scratch.as_deref())?;
    let lives = {
        let server = Server::serve(&scratch.0.join("lives"), if in_process { 8 } else { 0 })?;
        let worker = if in_process { None } else { Some(Helper::worker(&server.url(), CONCURRENCY)?) };
        lives(plan, &server, worker.as_ref(), if in_process { BUILT_IN } else { REMOTE }).await?
    };
    // After those: over a database that is shared the worker would carry out what these leave waiting.
    let alone = {
        let server = Server::serve(&scratch.0.join("creates"), 0)?;
        creates::against(&server, plan, || Call::post("/v1.0/operations", REMOTE)).await?
    };
    report.rate("durable creates alone", &alone);
    report.add("lifecycles", lives.rate(), "/s", format!("{} in {:.1?}", lives.completed, lives.elapsed));
    report.add("backlog grown", lives.grown_percent(), "%", "above 1 the run is void");
    report.add("lifecycles ÷ creates alone", lives.rate() / alone.rate(), "", "");
    let [of_server, of_worker, of_submitters] = lives.cpu_millis();
    let detail = format!("server {of_server:.4}, worker {of_worker:.4}, submitters {of_submitters:.4}");
    report.add("CPU a lifecycle", of_server + of_worker + of_submitters, "ms", detail);
    Ok(report)
}

/// What became of the operations that submitters made and a worker carried out at the same time.
pub(super) struct Lives {
    pub(super) completed: u64,
    /// How much more were made than completed, or the other way round.
    grown: u64,
    pub(super) elapsed: Duration,
    /// CPU of server, worker and submitters.
    cpu: [Duration; 3],
}

#[allow(clippy::cast_precision_loss)] // Counts of a bench are far below 2^52.
impl Lives {
    /// Lives a second.
    pub(super) fn rate(&self) -> f64 {
        self.completed as f64 / self.elapsed.as_secs_f64()
    }

    fn grown_percent(&self) -> f64 {
        100.0 * self.grown as f64 / self.completed.max(1) as f64
    }

    /// CPU that each life cost: of server, worker and submitters.
    pub(super) fn cpu_millis(&self) -> [f64; 3] {
        self.cpu.map(|cpu| 1e3 * cpu.as_secs_f64() / self.completed.max(1) as f64)
    }
}

/// Submits and lets a worker carry out, with no backlog growing, for the plan's span.
pub(super) async fn lives(
    plan: &Plan,
    server: &Server,
    worker: Option<&Helper>,
    body: &'static str,
) -> Result<Lives, LoadError> {
    let cpu = || [server.cpu(), worker.map_or(Duration::ZERO, Helper::cpu), own_cpu()];
    let made = Arc::new(AtomicU64::new(0));
    let done = Arc::new(AtomicU64::new(0));
    let mut submitters = JoinSet::new();
    for _ in 0..plan.connections {
        let (made, done, full) = (made.clone(), done.clone(), made.clone());
        let under_way = move || full.load(Ordering::Relaxed).saturating_sub(done.load(Ordering::Relaxed));
        let took = move |_| {
            made.fetch_add(1, Ordering::Relaxed);
        };
        let is_full = move || under_way() > UNDER_WAY_MAX;
        submitters.spawn(submitter(server.authority.clone(), body, is_full, took));
    }
    let mut watch = Connection::open(&server.authority).await?;
    let before = watch.queued("completed").await?;
    let look = async |watch: &mut Connection| {
        let completed = watch.queued("completed").await? - before;
        done.store(completed, Ordering::Relaxed);
        Ok::<_, LoadError>((completed, made.load(Ordering::Relaxed)))
    };
    let warm = Instant::now();
    while warm.elapsed() < plan.span / 5 {
        look(&mut watch).await?;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (began, cpu_before) = (Instant::now(), cpu());
    let (done_before, made_before) = look(&mut watch).await?;
    while began.elapsed() < plan.span {
        look(&mut watch).await?;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (done_after, made_after) = look(&mut watch).await?;
    let (elapsed, cpu_after) = (began.elapsed(), cpu());
    let completed = done_after - done_before;
    Ok(Lives {
        completed,
        grown: (made_after - made_before).abs_diff(completed),
        elapsed,
        cpu: std::array::from_fn(|part| cpu_after[part].saturating_sub(cpu_before[part])),
    })
}

/// Submits one after the other while not too many are under way, and tells how long each took.
pub(super) async fn submitter(
    authority: Arc<str>,
    body: &'static str,
    is_full: impl Fn() -> bool,
    took: impl Fn(Duration),
) -> Result<(), LoadError> {
    let mut connection = Connection::open(&authority).await?;
    loop {
        if is_full() {
            tokio::time::sleep(Duration::from_millis(1)).await;
            continue;
        }
        let sent = Instant::now();
        connection.call(StatusCode::CREATED, Call::post("/v1.0/operations", body)).await?;
        took(sent.elapsed());
    }
}

/// How fast one remote worker empties a backlog.
pub(super) async fn drain(plan: &Plan, waiting: usize) -> Result<Report, LoadError> {
    let mut report = Report::default();
    let scratch = Scratch::new(plan.scratch.as_deref())?;
    let server = Server::serve(&scratch.0.join("data"), 0)?;
    submit_all(&server, plan.connections, waiting, REMOTE).await?;
    let began = Instant::now();
    let _worker = Helper::worker(&server.url(), CONCURRENCY)?;
    emptied(&server, waiting).await?;
    tell_drain(&mut report, "drain", waiting, began.elapsed());
    Ok(report)
}

/// Waits until so many operations are completed.
pub(super) async fn emptied(server: &Server, waiting: usize) -> Result<(), LoadError> {
    let mut watch = Connection::open(&server.authority).await?;
    while watch.queued("completed").await? < waiting as u64 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// Adds how fast a backlog was emptied.
pub(super) fn tell_drain(report: &mut Report, name: &str, waiting: usize, elapsed: Duration) {
    #[allow(clippy::cast_precision_loss)] // Counts of a bench are far below 2^52.
    report.add(name, waiting as f64 / elapsed.as_secs_f64(), "/s", format!("{waiting} in {elapsed:.2?}"));
}

/// Submits so many, one a request.
pub(super) async fn submit_all(
    server: &Server,
    connections: usize,
    count: usize,
    body: &'static str,
) -> Result<(), LoadError> {
    let left = Arc::new(AtomicU64::new(count as u64));
    let mut clients = Vec::new();
    for _ in 0..connections {
        let mut connection = Connection::open(&server.authority).await?;
        let left = left.clone();
        clients.push(tokio::spawn(async move {
            let take = || {
                left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
            };
            while take() {
                connection.call(StatusCode::CREATED, Call::post("/v1.0/operations", body)).await?;
            }
            Ok::<_, LoadError>(())
        }));
    }
    for client in clients {
        client.await.map_err(|error| LoadError::Other(error.to_string()))??;
    }
    Ok(())
}

//! Whole lives: submitted one by one, claimed, carried out by a handler that does nothing, completed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::StatusCode;
use longrun_sdk::{CancellationToken, Context, HandlerError, Worker};
use serde::de::IgnoredAny;
use tokio::io::AsyncReadExt;

use super::load::{Call, Connection, LoadError};
use super::process::{Helper, Scratch, Server, own_cpu};
use super::report::Report;
use super::{Plan, creates};

/// What the remote worker carries out; the server's own tasks do not know it.
const REMOTE: &str = r#"{"operationType":"bench"}"#;
/// What the server's own tasks carry out.
const BUILT_IN: &str = r#"{"operationType":"noop"}"#;
/// Operations that a remote worker holds at a time.
const CONCURRENCY: usize = 500;
/// Submitters stand still while so many are on their way: then nothing piles up, and the rate is that of whole lives.
const UNDER_WAY_MAX: u64 = 1000;

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

/// CPU of the three parts so far: server, worker, submitters.
struct Parts<'a> {
    server: &'a Server,
    worker: Option<&'a Helper>,
}

impl Parts<'_> {
    fn cpu(&self) -> [Duration; 3] {
        [self.server.cpu(), self.worker.map_or(Duration::ZERO, Helper::cpu), own_cpu()]
    }
}

/// Lives a second with no backlog growing, and the CPU that each costs.
pub(super) async fn balanced(plan: &Plan, in_process: bool) -> Result<Report, LoadError> {
    let mut report = Report::default();
    let scratch = Scratch::new(plan.scratch.as_deref())?;
    let alone = {
        let server = Server::serve(&scratch.0.join("creates"), 0)?;
        creates::against(&server, plan, || Call::post("/v1.0/operations", REMOTE)).await?
    };
    report.rate("durable creates alone", &alone);

    let server = Server::serve(&scratch.0.join("lives"), if in_process { 8 } else { 0 })?;
    let url = format!("http://{}", server.authority);
    let worker = if in_process { None } else { Some(Server::worker(&url, CONCURRENCY)?) };
    let parts = Parts { server: &server, worker: worker.as_ref() };
    let body = if in_process { BUILT_IN } else { REMOTE };

    let made = Arc::new(AtomicU64::new(0));
    let done = Arc::new(AtomicU64::new(0));
    let submitters: Vec<_> = (0..plan.connections)
        .map(|_| submitter(server.authority.clone(), body, made.clone(), done.clone()))
        .collect();
    let submitters: Vec<_> = submitters.into_iter().map(tokio::spawn).collect();
    let mut watch = Connection::open(&server.authority).await?;
    let look = async |watch: &mut Connection| {
        let completed = watch.queued("completed").await?;
        done.store(completed, Ordering::Relaxed);
        Ok::<_, LoadError>((completed, made.load(Ordering::Relaxed)))
    };
    let warm = Instant::now();
    while warm.elapsed() < plan.span / 5 {
        look(&mut watch).await?;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (began, cpu_before) = (Instant::now(), parts.cpu());
    let (done_before, made_before) = look(&mut watch).await?;
    while began.elapsed() < plan.span {
        look(&mut watch).await?;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (done_after, made_after) = look(&mut watch).await?;
    let (elapsed, cpu_after) = (began.elapsed(), parts.cpu());
    for submitter in submitters {
        submitter.abort();
    }
    let lives = done_after - done_before;
    let grown = (made_after - made_before).abs_diff(lives);
    tell(&mut report, lives, grown, elapsed, [cpu_before, cpu_after], alone.rate());
    Ok(report)
}

#[allow(clippy::cast_precision_loss)] // Counts of a bench are far below 2^52.
fn tell(
    report: &mut Report,
    lives: u64,
    grown: u64,
    elapsed: Duration,
    [before, after]: [[Duration; 3]; 2],
    alone: f64,
) {
    let rate = lives as f64 / elapsed.as_secs_f64();
    report.add("lifecycles", rate, "/s", format!("{lives} in {elapsed:.1?}"));
    report.add("backlog grown", 100.0 * grown as f64 / lives.max(1) as f64, "%", "above 1 the run is void");
    report.add("lifecycles ÷ creates alone", rate / alone, "", "");
    let each =
        |part: usize| 1e3 * after[part].saturating_sub(before[part]).as_secs_f64() / lives.max(1) as f64;
    let detail = format!("server {:.4}, worker {:.4}, submitters {:.4}", each(0), each(1), each(2));
    report.add("CPU a lifecycle", each(0) + each(1) + each(2), "ms", detail);
}

async fn submitter(
    authority: Arc<str>,
    body: &'static str,
    made: Arc<AtomicU64>,
    done: Arc<AtomicU64>,
) -> Result<(), LoadError> {
    let mut connection = Connection::open(&authority).await?;
    loop {
        if made.load(Ordering::Relaxed).saturating_sub(done.load(Ordering::Relaxed)) > UNDER_WAY_MAX {
            tokio::time::sleep(Duration::from_millis(1)).await;
            continue;
        }
        connection.call(StatusCode::CREATED, Call::post("/v1.0/operations", body)).await?;
        made.fetch_add(1, Ordering::Relaxed);
    }
}

/// How fast one remote worker empties a backlog.
pub(super) async fn drain(plan: &Plan, waiting: usize) -> Result<Report, LoadError> {
    let mut report = Report::default();
    let scratch = Scratch::new(plan.scratch.as_deref())?;
    let server = Server::serve(&scratch.0.join("data"), 0)?;
    submit_all(&server, plan.connections, waiting, REMOTE).await?;
    let mut watch = Connection::open(&server.authority).await?;
    let began = Instant::now();
    let _worker = Server::worker(&format!("http://{}", server.authority), CONCURRENCY)?;
    let waiting = waiting as u64;
    while watch.queued("completed").await? < waiting {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let elapsed = began.elapsed();
    #[allow(clippy::cast_precision_loss)] // Counts of a bench are far below 2^52.
    report.add("drain", waiting as f64 / elapsed.as_secs_f64(), "/s", format!("{waiting} in {elapsed:.2?}"));
    Ok(report)
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

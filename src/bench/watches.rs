//! What watchers cost: the memory of those to whom nothing happens, and from a change to whoever watches.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Plan;
use super::creates::{self, micros};
use super::load::{Call, Connection, Latencies, LoadError};
use super::process::{Scratch, Server};
use super::report::Report;

/// Carried out elsewhere: each PATCH is an event, and nothing else is.
const EXTERNAL: &str = r#"{"status":"Running"}"#;
/// Changes that are measured, one after the other.
const CHANGES: usize = 1000;
/// Watchers of one operation that all hear of each change.
const CROWD: usize = 1_000;
/// One watcher in so many does not read.
const ONE_DEAF_IN: usize = 100;
/// Watchers of everything while operations are created.
const BESIDE: usize = 8;
/// How far a watcher may be behind before it has missed something.
const BEHIND_MAX: Duration = Duration::from_secs(30);
/// What each event has exactly once: line ends within its data begin lines of data.
const MARK: &[u8] = b"\nevent: ";

/// A watcher, who counts events.
struct Watcher {
    body: Incoming,
    /// The end of what was read, as long as it may be the beginning of a mark.
    tail: Vec<u8>,
    /// Closed when dropped.
    _connection: Connection,
}

impl Watcher {
    async fn open(authority: &Arc<str>, path: &str) -> Result<Self, LoadError> {
        let mut connection = Connection::open(authority).await?;
        let body = connection.begin(StatusCode::OK, Call::get(path)).await?;
        Ok(Self { body, tail: Vec::new(), _connection: connection })
    }

    /// Waits for events; how many came.
    async fn next(&mut self) -> Result<u64, LoadError> {
        loop {
            let Some(frame) = self.body.frame().await else {
                return Err(LoadError::Other("a stream of events has ended".to_owned()));
            };
            self.tail.extend_from_slice(&frame?.into_data().unwrap_or_default());
            let count = self.tail.windows(MARK.len()).filter(|window| *window == MARK).count();
            self.tail.drain(..self.tail.len().saturating_sub(MARK.len() - 1));
            if count > 0 {
                return Ok(count as u64);
            }
        }
    }
}

fn change(path: &str, n: usize) -> Call {
    let body = format!(r#"{{"percentComplete":{}}}"#, n % 100);
    Call { method: Method::PATCH, ..Call::post(path, body) }
}

pub(super) async fn measure(plan: &Plan, watchers: usize) -> Result<Report, LoadError> {
    let mut report = Report::default();
    let scratch = Scratch::new(plan.scratch.as_deref())?;
    let server = Server::serve(&scratch.0.join("data"), 0)?;
    let mut connection = Connection::open(&server.authority).await?;
    let mut paths = Vec::with_capacity(watchers);
    for _ in 0..watchers.max(1) {
        paths.push(connection.submit(EXTERNAL).await?);
    }
    let idle = idle(&server, &paths, &mut report).await?;
    let detail = format!("beside {watchers} idle watchers");
    changes(&server, &paths[0], &detail, &mut report).await?;
    deaf(&server, &paths[0], watchers / ONE_DEAF_IN, &mut report).await?;
    drop(idle);
    crowd(&server, &paths[0], &mut report).await?;
    beside(&server, plan, &mut report).await?;
    Ok(report)
}

/// Each watches an operation of its own, to which nothing happens.
async fn idle(server: &Server, paths: &[String], report: &mut Report) -> Result<Vec<Watcher>, LoadError> {
    let before = server.resident_bytes();
    let mut watchers = Vec::with_capacity(paths.len());
    let mut firsts = Latencies::default();
    for path in paths {
        let began = Instant::now();
        let mut watcher = Watcher::open(&server.authority, &format!("{path}/events")).await?;
        watcher.next().await?;
        firsts.record(began.elapsed());
        watchers.push(watcher);
    }
    let [p50, p99] = [0.5, 0.99].map(|part| firsts.quantile(part));
    report.add("connect → snapshot", micros(p50), "µs", format!("p50; p99 {p99:.0?}"));
    let grown = server.resident_bytes().saturating_sub(before);
    #[allow(clippy::cast_precision_loss)] // Bytes of memory are far below 2^52.
    let each = grown as f64 / 1024.0 / paths.len() as f64;
    report.add("memory an idle watcher", each, "KiB", format!("{} of them, HTTP/1.1", paths.len()));
    Ok(watchers)
}

/// From a change to its watcher.
async fn changes(server: &Server, path: &str, beside: &str, report: &mut Report) -> Result<(), LoadError> {
    let mut watcher = Watcher::open(&server.authority, &format!("{path}/events")).await?;
    watcher.next().await?;
    let mut connection = Connection::open(&server.authority).await?;
    let (mut answered, mut heard) = (Latencies::default(), Latencies::default());
    for n in 0..CHANGES {
        let began = Instant::now();
        let (answer, event) = tokio::join!(
            async { connection.call(StatusCode::OK, change(path, n)).await.map(|_| began.elapsed()) },
            async { watcher.next().await.map(|_| began.elapsed()) },
        );
        answered.record(answer?);
        heard.record(event?);
    }
    let [p50, p99] = [0.5, 0.99].map(|part| heard.quantile(part));
    report.add("change → its watcher", micros(p50), "µs", format!("p50; p99 {p99:.0?}; {beside}"));
    let answer = answered.quantile(0.5);
    report.add(
        "÷ change → its answer",
        p50.as_secs_f64() / answer.as_secs_f64(),
        "",
        format!("{answer:.0?}"),
    );
    Ok(())
}

/// The same beside watchers of everything who do not read, and what those cost.
async fn deaf(server: &Server, path: &str, count: usize, report: &mut Report) -> Result<(), LoadError> {
    let mut watchers = Vec::with_capacity(count);
    for _ in 0..count {
        watchers.push(Watcher::open(&server.authority, "/v1.0/events").await?);
    }
    let before = server.resident_bytes();
    changes(server, path, &format!("and {count} who do not read"), report).await?;
    let grown = server.resident_bytes().saturating_sub(before);
    #[allow(clippy::cast_precision_loss)] // Bytes of memory are far below 2^52.
    report.add("memory grown by those", grown as f64 / 1024.0 / 1024.0, "MiB", "");
    Ok(())
}

/// From a change to the last of many.
async fn crowd(server: &Server, path: &str, report: &mut Report) -> Result<(), LoadError> {
    let mut watchers = Vec::with_capacity(CROWD);
    for _ in 0..CROWD {
        let mut watcher = Watcher::open(&server.authority, &format!("{path}/events")).await?;
        watcher.next().await?;
        watchers.push(watcher);
    }
    let mut connection = Connection::open(&server.authority).await?;
    let mut last = Latencies::default();
    for n in 0..CHANGES / 4 {
        let began = Instant::now();
        connection.call(StatusCode::OK, change(path, n)).await?;
        for watcher in &mut watchers {
            watcher.next().await?;
        }
        last.record(began.elapsed());
    }
    let [p50, p99] = [0.5, 0.99].map(|part| last.quantile(part));
    report.add(
        "change → the last watcher",
        micros(p50),
        "µs",
        format!("p50 of {CROWD} watchers; p99 {p99:.0?}"),
    );
    Ok(())
}

/// Creates while everything is watched ÷ creates alone; every watcher has to be told of each.
async fn beside(server: &Server, plan: &Plan, report: &mut Report) -> Result<(), LoadError> {
    let alone = creates::against(server, plan, creates::create).await?;
    report.rate("durable creates alone", &alone);
    let mut connection = Connection::open(&server.authority).await?;
    let before = connection.queued("ready").await?;
    let (sender, made) = watch::channel(None);
    let mut watchers = JoinSet::new();
    for _ in 0..BESIDE {
        let watcher = Watcher::open(&server.authority, "/v1.0/events").await?;
        watchers.spawn(until_told(watcher, made.clone()));
    }
    let watched = creates::against(server, plan, creates::create).await?;
    report.rate("durable creates, watched", &watched);
    let over = Instant::now();
    sender.send_replace(Some(connection.queued("ready").await? - before));
    while let Some(told) = tokio::time::timeout(BEHIND_MAX, watchers.join_next())
        .await
        .map_err(|_| LoadError::Other("a watcher was not told of every create".to_owned()))?
    {
        told.map_err(|error| LoadError::Other(error.to_string()))??;
    }
    #[allow(clippy::cast_precision_loss)] // Counts of a bench are far below 2^52.
    let rate = watched.rate() * BESIDE as f64;
    let behind = over.elapsed();
    report.add("events told", rate, "/s", format!("to {BESIDE} watchers, the last {behind:.0?} behind"));
    report.add("creates watched ÷ alone", watched.rate() / alone.rate(), "", "");
    Ok(())
}

/// Counts until as many events were told as were made.
async fn until_told(mut watcher: Watcher, mut made: watch::Receiver<Option<u64>>) -> Result<(), LoadError> {
    let mut told = 0;
    while made.borrow_and_update().is_none_or(|made| told < made) {
        tokio::select! {
            count = watcher.next() => told += count?,
            _ = made.changed() => {}
        }
    }
    Ok(())
}

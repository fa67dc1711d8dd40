//! From a create to the start of its handler, while there is nothing else to do.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use longrun_sdk::{CancellationToken, Context, HandlerError, Worker};
use serde::de::IgnoredAny;
use tokio::sync::mpsc;

use super::Plan;
use super::creates::{BODY, micros};
use super::disk;
use super::load::{Call, Connection, Latencies, LoadError};
use super::process::{Scratch, Server};
use super::report::Report;

/// How many are measured, one after the other.
const TIMES: usize = 1000;

pub(super) async fn measure(plan: &Plan) -> Result<Report, LoadError> {
    let mut report = Report::default();
    let scratch = Scratch::new(plan.scratch.as_deref())?;
    let sync = disk::append_and_sync(&scratch.0, TIMES)?.quantile(0.5);
    let null = Server::yardstick("null")?;
    let create = Call::post("/v1.0/operations", BODY);
    let null_create = back_to_back(&null.authority, StatusCode::CREATED, &create).await?.quantile(0.5);
    let null_get = back_to_back(&null.authority, StatusCode::OK, &Call::get("/healthz")).await?.quantile(0.5);
    report.add("append of 4 KiB + sync", micros(sync), "µs", "p50");
    report.add("null create", micros(null_create), "µs", "p50, one connection");
    report.add("null GET", micros(null_get), "µs", "p50, one connection");

    let server = Server::serve(&scratch.0.join("data"), 0)?;
    let starts = starts(&server).await?;
    let [p50, p99] = [0.5, 0.99].map(|part| starts.quantile(part));
    report.add("create → remote handler starts", micros(p50), "µs", format!("p50; p99 {p99:.0?}"));
    let floor = sync + null_create + null_get;
    report.add("÷ (sync + null create + null GET)", p50.as_secs_f64() / floor.as_secs_f64(), "", "");
    Ok(report)
}

async fn back_to_back(authority: &Arc<str>, status: StatusCode, call: &Call) -> Result<Latencies, LoadError> {
    let mut connection = Connection::open(authority).await?;
    let mut latencies = Latencies::default();
    for _ in 0..TIMES {
        let sent = Instant::now();
        connection.call(status, call.clone()).await?;
        latencies.record(sent.elapsed());
    }
    Ok(latencies)
}

async fn starts(server: &Server) -> Result<Latencies, LoadError> {
    let (started, mut seen) = mpsc::unbounded_channel();
    let handler = move |_: IgnoredAny, _: Context| {
        let _ = started.send(Instant::now());
        async { Ok::<_, HandlerError>(()) }
    };
    let shutdown = CancellationToken::new();
    let worker = Worker::builder(format!("http://{}", server.authority)).handler("start", handler).build();
    let worker = worker.map_err(|error| LoadError::Other(error.to_string()))?;
    let running = tokio::spawn(worker.run_until(shutdown.clone()));
    let mut connection = Connection::open(&server.authority).await?;
    let mut latencies = Latencies::default();
    for _ in 0..TIMES {
        let sent = Instant::now();
        connection
            .call(StatusCode::CREATED, Call::post("/v1.0/operations", r#"{"operationType":"start"}"#))
            .await?;
        let started = seen.recv().await.ok_or_else(|| LoadError::Other("the worker has ended".to_owned()))?;
        latencies.record(started.duration_since(sent));
        // Until the worker has reported and waits again: otherwise the next one would find it busy.
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    shutdown.cancel();
    let _ = running.await;
    Ok(latencies)
}

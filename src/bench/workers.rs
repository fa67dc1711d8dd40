//! The SDKs beside one another: the scenario program of each language as the one remote worker of a server.

use std::time::{Duration, Instant};

use http::StatusCode;

use super::Plan;
use super::creates::micros;
use super::lifecycles::{CONCURRENCY, emptied, lives, submit_all, tell_drain};
use super::load::{Call, Connection, Latencies, LoadError};
use super::process::{Helper, Scratch, Server};
use super::report::Report;

/// What the programs return as it came.
const BODY: &str = r#"{"operationType":"complete","input":{"page":1}}"#;
/// How many are measured alone, one after the other.
const TIMES: usize = 300;

/// Those of this repository, from its root.
pub(super) const OURS: [&str; 3] = [
    "rust=target/release/examples/scenarios",
    "python=target/python/bin/python workers/python/scenarios/worker.py",
    "typescript=node workers/typescript/scenarios/worker.mjs",
];

/// A worker program by its name, as `NAME=COMMAND`.
#[derive(Debug, Clone)]
pub(super) struct Program {
    name: String,
    command: String,
}

impl std::str::FromStr for Program {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, command)) if !name.is_empty() && !command.trim().is_empty() => {
                Ok(Self { name: name.to_owned(), command: command.to_owned() })
            }
            _ => Err("expected NAME=COMMAND".to_owned()),
        }
    }
}

pub(super) async fn measure(plan: &Plan, programs: &[Program], waiting: usize) -> Result<Report, LoadError> {
    let mut report = Report::default();
    for Program { name, command } in programs {
        let scratch = Scratch::new(plan.scratch.as_deref())?;
        let server = Server::serve(&scratch.0.join("data"), 0)?;
        submit_all(&server, plan.connections, waiting, BODY).await?;
        let worker = Helper::program(command, &server.url(), CONCURRENCY)?;
        let began = Instant::now();
        emptied(&server, waiting).await?;
        tell_drain(&mut report, &format!("{name}: drain"), waiting, began.elapsed());

        let lives = lives(plan, &server, Some(&worker), BODY).await?;
        let [_, of_worker, _] = lives.cpu_millis();
        let detail =
            format!("{} in {:.1?}; {of_worker:.3} ms of its CPU each", lives.completed, lives.elapsed);
        report.add(&format!("{name}: lifecycles"), lives.rate(), "/s", detail);

        let alone = alone(&server).await?;
        let [p50, p99] = [0.5, 0.99].map(|part| alone.quantile(part));
        report.add(&format!("{name}: create → completed"), micros(p50), "µs", format!("p50; p99 {p99:.0?}"));
    }
    Ok(report)
}

/// From a create to the answer that it is completed, with nothing else to do.
async fn alone(server: &Server) -> Result<Latencies, LoadError> {
    let mut connection = Connection::open(&server.authority).await?;
    while connection.queued("running").await? + connection.queued("ready").await? > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut latencies = Latencies::default();
    for _ in 0..TIMES {
        let mut call = Call::post("/v1.0/operations", BODY);
        call.headers.push(("prefer", "wait=30".to_owned()));
        let sent = Instant::now();
        let ended = connection.value(StatusCode::CREATED, call).await?;
        latencies.record(sent.elapsed());
        if ended["status"] != "Completed" {
            return Err(LoadError::Other(format!("the worker did not complete it: {ended}")));
        }
        // Until the worker has heard the answer and waits again: otherwise the next one would find it busy.
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    Ok(latencies)
}

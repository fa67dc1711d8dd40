//! A running server, by its wire.

use std::time::Duration;

use bytesize::ByteSize;
use longrun_sdk::wire::{Queue, WorkerInfo};
use longrun_sdk::{Client, ClientError};

use super::{Findings, Level, span};
use crate::cli::connection::Connection;
use crate::cli::exit::{Exit, Failure};

const QUEUES: &str = "queues";
const STORE: &str = "store";
/// What waits for so long although nobody has taken it is stuck; although workers ask, they do not keep up.
const LEFT_SECONDS: u64 = 120;
const SLOW_SECONDS: u64 = 600;
/// Bytes that should be free on a disk.
const FREE_BYTES: f64 = 1_073_741_824.0;
/// Seconds that a snapshot may be held in a database before it is told of.
const SNAPSHOT_SECONDS: f64 = 600.0;
const DEPOSIT_SECONDS: f64 = 60.0;

/// Looks at it. Fails where it cannot be reached.
pub(super) async fn look(connection: &Connection, findings: &mut Findings) -> Result<(), Failure> {
    let client = connection.client()?;
    match client.health().await {
        Ok(()) => findings.ok("server", "it is ready"),
        Err(ClientError::Refused { message, .. }) => {
            let advice = "see its log; while it starts or stops, ask again";
            findings.bad(Level::Problem, "server", format!("it may not be sent work: {message}"), advice);
        }
        Err(error) => return Err(connection.failure(&error)),
    }
    match queues(&client).await {
        Ok((queues, workers)) => look_at_queues(&queues, &workers, findings),
        Err(error) => unknown(connection, &error, QUEUES, "Operation.Manage", findings)?,
    }
    match client.metrics().await {
        Ok(text) => look_at_metrics(&text, findings),
        Err(error) => unknown(connection, &error, STORE, "Server.Manage", findings)?,
    }
    Ok(())
}

async fn queues(client: &Client) -> Result<(Vec<Queue>, Vec<WorkerInfo>), ClientError> {
    Ok((client.queues().await?, client.workers().await?))
}

fn unknown(
    connection: &Connection,
    error: &ClientError,
    about: &'static str,
    scope: &str,
    findings: &mut Findings,
) -> Result<(), Failure> {
    let failure = connection.failure(error);
    if failure.exit != Exit::NotAllowed {
        return Err(failure);
    }
    let advice = format!("give a token with the scope {scope}");
    findings.bad(Level::Unknown, about, "the server does not show them to this token", advice);
    Ok(())
}

fn look_at_queues(queues: &[Queue], workers: &[WorkerInfo], findings: &mut Findings) {
    let before = findings.0.len();
    for queue in queues.iter().filter(|queue| queue.ready > 0) {
        let name = &queue.name;
        let waits = span(Duration::from_secs(queue.oldest_ready_seconds));
        let found = format!("{} wait in queue {name}, the oldest for {waits}", queue.ready);
        let asks = |worker: &WorkerInfo| worker.queues.as_ref().is_none_or(|queues| queues.contains(name));
        let asked = workers.iter().any(asks);
        let advice = if queue.oldest_ready_seconds < LEFT_SECONDS {
            continue;
        } else if queue.paused {
            format!("the queue is paused: `longrun queues resume {name}`")
        } else if !asked {
            "no worker asks for them: start one".to_owned()
        } else if queue.max_running.is_some_and(|most| queue.running >= u64::from(most)) {
            format!("as many run as may: `longrun queues limit {name} --max-running N`")
        } else if queue.oldest_ready_seconds < SLOW_SECONDS {
            continue;
        } else {
            "workers do not keep up, or take other types: start more (`longrun workers` shows them)"
                .to_owned()
        };
        findings.bad(Level::Warning, QUEUES, found, advice);
    }
    if findings.0.len() == before {
        findings.ok(QUEUES, format!("nothing waits for long; {} workers were here lately", workers.len()));
    }
}

fn look_at_metrics(text: &str, findings: &mut Findings) {
    let told = |name: &str| value(text, name);
    if told("longrun_store_up") == Some(0.0) {
        let advice = "see the server's log, and that of its database";
        findings.bad(Level::Problem, STORE, "the store does not answer the server", advice);
    } else {
        findings.ok(STORE, "the store answers");
    }
    if told("longrun_clock_follows_wall_clock") == Some(0.0) {
        let found = "the machine's clock has jumped, and the server does not believe it";
        findings.bad(Level::Problem, "clock", found, "set the clock; a jump ahead is believed after an hour");
    } else {
        findings.ok("clock", "the server follows its machine's clock");
    }
    if let Some(free) = told("longrun_disk_free_bytes") {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // A number of bytes.
        let found = format!("{} are free on the store's disk", ByteSize(free as u64));
        if free < FREE_BYTES {
            findings.bad(Level::Warning, "disk", found, "make room, or shorten `retain`");
        } else {
            findings.ok("disk", found);
        }
    }
    if told("longrun_listener_up") == Some(0.0) {
        let advice = "nodes look every second meanwhile; behind a pooler start them with --notify off";
        findings.bad(Level::Warning, "database", "notifications of the database do not arrive", advice);
    }
    if let Some(seconds) = told("longrun_oldest_snapshot_seconds").filter(|age| *age > SNAPSHOT_SECONDS) {
        let found =
            format!("a transaction has held a snapshot for {}", span(Duration::from_secs_f64(seconds)));
        let advice = "it keeps dead rows from being removed: end it (pg_stat_activity tells whose it is)";
        findings.bad(Level::Warning, "database", found, advice);
    }
    if let Some(seconds) = told("longrun_oldest_deposit_seconds").filter(|age| *age > DEPOSIT_SECONDS) {
        let found = format!("what users handed in has waited for {}", span(Duration::from_secs_f64(seconds)));
        findings.bad(Level::Warning, "database", found, "see the logs of the nodes");
    }
}

/// The value of a series without labels.
fn value(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    line.split(' ').next()?.parse().ok()
}

//! What workers cost that have nothing to do, and how many of them one new operation wakes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::StatusCode;
use tokio::task::JoinSet;

use super::Plan;
use super::load::{Call, Connection, LoadError};
use super::process::{Scratch, Server};
use super::report::Report;

/// Seconds that a claim waits, each of them another number, so that they do not come back all at once.
const WAITS: std::ops::RangeInclusive<u32> = 10..=20;
/// At least so long is measured: every claim comes back meanwhile.
const SPAN_MIN: Duration = Duration::from_secs(20);
/// Operations that are submitted one by one.
const OPERATIONS: u64 = 100;

/// What came of the claims.
#[derive(Debug, Default)]
struct Answers {
    served: AtomicU64,
    empty: AtomicU64,
}

pub(super) async fn measure(plan: &Plan, workers: usize) -> Result<Report, LoadError> {
    let mut report = Report::default();
    let scratch = Scratch::new(plan.scratch.as_deref())?;
    let server = Server::serve(&scratch.0.join("data"), 0)?;
    let answers = Arc::new(Answers::default());
    let mut idle = JoinSet::new();
    for n in 0..workers {
        let connection = Connection::open(&server.authority).await?;
        idle.spawn(wait(connection, n, Arc::clone(&answers)));
    }
    // Until all of them wait.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (began, before) = (Instant::now(), server.cpu());
    tokio::time::sleep(plan.span.max(SPAN_MIN)).await;
    let share = server.cpu().saturating_sub(before).as_secs_f64() / began.elapsed().as_secs_f64();
    let again = answers.empty.load(Ordering::Relaxed);
    report.add(
        "CPU of the server",
        share * 100.0,
        "% of a core",
        format!("{workers} waiting, {again} claims again"),
    );

    let mut connection = Connection::open(&server.authority).await?;
    let before = answers.empty.load(Ordering::Relaxed);
    for _ in 0..OPERATIONS {
        let submitted = answers.served.load(Ordering::Relaxed) + 1;
        connection.submit("{}").await?;
        while answers.served.load(Ordering::Relaxed) < submitted {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    let empty = answers.empty.load(Ordering::Relaxed) - before;
    let detail =
        format!("{OPERATIONS} one by one; {empty} claims had waited in vain for their time meanwhile");
    #[allow(clippy::cast_precision_loss)] // A few hundred.
    let each = answers.served.load(Ordering::Relaxed) as f64 / OPERATIONS as f64;
    report.add("claims served an operation", each, "", detail);
    match idle.try_join_next() {
        Some(Ok(Err(error))) => Err(error),
        _ => Ok(report),
    }
}

/// One worker: asks, waits, and asks again.
async fn wait(mut connection: Connection, worker: usize, answers: Arc<Answers>) -> Result<(), LoadError> {
    for claim in 0.. {
        let seconds = fastrand::u32(WAITS);
        let call = format!(
            r#"{{"workerId":"idle-{worker}","claim":{{"id":"{claim}","operationTypes":["noop"],"waitSeconds":{seconds}}}}}"#
        );
        let answer = connection.value(StatusCode::OK, Call::post("/v1.0/work", call)).await?;
        let served = answer["operations"].as_array().is_some_and(|operations| !operations.is_empty());
        let count = if served { &answers.served } else { &answers.empty };
        count.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

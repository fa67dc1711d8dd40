//! The server's own worker tasks: the SDK's worker runtime over an exchange that calls the tracker instead of a network.

mod exchange;

use std::time::Duration;

use longrun_sdk::handlers::{noop, sleep};
use longrun_sdk::{CancellationToken, Worker, WorkerError};

use crate::operation::TenantId;
use crate::tracker::Tracker;
use exchange::InProcess;

/// Carries out the built-in operation types of one tenant, in every queue, `slots` at a time, until `shutdown` fires;
/// then lets what runs end within `grace` and gives the rest back.
pub async fn run(
    tracker: Tracker,
    tenant: TenantId,
    slots: usize,
    grace: Duration,
    shutdown: CancellationToken,
) -> Result<(), WorkerError> {
    let worker = Worker::builder(InProcess::new(tracker, tenant))
        .worker_id(format!("server:{}:{}", std::process::id(), fastrand::u32(..)))
        .concurrency(slots)
        .grace(grace)
        .handler("noop", noop)
        .handler("sleep", sleep)
        .build()?;
    worker.run_until(shutdown).await?;
    Ok(())
}

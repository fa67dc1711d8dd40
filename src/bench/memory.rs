//! Memory that a server holds ten seconds after many bare submits.

use std::time::Duration;

use super::Plan;
use super::lifecycles::submit_all;
use super::load::LoadError;
use super::process::{Scratch, Server};
use super::report::Report;

pub(super) async fn measure(plan: &Plan, waiting: usize) -> Result<Report, LoadError> {
    let mut report = Report::default();
    let scratch = Scratch::new(plan.scratch.as_deref())?;
    let server = Server::serve(&scratch.0.join("data"), 0)?;
    submit_all(&server, plan.connections, waiting, "{}").await?;
    tokio::time::sleep(Duration::from_secs(10)).await;
    #[allow(clippy::cast_precision_loss)] // Bytes of memory are far below 2^52.
    let megabytes = server.resident_bytes() as f64 / 1e6;
    report.add("resident memory", megabytes, "MB", format!("10 s after {waiting} submits"));
    Ok(report)
}

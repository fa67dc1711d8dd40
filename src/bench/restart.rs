//! From the start of a server to its readiness, over a store of all statuses.

use super::Plan;
use super::generate::{self, Stage, Wish};
use super::load::{Latencies, LoadError};
use super::process::{Scratch, Server};
use super::report::Report;

/// Starts that are measured.
const TIMES: usize = 5;

pub(super) fn measure(plan: &Plan, operations: usize) -> Result<Report, LoadError> {
    let mut report = Report::default();
    let scratch = Scratch::new(plan.scratch.as_deref())?;
    let data = scratch.0.join("data");
    {
        let (mut store, _) = generate::open(&data)?;
        // Few run at any time; the others are spread evenly.
        let stage = |n: usize| match n % 100 {
            0 => Stage::Running,
            1..=33 => Stage::Waiting,
            34..=66 => Stage::Completed,
            _ => Stage::Failed,
        };
        generate::fill(&mut store, (0..operations).map(|n| Wish { stage: stage(n), ..Wish::default() }))?;
    }
    let mut latencies = Latencies::default();
    for _ in 0..TIMES {
        // Killed, as after a crash.
        let server = Server::serve(&data, 0)?;
        latencies.record(server.ready_after);
        server.kill();
    }
    let seconds = latencies.quantile(0.5).as_secs_f64();
    let worst = latencies.quantile(1.0);
    report.add(
        "restart to ready",
        seconds,
        "s",
        format!("p50 of {TIMES} over {operations}; worst {worst:.2?}"),
    );
    Ok(report)
}

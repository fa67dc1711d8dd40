//! Durable creates a second ÷ creates of the null server, one per request.

use std::sync::Arc;

use http::StatusCode;

use super::load::{Call, Connection, LoadError, Measured, closed_loop};
use super::process::{Scratch, Server};
use super::report::Report;
use super::{Plan, disk};

/// 230 bytes, as an API would send them.
pub(super) const BODY: &str = r##"{"@odata.type":"#microsoft.graph.operation","queue":"bench","operationType":"thumbnail","input":{"source":"https://example.com/pictures/0123456789.jpg","width":320,"height":240,"format":"webp"},"labels":{"customer":"c-2468","app":"a"}}"##;

pub(super) fn create() -> Call {
    Call::post("/v1.0/operations", BODY)
}

fn keyed() -> Call {
    let key = format!("bench-{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
    Call { headers: vec![("idempotency-key", key)], ..create() }
}

/// Measures creates against one server.
pub(super) async fn against(server: &Server, plan: &Plan, next: fn() -> Call) -> Result<Measured, LoadError> {
    closed_loop(&server.authority, plan.connections, plan.span, StatusCode::CREATED, next).await
}

/// Turns and commits of a server so far.
pub(super) async fn commits(authority: &Arc<str>) -> Result<u64, LoadError> {
    let mut connection = Connection::open(authority).await?;
    let readiness = connection.value(StatusCode::OK, Call::get("/readyz")).await?;
    Ok(readiness["commits"].as_u64().unwrap_or(0))
}

pub(super) async fn measure(plan: &Plan) -> Result<Report, LoadError> {
    let mut report = Report::default();
    let scratch = Scratch::new(plan.scratch.as_deref())?;
    let syncs = disk::append_and_sync(&scratch.0, 500)?;
    report.add("append of 4 KiB + sync", micros(syncs.quantile(0.5)), "µs", "p50");

    let plain_server = Server::yardstick("axum")?;
    let ten_lines = against(&plain_server, plan, create).await?;
    report.rate("ten lines of axum", &ten_lines);
    let null_server = Server::yardstick("null")?;
    let null = against(&null_server, plan, create).await?;
    report.rate("null creates", &null);
    let null_keyed = against(&null_server, plan, keyed).await?;
    report.rate("null creates with a key", &null_keyed);

    let server = Server::serve(&scratch.0.join("data"), 0)?;
    let before = commits(&server.authority).await?;
    let durable = against(&server, plan, create).await?;
    let carried = commits(&server.authority).await? - before;
    report.rate("durable creates", &durable);
    let with_key = against(&server, plan, keyed).await?;
    report.rate("durable creates with a key", &with_key);
    let null_again = against(&null_server, plan, create).await?;
    report.rate("null creates, again", &null_again);
    // What a run leaves behind slows its end: both are measured at both ends.
    let ten_lines_again = against(&plain_server, plan, create).await?;
    report.rate("ten lines of axum, again", &ten_lines_again);

    let null_rate = f64::midpoint(null.rate(), null_again.rate());
    report.add("durable ÷ null", durable.rate() / null_rate, "", "");
    report.add("with a key ÷ null with a key", with_key.rate() / null_keyed.rate(), "", "");
    let plain_rate = f64::midpoint(ten_lines.rate(), ten_lines_again.rate());
    report.add("null ÷ ten lines of axum", null_rate / plain_rate, "", "below 0.85 the run is void");
    #[allow(clippy::cast_precision_loss)] // Counts of a bench are far below 2^52.
    // The warm-up of a fifth commits, too.
    let batch = durable.latencies.count() as f64 * 1.2 / carried.max(1) as f64;
    report.add("creates a sync", batch, "", "about, by the server's counter of commits");
    lone_create(plan, &server, &mut report).await?;
    Ok(report)
}

/// One connection, back to back: a create without a sync would be a lie.
async fn lone_create(plan: &Plan, server: &Server, report: &mut Report) -> Result<(), LoadError> {
    let alone = Plan { connections: 1, ..plan.clone() };
    let before = commits(&server.authority).await?;
    let measured = against(server, &alone, create).await?;
    let carried = commits(&server.authority).await? - before;
    if carried < measured.latencies.count() {
        let message = format!("{} lone creates were carried by {carried} syncs", measured.latencies.count());
        return Err(LoadError::Other(message));
    }
    report.rate("durable creates, one connection", &measured);
    Ok(())
}

pub(super) fn micros(span: std::time::Duration) -> f64 {
    span.as_secs_f64() * 1e6
}

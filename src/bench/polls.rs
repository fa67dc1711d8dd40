//! Polls a second of a live operation ÷ those of the null server.

use http::StatusCode;

use super::Plan;
use super::creates::BODY;
use super::load::{Call, Connection, LoadError, Measured, closed_loop};
use super::process::{Scratch, Server};
use super::report::Report;

/// An operation of the server, and its `ETag`.
async fn live(server: &Server) -> Result<(String, String), LoadError> {
    let mut connection = Connection::open(&server.authority).await?;
    Ok((connection.submit(BODY).await?, "\"1-1\"".to_owned()))
}

async fn polls(server: &Server, plan: &Plan, path: &str) -> Result<Measured, LoadError> {
    let call = Call::get(path);
    closed_loop(&server.authority, plan.connections, plan.span, StatusCode::OK, move || call.clone()).await
}

pub(super) async fn measure(plan: &Plan) -> Result<Report, LoadError> {
    let mut report = Report::default();
    let scratch = Scratch::new(plan.scratch.as_deref())?;
    let null_server = Server::yardstick("null")?;
    let (null_path, _) = live(&null_server).await?;
    let null = polls(&null_server, plan, &null_path).await?;
    report.rate("null polls", &null);

    let server = Server::serve(&scratch.0.join("data"), 0)?;
    let (path, etag) = live(&server).await?;
    let real = polls(&server, plan, &path).await?;
    report.rate("polls of a live operation", &real);
    let known = Call { headers: vec![("if-none-match", etag)], ..Call::get(&path) };
    let next = move || known.clone();
    let unchanged =
        closed_loop(&server.authority, plan.connections, plan.span, StatusCode::NOT_MODIFIED, next).await?;
    report.rate("polls answered 304", &unchanged);
    let null_again = polls(&null_server, plan, &null_path).await?;
    report.rate("null polls, again", &null_again);

    let null_rate = f64::midpoint(null.rate(), null_again.rate());
    report.add("polls ÷ null", real.rate() / null_rate, "", "");
    report.add("304 ÷ polls", unchanged.rate() / real.rate(), "", "");
    Ok(report)
}

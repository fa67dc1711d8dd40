//! The cost of a page over a store of any size: the likely questions, the deep pages, and the filter that nothing narrows.

use std::time::Instant;

use http::StatusCode;

use super::Plan;
use super::creates::micros;
use super::generate::{self, Stage, Wish};
use super::load::{Call, Connection, Latencies, LoadError};
use super::process::{Scratch, Server};
use super::report::Report;

/// One in so many is in a queue of its own.
const RARE: usize = 10_000;
/// One in so many runs.
const RUNS: usize = 5_000;
/// One in so many waits.
const WAITS: usize = 500;
/// One in so many failed.
const FAILED: usize = 50;
/// Operations of a page that is wanted whole; the others are of the usual size.
const LARGE_PAGE: usize = 1000;

/// What is asked, in words and as a filter.
const QUESTIONS: [(&str, &str); 8] = [
    ("the newest", ""),
    ("what runs", "status eq 'Running'"),
    ("what waits", "status eq 'NotStarted'"),
    ("what failed", "status eq 'Failed'"),
    ("what failed in a queue", "queue eq 'default' and status eq 'Failed'"),
    ("what failed in a rare queue", "queue eq 'rare' and status eq 'Failed'"),
    ("what is not done", "status ne 'Completed'"),
    ("a queue", "queue eq 'default'"),
];

pub(super) async fn measure(plan: &Plan, operations: usize) -> Result<Report, LoadError> {
    let mut report = Report::default();
    let scratch = Scratch::new(plan.scratch.as_deref())?;
    let data = scratch.0.join("data");
    {
        let (mut store, _) = generate::open(&data)?;
        generate::fill(&mut store, (0..operations).map(wish))?;
    }
    let server = Server::serve(&data, 0)?;
    let mut connection = Connection::open(&server.authority).await?;
    for (name, filter) in QUESTIONS {
        let path = path("/v1.0/operations?", filter);
        let latencies = ask(&mut connection, plan, &path).await?;
        add(&mut report, &format!("list: {name}"), &latencies);
    }
    let large = ask(&mut connection, plan, &format!("/v1.0/operations?$top={LARGE_PAGE}")).await?;
    add(&mut report, &format!("list: a page of {LARGE_PAGE}"), &large);
    let counted = path("/v1.0/operations/$count?", "status eq 'Failed'");
    add(&mut report, "count: what failed", &ask(&mut connection, plan, &counted).await?);

    let pages = all(&server, operations.div_ceil(LARGE_PAGE)).await?;
    add(&mut report, &format!("list: all pages of {LARGE_PAGE}, to the end"), &pages);
    let broad = path("/v1.0/operations?", "priority eq 7");
    let (elapsed, status) = once(&server, &broad).await?;
    report.add("list: what nothing narrows", elapsed * 1e3, "ms", format!("answered {status}"));
    Ok(report)
}

fn wish(n: usize) -> Wish {
    let stage = match n {
        n if n.is_multiple_of(RUNS) => Stage::Running,
        n if n.is_multiple_of(WAITS) => Stage::Waiting,
        n if n.is_multiple_of(FAILED) || n % RARE == 1 => Stage::Failed,
        _ => Stage::Completed,
    };
    let queue = if n % RARE == 1 { "rare" } else { "default" };
    Wish { queue: queue.to_owned(), stage, ..Wish::default() }
}

fn path(of: &str, filter: &str) -> String {
    if filter.is_empty() {
        of.trim_end_matches('?').to_owned()
    } else {
        format!("{of}$filter={}", filter.replace(' ', "+"))
    }
}

fn add(report: &mut Report, name: &str, latencies: &Latencies) {
    let [p50, p99] = [0.5, 0.99].map(|part| latencies.quantile(part));
    report.add(name, micros(p99), "µs", format!("p99 of {}; p50 {p50:.0?}", latencies.count()));
}

/// The same page again and again, one request after the other.
async fn ask(connection: &mut Connection, plan: &Plan, path: &str) -> Result<Latencies, LoadError> {
    let mut latencies = Latencies::default();
    let began = Instant::now();
    while began.elapsed() < plan.span {
        let asked = Instant::now();
        connection.call(StatusCode::OK, Call::get(path)).await?;
        latencies.record(asked.elapsed());
    }
    Ok(latencies)
}

/// Where a list of everything begins.
pub(super) fn all_pages() -> String {
    format!("/v1.0/operations?$top={LARGE_PAGE}")
}

/// The path of the page after this one.
pub(super) fn next_link(page: &serde_json::Value) -> Option<String> {
    let (_, rest) = page["@odata.nextLink"].as_str()?.split_once("/v1.0")?;
    Some(format!("/v1.0{rest}"))
}

/// Every page, by its links.
async fn all(server: &Server, expected: usize) -> Result<Latencies, LoadError> {
    let mut connection = Connection::open(&server.authority).await?;
    let mut latencies = Latencies::default();
    let mut next = Some(all_pages());
    while let Some(path) = next {
        let asked = Instant::now();
        let page = connection.call(StatusCode::OK, Call::get(&path)).await?;
        latencies.record(asked.elapsed());
        next =
            next_link(&serde_json::from_slice(&page).map_err(|error| LoadError::Other(error.to_string()))?);
    }
    if latencies.count() != expected as u64 {
        return Err(LoadError::Other(format!("{} pages instead of {expected}", latencies.count())));
    }
    Ok(latencies)
}

/// Seconds of one answer, whether something was found or it was refused as too broad.
async fn once(server: &Server, path: &str) -> Result<(f64, StatusCode), LoadError> {
    let mut connection = Connection::open(&server.authority).await?;
    let asked = Instant::now();
    let status = match connection.call(StatusCode::OK, Call::get(path)).await {
        Ok(_) => StatusCode::OK,
        Err(LoadError::Answer(status @ StatusCode::BAD_REQUEST, _)) => status,
        Err(error) => return Err(error),
    };
    Ok((asked.elapsed().as_secs_f64(), status))
}

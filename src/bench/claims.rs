//! The cost of a claim of 16 over stores of different sizes and shapes, each claim's operations completed after it.

use std::sync::Arc;
use std::time::Instant;

use super::Plan;
use super::creates::micros;
use super::generate::{self, Wish};
use super::load::{Latencies, LoadError};
use super::process::Scratch;
use super::report::Report;
use crate::operation::{self, Name, ReportKind, TenantId, names::Tag};
use crate::tracker::entry::{Claim, Exchange, Reported, Want};
use crate::tracker::{Options, Tracker};

/// Operations of one claim.
const LIMIT: usize = 16;
/// The size that the large stores are held against.
const SMALL: usize = 1000;
/// Queues of the shape that has many.
const QUEUES: usize = 100;

/// What a store looks like.
#[derive(Clone, Copy)]
enum Shape {
    OneQueue,
    ManyQueues,
    /// As many of a type that nobody asks for.
    Unasked,
    /// As many that start tomorrow, of the highest priority.
    Delayed,
}

impl Shape {
    fn name(self) -> &'static str {
        match self {
            Self::OneQueue => "one queue",
            Self::ManyQueues => "100 queues",
            Self::Unasked => "beside a type nobody asks for",
            Self::Delayed => "behind delayed ones of high priority",
        }
    }

    /// What stands in the way of a claim.
    fn wish(self, n: usize) -> Wish {
        match self {
            Self::OneQueue => Wish::default(),
            Self::ManyQueues => Wish { queue: format!("q{}", n % QUEUES), ..Wish::default() },
            Self::Unasked => Wish { operation_type: "unasked", ..Wish::default() },
            Self::Delayed => Wish { priority: 100, delay_seconds: 24 * 3600, ..Wish::default() },
        }
    }

    /// Whether the operations of the shape are themselves claimed.
    fn is_claimed(self) -> bool {
        matches!(self, Self::OneQueue | Self::ManyQueues)
    }
}

pub(super) async fn measure(plan: &Plan, waiting: usize, claims: usize) -> Result<Report, LoadError> {
    let mut report = Report::default();
    for shape in [Shape::OneQueue, Shape::ManyQueues, Shape::Unasked, Shape::Delayed] {
        let small = over(plan, shape, SMALL, claims).await?;
        let large = over(plan, shape, waiting, claims).await?;
        let [p50, p99] = [0.5, 0.99].map(|part| large.quantile(part));
        let name = format!("claim of {LIMIT}, {}", shape.name());
        report.add(&name, micros(p50), "µs", format!("p50 over {waiting}; p99 {p99:.0?}"));
        let ratio = p50.as_secs_f64() / small.quantile(0.5).as_secs_f64();
        report.add("÷ the same over 1,000", ratio, "", "p50");
        let ratio = p99.as_secs_f64() / small.quantile(0.99).as_secs_f64();
        report.add("÷ the same over 1,000", ratio, "", "p99");
    }
    Ok(report)
}

async fn over(plan: &Plan, shape: Shape, size: usize, claims: usize) -> Result<Latencies, LoadError> {
    let scratch = Scratch::new(plan.scratch.as_deref())?;
    let (mut store, reader) = generate::open(&scratch.0)?;
    generate::fill(&mut store, (0..size).map(|n| shape.wish(n)))?;
    // What is claimed is put back in the same number, so that the store keeps its size.
    let reserve = if shape.is_claimed() { claims * LIMIT } else { claims * LIMIT + SMALL };
    let queues = if matches!(shape, Shape::ManyQueues) { QUEUES } else { 1 };
    let refill = |n: usize| Wish {
        queue: if queues == 1 { "default".to_owned() } else { format!("q{}", n % queues) },
        ..Wish::default()
    };
    generate::fill(&mut store, (0..reserve).map(refill))?;
    let (tracker, _loop) = Tracker::open(Box::new(store), reader, Options::default()).await?;
    let mut latencies = Latencies::default();
    for n in 0..claims {
        let began = Instant::now();
        let (_, handed) = tracker.exchange(exchange(Vec::new(), Some(n))?).await.map_err(denied)?;
        latencies.record(began.elapsed());
        if handed.len() != LIMIT {
            return Err(LoadError::Other(format!("a claim of {LIMIT} brought {}", handed.len())));
        }
        let reports = handed.iter().map(|handed| Reported {
            id: handed.claimed.operation.spec.id,
            token: handed.claimed.token,
            report: operation::Report {
                kind: ReportKind::Completed { result: None, resource_location: None },
                checkpoint: None,
                progress: None,
            },
        });
        tracker.exchange(exchange(reports.collect(), None)?).await.map_err(denied)?;
    }
    tracker.close();
    Ok(latencies)
}

#[allow(clippy::needless_pass_by_value)] // The shape that `map_err` asks for.
fn denied(denied: crate::tracker::entry::Denied) -> LoadError {
    LoadError::Other(denied.to_string())
}

fn exchange(reports: Vec<Reported>, claim: Option<usize>) -> Result<Exchange, LoadError> {
    let invalid = |error: &dyn std::error::Error| LoadError::Other(error.to_string());
    let tag = |text: &str| Tag::parse(text).map_err(|error| invalid(&error));
    let bench = Name::parse("bench").map_err(|error| invalid(&error))?;
    let want = Want {
        tenant: TenantId::default(),
        queues: None,
        operation_types: Some(Arc::from([bench])),
        limit: LIMIT,
    };
    let claim = claim
        .map(|n| {
            let id = tag(&n.to_string())?;
            Ok::<_, LoadError>(Claim { id, want, lease_seconds: 30, wait_until: None })
        })
        .transpose()?;
    Ok(Exchange {
        address: None,
        tenant: TenantId::default(),
        worker: tag("bench:1")?,
        own: false,
        within: None,
        reports,
        claim,
    })
}

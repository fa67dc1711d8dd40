//! What the server counts while it works, as `GET /metrics` shows it: counters, histograms and a few gauges of this process.
//!
//! Whoever knows that something happened counts it here: the tracker once for each turn that is durable ([`Operations`],
//! [`Turns`]), the connections and what stands around every request ([`Requests`]), the shared store ([`Database`]). How
//! things stand in the store is no count: it is asked of the store when somebody asks for the metrics.
//!
//! Every label is one of few words: nothing of a tenant, an operation or a token is in one, and of queues, whose names
//! strangers choose, only the first [`crate::limits::METRIC_QUEUES_MAX`] are told apart.

mod database;
mod operations;
mod process;
mod requests;
mod turns;

use std::fmt;
use std::time::SystemTime;

use prometheus_client::encoding::{prometheus_text, text};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

pub use database::Database;
pub use operations::{OfQueue, Operations};
pub use requests::{Cut, Requests, word};
pub use turns::Turns;

/// What every name begins with.
const PREFIX: &str = "longrun";

/// What one process counts.
#[derive(Debug)]
pub struct Metrics {
    /// Of operations, by queue.
    pub operations: Operations,
    /// Of the intake loop.
    pub turns: Turns,
    /// Of HTTP.
    pub requests: Requests,
    /// Of a database that several nodes share; told only where there is one.
    pub database: Database,
    registry: Registry,
    started: SystemTime,
}

impl Default for Metrics {
    /// Those of a server with a store of its own.
    fn default() -> Self {
        Self::new(|_, _| {})
    }
}

impl Metrics {
    /// Those of a node over a shared database; whether it listens for the commits of others.
    pub fn over_database(listens: bool) -> Self {
        Self::new(|database, registry| database.register(registry, listens))
    }

    fn new(database_too: impl FnOnce(&Database, &mut Registry)) -> Self {
        let mut registry = registry();
        let (operations, turns) = (Operations::new(&mut registry), Turns::new(&mut registry));
        let (requests, database) = (Requests::new(&mut registry), Database::default());
        database_too(&database, &mut registry);
        Self { operations, turns, requests, database, registry, started: SystemTime::now() }
    }

    /// All of it as text, and what else is to be told: how things stand.
    pub fn write(&self, standing: &Registry, format: Format) -> Result<String, fmt::Error> {
        let mut out = String::with_capacity(64 << 10);
        for registry in [&self.registry, standing, &process::process(self.started)] {
            match format {
                Format::Prometheus => prometheus_text::encode(&mut out, registry)?,
                Format::OpenMetrics => text::encode_registry(&mut out, registry)?,
            }
        }
        if let Format::OpenMetrics = format {
            text::encode_eof(&mut out)?;
        }
        Ok(out)
    }
}

/// An empty registry, whose names begin as all do.
pub fn registry() -> Registry {
    Registry::with_prefix(PREFIX)
}

/// How metrics are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' own text, which every collector reads.
    Prometheus,
    /// The standard that came of it.
    OpenMetrics,
}

impl Format {
    /// What the answer says of itself.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// One more of something that is counted while it is there.
#[derive(Debug)]
pub struct Present(Gauge);

impl Present {
    /// One more, until this is dropped.
    pub fn of(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.0.dec();
    }
}

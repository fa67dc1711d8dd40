//! How things stand when somebody asks for the metrics: in the store, and in this process. Made anew for each answer, so that
//! what is gone is not told any more.

use std::cmp::Reverse;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use super::app::App;
use crate::metrics::{self, Operations};
use crate::operation::{Status, Timestamp};
use crate::store::clock::ClockState;
use crate::store::figures::{Count, Database, Embedded, Figures};
use crate::tracker::Backlog;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct At {
    queue: String,
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    queue: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct In {
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Lane {
    lane: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Table {
    table: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Connections {
    state: &'static str,
}

/// All of it.
pub(super) async fn standing(app: &App) -> Registry {
    let mut registry = metrics::registry();
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    registry.register("build", "What runs here", Info::new(version));
    process(&mut registry, app);
    let figures = app.tracker.figures().await;
    let is_up = i64::from(figures.is_some());
    one(&mut registry, "store_up", "Whether the store told within 2 s how it stands", is_up);
    let Some(figures) = figures else { return registry };
    let operations = &app.tracker.metrics().operations;
    counts(&mut registry, &figures, operations);
    oldest_ready(&mut registry, &figures, operations, app.tracker.reader().now());
    if let Some(embedded) = &figures.embedded {
        files(&mut registry, embedded);
    }
    if let Some(database) = &figures.database {
        shared(&mut registry, database, app.tracker.reader().now());
    }
    registry
}

/// A gauge without labels.
fn one(registry: &mut Registry, name: &str, help: &str, value: i64) {
    registry.register(name, help, ConstGauge::new(value));
}

fn bytes(registry: &mut Registry, name: &str, help: &str, value: u64) {
    one(registry, name, help, value.try_into().unwrap_or(i64::MAX));
}

fn count(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn process(registry: &mut Registry, app: &App) {
    let tracker = &app.tracker;
    let follows = i64::from(tracker.reader().clock() == ClockState::Following);
    let help = "Whether the store's clock follows the wall clock; while it does not, nothing is pruned";
    one(registry, "clock_follows_wall_clock", help, follows);
    one(registry, "watchers", "Streams of events that are open at this node", count(tracker.watchers()));
    let Backlog { urgent, claims, fresh } = tracker.backlog();
    let entries = Family::<Lane, Gauge>::default();
    for (lane, waiting) in [("urgent", urgent), ("claims", claims), ("fresh", fresh)] {
        entries.get_or_create(&Lane { lane }).set(count(waiting));
    }
    let help =
        "What waits for the intake loop: reports, cancels and patches; claims; submits, retries and deletes";
    registry.register("inbox_entries", help, entries);
}

/// How many operations stand where. Those queues that hold most get names of their own first.
fn counts(registry: &mut Registry, figures: &Figures, operations: &Operations) {
    let by_queue = Family::<At, Gauge>::default();
    let external = Family::<In, Gauge>::default();
    for status in ["waiting", "running", "completed", "failed"] {
        external.get_or_create(&In { status }).set(0);
    }
    let mut counts: Vec<&Count> = figures.counts.iter().collect();
    counts.sort_by_key(|count| (count.status.is_terminal(), Reverse(count.n)));
    for Count { queue, status, held, external: is_external, n } in counts {
        let n = i64::try_from(*n).unwrap_or(i64::MAX);
        let status = match status {
            Status::NotStarted if *is_external => "waiting",
            Status::NotStarted if *held => "held",
            Status::NotStarted => "ready",
            Status::Running => "running",
            Status::Completed => "completed",
            Status::Failed => "failed",
        };
        if *is_external {
            external.get_or_create(&In { status }).inc_by(n);
            continue;
        }
        let queue = operations.of(queue).label.clone();
        for status in ["ready", "held", "running", "completed", "failed"] {
            by_queue.get_or_create(&At { queue: queue.clone(), status }).inc_by(0);
        }
        by_queue.get_or_create(&At { queue, status }).inc_by(n);
    }
    let help = "Operations in the store, external ones apart, by queue and where they stand: ready, held until they may start, \
                running, completed or failed";
    registry.register("operations", help, by_queue);
    let help = "External operations in the store, which their owners advance, by where they stand";
    registry.register("external_operations", help, external);
}

/// How long the oldest ready operation has waited; 0 where none is.
fn oldest_ready(registry: &mut Registry, figures: &Figures, operations: &Operations, now: Timestamp) {
    let Some(oldest) = &figures.oldest_ready else { return };
    let ages = Family::<Of, Gauge<f64, std::sync::atomic::AtomicU64>>::default();
    for Count { queue, .. } in figures.counts.iter().filter(|count| !count.external) {
        ages.get_or_create(&Of { queue: operations.of(queue).label.clone() }).set(0.0);
    }
    for (queue, since) in oldest {
        let age = ages.get_or_create_owned(&Of { queue: operations.of(queue).label.clone() });
        age.set(age.get().max(now.since(*since).as_secs_f64()));
    }
    let help =
        "How long the oldest operation of a queue that may start has waited for a worker; 0: there is none";
    registry.register("oldest_ready_seconds", help, ages);
}

fn files(registry: &mut Registry, embedded: &Embedded) {
    let Embedded { bytes: file, log_bytes, reusable_bytes, free_bytes } = *embedded;
    bytes(registry, "store_bytes", "Bytes of the store", file);
    bytes(registry, "store_log_bytes", "Bytes of the store's write-ahead log, which is short", log_bytes);
    let help = "Bytes of the store's file that are free for new rows: the file never shrinks";
    bytes(registry, "store_reusable_bytes", help, reusable_bytes);
    if let Some(free) = free_bytes {
        bytes(registry, "disk_free_bytes", "Bytes that are free on the store's disk", free);
    }
}

fn shared(registry: &mut Registry, database: &Database, now: Timestamp) {
    let (size, live, dead) = (
        Family::<Table, Gauge>::default(),
        Family::<Table, Gauge>::default(),
        Family::<Table, Gauge>::default(),
    );
    let mut sum = 0;
    for table in &database.tables {
        let label = Table { table: table.name.clone() };
        sum += table.bytes;
        for (family, value) in [(&size, table.bytes), (&live, table.live_rows), (&dead, table.dead_rows)] {
            family.get_or_create(&label).set(value.try_into().unwrap_or(i64::MAX));
        }
    }
    bytes(registry, "store_bytes", "Bytes of the store", sum);
    registry.register("table_bytes", "Bytes of each of Longrun's tables, with its indexes", size);
    registry.register("table_rows", "Rows of each table, as the database estimates", live);
    let help = "Rows of each table that are gone and still take room, as the database estimates";
    registry.register("table_dead_rows", help, dead);
    let help = "Age of the oldest transaction that holds a snapshot of this database, as far as the node's user may see it \
                (pg_monitor sees all); 0: there is none";
    registry.register("oldest_snapshot_seconds", help, ConstGauge::new(database.oldest_snapshot_seconds));
    let help = "How many transactions ago the oldest snapshot was taken that keeps dead rows from being removed, those of \
                replication slots and prepared transactions included";
    bytes(registry, "oldest_snapshot_transactions", help, database.oldest_snapshot_transactions);
    let help = "Bytes of write-ahead log that the whole database server has written";
    registry.register("database_wal_bytes", help, ConstCounter::new(database.wal_bytes));
    let (deposits, since) = database.deposits;
    let help = "What transactions of users have handed in and no node has taken in yet; no more than 10,000 are counted";
    bytes(registry, "deposits_waiting", help, deposits);
    let age = since.map_or(0.0, |since| now.since(since).as_secs_f64());
    let help = "How long the first of them has waited";
    registry.register("oldest_deposit_seconds", help, ConstGauge::new(age));
    let (busy, idle) = database.connections;
    let connections = Family::<Connections, Gauge>::default();
    for (state, n) in [("busy", busy), ("idle", idle)] {
        connections.get_or_create(&Connections { state }).set(count(n));
    }
    registry.register("database_connections", "This node's connections for reads", connections);
}

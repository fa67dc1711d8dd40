//! How things stand, as the database's own statistics tell it: they are read in the order in which they may fail, and what
//! takes too long is left out.

use super::columns::fields;
use super::error::Result;
use super::link::Lent;
use super::reader::{LIST, PostgresReader};
use crate::operation::{QueueName, Timestamp};
use crate::store::figures::{Count, Database, Figured, Figures, Table};
use crate::store::stored::{narrow, text};
use crate::store::{AllTenants, StoreError};
use async_trait::async_trait;

const COUNTS: &str = "SELECT queue, status, held, external, sum(n)::bigint FROM longrun.counter \
     GROUP BY queue, status, held, external HAVING sum(n) > 0";
/// As of one tenant's queues, of all.
const OLDEST: &str = "WITH RECURSIVE head AS ( \
         SELECT l.queue, l.id AS lane, f.urgency, f.ready_at FROM longrun.lane l CROSS JOIN LATERAL \
             (SELECT urgency, ready_at FROM longrun.operation WHERE lane = l.id AND status = 0 AND hold = 0 \
              ORDER BY urgency, ready_at, seq LIMIT 1) f \
         UNION ALL \
         SELECT h.queue, h.lane, f.urgency, f.ready_at FROM head h CROSS JOIN LATERAL \
             (SELECT urgency, ready_at FROM longrun.operation WHERE lane = h.lane AND status = 0 AND hold = 0 \
              AND urgency > h.urgency ORDER BY urgency, ready_at, seq LIMIT 1) f) \
     SELECT queue, min(ready_at) FROM head GROUP BY queue";
/// Partitions count as the table that they are parts of.
const TABLES: &str = "SELECT coalesce(parent.relname, c.relname)::text, sum(pg_total_relation_size(c.oid))::bigint, \
         coalesce(sum(s.n_live_tup), 0)::bigint, coalesce(sum(s.n_dead_tup), 0)::bigint \
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
     LEFT JOIN pg_inherits i ON i.inhrelid = c.oid LEFT JOIN pg_class parent ON parent.oid = i.inhparent \
     LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid \
     WHERE n.nspname = 'longrun' AND c.relkind IN ('r', 'p') GROUP BY 1 ORDER BY 1";
/// When a transaction began is told to those only who may see it; that it holds a snapshot, and how old that is, to all.
const SNAPSHOTS: &str = "SELECT \
     (SELECT coalesce(greatest(extract(epoch FROM max(clock_timestamp() - xact_start)), 0), 0)::float8 \
      FROM pg_stat_activity WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid() \
      AND datid = (SELECT oid FROM pg_database WHERE datname = current_database())), \
     (SELECT coalesce(max(age(xmin)), 0)::bigint FROM ( \
         SELECT backend_xmin FROM pg_stat_activity WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid() \
             AND (datid = (SELECT oid FROM pg_database WHERE datname = current_database()) OR datid IS NULL) \
         UNION ALL SELECT xmin FROM pg_replication_slots WHERE xmin IS NOT NULL \
         UNION ALL SELECT transaction FROM pg_prepared_xacts WHERE database = current_database()) AS held (xmin))";
const DEPOSITS: &str =
    "SELECT count(*), min(at) FROM (SELECT at FROM longrun.inbox ORDER BY n LIMIT 10000) AS first";
const WAL: &str = "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint";

#[async_trait]
impl Figured for PostgresReader {
    async fn figures(&self, _: AllTenants) -> std::result::Result<Figures, StoreError> {
        Ok(self.stands().await?)
    }
}

impl PostgresReader {
    async fn stands(&self) -> Result<Figures> {
        let client = self.client().await?;
        let mut pipeline = client.reading(&LIST);
        let counts = pipeline.call(COUNTS, Vec::new());
        let tables = pipeline.call(TABLES, Vec::new());
        let snapshots = pipeline.call(SNAPSHOTS, Vec::new());
        let wal = pipeline.call(WAL, Vec::new());
        let deposits = pipeline.call(DEPOSITS, Vec::new());
        let answers = pipeline.over().await?;
        let mut database = Database {
            tables: Vec::new(),
            oldest_snapshot_seconds: 0.0,
            oldest_snapshot_transactions: 0,
            wal_bytes: 0,
            deposits: (0, None),
            connections: self.connections(),
        };
        for row in answers.of(tables) {
            let mut fields = fields(row);
            database.tables.push(Table {
                name: fields.text()?.to_owned(),
                bytes: narrow(fields.int()?)?,
                live_rows: narrow(fields.int()?)?,
                dead_rows: narrow(fields.int()?)?,
            });
        }
        if let Some(row) = answers.of(snapshots).first() {
            database.oldest_snapshot_seconds = row.try_get(0)?;
            database.oldest_snapshot_transactions = narrow(row.try_get(1)?)?;
        }
        if let Some(row) = answers.of(wal).first() {
            database.wal_bytes = narrow(fields(row).int()?)?;
        }
        if let Some(row) = answers.of(deposits).first() {
            let mut fields = fields(row);
            database.deposits = (narrow(fields.int()?)?, fields.maybe_time()?);
        }
        let mut figures = Figures { database: Some(database), ..Figures::default() };
        for row in answers.of(counts) {
            let mut fields = fields(row);
            // A name that cannot be read is one of no queue that anybody can ask for.
            let Ok(queue) = text::name(fields.text()?) else { continue };
            figures.counts.push(Count {
                queue,
                status: fields.status()?,
                held: fields.flag()?,
                external: fields.flag()?,
                n: fields.small()?,
            });
        }
        figures.oldest_ready = oldest_ready(&client).await.ok();
        Ok(figures)
    }
}

/// Of each queue. Alone, as it may take longer than a read may: then only this is not known.
async fn oldest_ready(client: &Lent) -> Result<Vec<(QueueName, Timestamp)>> {
    let mut pipeline = client.reading(&LIST);
    let oldest = pipeline.call(OLDEST, Vec::new());
    let answers = pipeline.over().await?;
    let mut found = Vec::new();
    for row in answers.of(oldest) {
        let mut fields = fields(row);
        let Ok(queue) = text::name(fields.text()?) else { continue };
        found.push((queue, fields.time()?));
    }
    Ok(found)
}

//! What has to be done now and then so that the database stays as it is: differences of counts are folded, partitions of
//! the history made ahead and dropped whole. Every node does it, one at a time; who finds another at it does nothing.

use super::columns::fields;
use super::error::Result;
use super::link::{Link, Pipeline};

/// Events that one partition holds.
const PARTITION: i64 = 1 << 20;
/// Partitions that are made before they are needed.
const AHEAD: i64 = 3;

/// It need not outlive a crash: the next one would do it again.
const BEGIN: &str = "BEGIN; SET LOCAL lock_timeout = '200ms'; SET LOCAL statement_timeout = '5s'; \
     SET LOCAL synchronous_commit = off; SET LOCAL jit = off";
const ALONE: &str = "SELECT pg_try_advisory_xact_lock(7804106203)";
/// The rows that were written with the oldest transactions stay: they may belong to a reader's sum.
const FOLD: &str = "WITH old AS (DELETE FROM longrun.counter WHERE (SELECT count(*) FROM longrun.counter) > 200 \
         RETURNING tenant, queue, status, held, external, n) \
     INSERT INTO longrun.counter (tenant, queue, status, held, external, n) \
     SELECT tenant, queue, status, held, external, sum(n) FROM old \
     GROUP BY tenant, queue, status, held, external HAVING sum(n) <> 0";
const ENDS: &str = "SELECT coalesce((SELECT max(cursor) FROM longrun.event), 0), \
     coalesce((SELECT value FROM longrun.meta WHERE key = 'pruned_upto'), 0)";
const PARTITIONS: &str = "SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid \
     WHERE i.inhparent = 'longrun.event'::regclass";

/// One round of it.
pub(super) async fn keep(link: Link<'_>) -> Result<()> {
    link.client().batch_execute(BEGIN).await?;
    let done = round(link).await;
    link.client().batch_execute(if done.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
    done
}

async fn round(link: Link<'_>) -> Result<()> {
    let mut pipeline = Pipeline::new(link);
    let alone = pipeline.call(ALONE, Vec::new());
    if !pipeline.run().await?.of(alone).first().is_some_and(|row| row.get(0)) {
        return Ok(());
    }
    let mut pipeline = Pipeline::new(link);
    pipeline.call(FOLD, Vec::new());
    pipeline.run().await?;
    partitions(link).await
}

/// Makes those that are missing ahead of the last event, and drops those that hold nothing that is kept.
pub(super) async fn partitions(link: Link<'_>) -> Result<()> {
    let mut pipeline = Pipeline::new(link);
    let ends = pipeline.call(ENDS, Vec::new());
    let answers = pipeline.run().await?;
    let Some(ends) = answers.of(ends).first() else { return Ok(()) };
    let mut ends = fields(ends);
    let (last, pruned) = (ends.int()?, ends.int()?);
    let now = last.max(pruned);
    let there = cover(link, now, now).await?;
    for over in there.iter().filter(|number| (**number + 1) * PARTITION <= pruned.min(last)) {
        link.client().batch_execute(&format!("DROP TABLE longrun.event_{over}")).await?;
    }
    Ok(())
}

/// Makes those that are missing for the events from one cursor to another, and ahead of them; gives those that were there.
pub(super) async fn cover(link: Link<'_>, first: i64, last: i64) -> Result<Vec<i64>> {
    let mut pipeline = Pipeline::new(link);
    pipeline.call(PARTITIONS, Vec::new());
    let there = pipeline.run().await?.into_rows();
    let there: Vec<i64> = there.iter().filter_map(|row| number(row.get(0))).collect();
    let wanted = first / PARTITION..=last / PARTITION + AHEAD;
    for missing in wanted.filter(|number| !there.contains(number)) {
        let (from, to) = (missing * PARTITION, (missing + 1) * PARTITION);
        link.client()
            .batch_execute(&format!(
                "CREATE TABLE longrun.event_{missing} PARTITION OF longrun.event FOR VALUES FROM ({from}) TO ({to}) \
                 WITH (autovacuum_vacuum_insert_scale_factor = 0.5)"
            ))
            .await?;
    }
    Ok(there)
}

fn number(partition: &str) -> Option<i64> {
    partition.strip_prefix("event_")?.parse().ok()
}

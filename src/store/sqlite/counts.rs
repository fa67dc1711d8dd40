//! How many operations stand where: kept by the commits that move them, so that nobody ever counts.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::columns::{Prepared, fields};
use super::error::Result;
use super::queues;
use crate::operation::{QueueName, TenantId, Timestamp};
use crate::store::QueueDepth;
use crate::store::query::plan::Cell;
use crate::store::queue::Queue;
use crate::store::stored::text::name;
use crate::store::stored::{Bind, Damage, codes, narrow};
use crate::store::turn::{Touched, count_deltas};

const ADD: &str = "INSERT INTO counter (tenant, queue, status, held, external, n) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE SET n = n + excluded.n";
const OF_TENANT: &str = "SELECT queue, status, held, n FROM counter \
     WHERE tenant = ?1 AND external = 0 AND n <> 0";
const OF_QUEUE: &str = "SELECT queue, status, held, n FROM counter \
     WHERE tenant = ?1 AND queue = ?2 AND external = 0 AND n <> 0";
const WAITING: &str = "SELECT coalesce(sum(n), 0) FROM counter \
     WHERE tenant = ?1 AND queue = ?2 AND status = 0 AND external = 0";
const CELLS: &str = "SELECT queue, status, sum(n) FROM counter WHERE tenant = ?1 GROUP BY queue, status \
     HAVING sum(n) <> 0";
const LANES: &str = "SELECT id FROM lane WHERE tenant = ?1 AND queue = ?2";
/// The first rank of a lane beyond an urgency. Of one urgency the first is the oldest.
const OLDEST: &str = "SELECT urgency, ready_at FROM operation \
     WHERE lane = ?1 AND status = 0 AND hold = 0 AND urgency > ?2 ORDER BY urgency, ready_at LIMIT 1";

pub(super) fn write(connection: &Connection, operations: &[Touched]) -> Result<()> {
    let deltas = count_deltas(operations);
    if deltas.is_empty() {
        return Ok(());
    }
    let mut add = Prepared::of(connection, ADD)?;
    for (key, delta) in &deltas {
        let mut row = add.row();
        row.put_text(key.tenant.as_str());
        row.put_text(key.queue.as_str());
        row.put(codes::status(key.status));
        row.put(key.held);
        row.put(key.external);
        row.put(*delta);
        row.run()?;
    }
    Ok(())
}

/// Everything of a tenant, by queue and status.
pub(super) fn cells(connection: &Connection, tenant: &TenantId) -> Result<Vec<Cell>> {
    let mut statement = connection.prepare_cached(CELLS)?;
    let mut rows = statement.query([tenant.as_str()])?;
    let mut cells = Vec::new();
    while let Some(row) = rows.next()? {
        let mut fields = fields(row);
        cells.push(Cell { queue: name(fields.text()?)?, status: fields.status()?, n: fields.small()? });
    }
    Ok(cells)
}

/// How many operations wait in a queue, those that may not start yet included.
pub(super) fn waiting(connection: &Connection, tenant: &TenantId, queue: &QueueName) -> Result<u64> {
    let mut statement = connection.prepare_cached(WAITING)?;
    let n: i64 = statement.query_row((tenant.as_str(), queue.as_str()), |row| row.get(0))?;
    Ok(narrow(n)?)
}

/// The queues of a tenant that hold anything or have controls, by name: all of them, or one.
pub(super) fn queues(
    connection: &Connection,
    damage: &Damage,
    tenant: &TenantId,
    only: Option<&QueueName>,
) -> Result<Vec<QueueDepth>> {
    let mut depths: BTreeMap<QueueName, QueueDepth> = BTreeMap::new();
    for Queue { name, controls, .. } in queues::of_tenant(connection, damage, tenant)? {
        if only.is_none_or(|only| *only == name) {
            depths.insert(name.clone(), QueueDepth { controls, ..QueueDepth::empty(name) });
        }
    }
    let mut statement = connection.prepare_cached(if only.is_some() { OF_QUEUE } else { OF_TENANT })?;
    let mut rows = match only {
        Some(queue) => statement.query((tenant.as_str(), queue.as_str()))?,
        None => statement.query([tenant.as_str()])?,
    };
    while let Some(row) = rows.next()? {
        let mut fields = fields(row);
        let queue = name(fields.text()?)?;
        let (status, held) = (fields.status()?, fields.flag()?);
        let n: u64 = fields.small()?;
        let depth = depths.entry(queue.clone()).or_insert_with(|| QueueDepth::empty(queue));
        *depth.of(status, held) += n;
    }
    let mut depths: Vec<QueueDepth> = depths.into_values().collect();
    for depth in depths.iter_mut().filter(|depth| depth.ready > 0) {
        depth.oldest_ready = oldest(connection, tenant.as_str(), &depth.queue)?;
    }
    Ok(depths)
}

/// Since when the oldest ready operation of a queue waits.
pub(super) fn oldest(connection: &Connection, tenant: &str, queue: &QueueName) -> Result<Option<Timestamp>> {
    let mut lanes = connection.prepare_cached(LANES)?;
    let mut next = connection.prepare_cached(OLDEST)?;
    let mut oldest: Option<Timestamp> = None;
    let mut rows = lanes.query((tenant, queue.as_str()))?;
    while let Some(row) = rows.next()? {
        let lane: i64 = row.get(0)?;
        let mut urgency = i64::MIN;
        while let Some(row) = next.query((lane, urgency))?.next()? {
            let mut fields = fields(row);
            urgency = fields.int()?;
            let ready_at = fields.time()?;
            oldest = Some(oldest.map_or(ready_at, |oldest| oldest.min(ready_at)));
        }
    }
    Ok(oldest)
}

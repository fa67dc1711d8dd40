//! How many operations stand where: sums of what each commit changed.

use std::collections::BTreeMap;

use super::columns::{Value, fields};
use super::error::Result;
use super::reader::{LIST, PostgresReader};
use crate::operation::{QueueName, TenantId};
use crate::store::QueueDepth;
use crate::store::query::plan::Cell;
use crate::store::stored::damage::sound;
use crate::store::stored::{registry, text};

const COUNTED: &str = "SELECT queue, status, held, sum(n)::bigint FROM longrun.counter \
     WHERE tenant = $1 AND ($2::text[] IS NULL OR queue = ANY ($2)) AND external = 0 \
     GROUP BY queue, status, held HAVING sum(n) <> 0";
const CONTROLS: &str = "SELECT tenant, name, paused, max_running, max_waiting FROM longrun.queue \
     WHERE tenant = $1 AND ($2::text[] IS NULL OR name = ANY ($2))";
/// Of each urgency of a lane the first is the oldest.
const OLDEST: &str = "WITH RECURSIVE head AS ( \
         SELECT l.queue, l.id AS lane, f.urgency, f.ready_at FROM longrun.lane l CROSS JOIN LATERAL \
             (SELECT urgency, ready_at FROM longrun.operation WHERE lane = l.id AND status = 0 AND hold = 0 \
              ORDER BY urgency, ready_at, seq LIMIT 1) f \
         WHERE l.tenant = $1 AND ($2::text[] IS NULL OR l.queue = ANY ($2)) \
         UNION ALL \
         SELECT h.queue, h.lane, f.urgency, f.ready_at FROM head h CROSS JOIN LATERAL \
             (SELECT urgency, ready_at FROM longrun.operation WHERE lane = h.lane AND status = 0 AND hold = 0 \
              AND urgency > h.urgency ORDER BY urgency, ready_at, seq LIMIT 1) f) \
     SELECT queue, min(ready_at) FROM head GROUP BY queue";
const CELLS: &str = "SELECT queue, status, sum(n)::bigint FROM longrun.counter WHERE tenant = $1 \
     GROUP BY queue, status HAVING sum(n) <> 0";

/// Everything of a tenant, by queue and status.
pub(super) async fn cells(reader: &PostgresReader, tenant: &TenantId) -> Result<Vec<Cell>> {
    let rows = reader.ask(CELLS, vec![Value::Text(tenant.as_str().into())]).await?;
    let read = |row| {
        let mut fields = fields(row);
        Ok(Cell { queue: text::name(fields.text()?)?, status: fields.status()?, n: fields.small()? })
    };
    rows.iter().map(read).collect()
}

/// The queues of a tenant that hold anything or have controls, by name: all of them, or one.
pub(super) async fn queues(
    reader: &PostgresReader,
    tenant: &TenantId,
    only: Option<&QueueName>,
) -> Result<Vec<QueueDepth>> {
    let values = || {
        let only = only.map(|queue| vec![queue.as_str()]);
        vec![Value::Text(tenant.as_str().into()), Value::Texts(only)]
    };
    let client = reader.client().await?;
    let mut pipeline = client.reading(&LIST);
    let controls = pipeline.call(CONTROLS, values());
    let counted = pipeline.call(COUNTED, values());
    let oldest = pipeline.call(OLDEST, values());
    let answers = pipeline.over().await?;
    let mut depths: BTreeMap<QueueName, QueueDepth> = BTreeMap::new();
    for row in answers.of(controls) {
        let read = reader.damage.heard("queue", tenant, registry::queue(&mut fields(row)));
        if let Some(queue) = sound(read)? {
            let empty = QueueDepth::empty(queue.name.clone());
            depths.insert(queue.name, QueueDepth { controls: queue.controls, ..empty });
        }
    }
    for row in answers.of(counted) {
        let mut fields = fields(row);
        let queue = text::name(fields.text()?)?;
        let (status, held) = (fields.status()?, fields.flag()?);
        let n: u64 = fields.small()?;
        *depths.entry(queue.clone()).or_insert_with(|| QueueDepth::empty(queue)).of(status, held) += n;
    }
    for row in answers.of(oldest) {
        let mut fields = fields(row);
        if let Some(depth) = depths.get_mut(&text::name(fields.text()?)?) {
            depth.oldest_ready = fields.maybe_time()?;
        }
    }
    Ok(depths.into_values().collect())
}

//! What is recorded of each change, read again. Nothing of it is ever deleted by the row: what belongs to an operation that
//! is gone is passed over, but for the event that says so.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use tokio_postgres::Row;

use super::columns::{Value, fields, fields_after};
use super::error::Result;
use super::lanes::LaneId;
use super::link::Lent;
use super::load::as_int;
use super::reader::{PostgresReader, READ};
use crate::operation::{Event, EventKind, Json, Payload, Seq, Spec, State};
use crate::store::stored::damage::sound;
use crate::store::stored::{Damaged, codes, event, row, text};
use crate::store::{Events, History, Whose};

/// Events that one call looks at, so that it stays short even where most are another tenant's.
const ROWS: usize = 2048;
/// Events of one operation that are found by walking back from its last one; with more, all events are read forward.
const CHAIN_MAX: i64 = 20_000;
/// Bytes of results after which a call ends.
const RESULT_BYTES: usize = 1 << 20;

const PRUNED: &str = "coalesce((SELECT value FROM longrun.meta WHERE key = 'pruned_upto'), 0)";
static ENDS: LazyLock<String> = LazyLock::new(|| {
    format!("SELECT {PRUNED}, greatest(coalesce((SELECT max(cursor) FROM longrun.event), 0), {PRUNED})")
});

/// An event `e`, whether its operation is there, and what was submitted.
static COLUMNS: LazyLock<String> = LazyLock::new(|| {
    let own = event::READ.split(',').map(|name| format!("e.{}", name.trim()));
    let spec = row::SPEC.split(',').skip(2).map(|name| format!("o.{}", name.trim()));
    own.chain(["o.seq IS NOT NULL".to_owned()]).chain(spec).collect::<Vec<_>>().join(", ")
});
static WIDTH: LazyLock<usize> = LazyLock::new(|| event::READ.split(',').count());

static AFTER: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {} FROM (SELECT * FROM longrun.event WHERE cursor > $1 AND cursor > {PRUNED} ORDER BY cursor LIMIT $2) e \
         LEFT JOIN LATERAL (SELECT * FROM longrun.operation o WHERE o.seq = e.seq OFFSET 0) o ON true ORDER BY e.cursor",
        *COLUMNS
    )
});
/// From the operation's last event back to the cursor; then the first ones of those.
static CHAIN: LazyLock<String> = LazyLock::new(|| {
    format!(
        "WITH RECURSIVE chain AS ( \
             SELECT e.cursor, e.previous FROM longrun.event e JOIN longrun.operation o ON o.cursor = e.cursor \
             WHERE o.id = $2 AND o.tenant IS NOT DISTINCT FROM $1 AND e.cursor > greatest($3, {PRUNED}) \
             UNION ALL \
             SELECT e.cursor, e.previous FROM longrun.event e JOIN chain c ON e.cursor = c.previous \
             WHERE e.cursor > greatest($3, {PRUNED})), \
         few AS (SELECT cursor, count(*) OVER () AS n FROM (SELECT cursor FROM chain LIMIT $5) c \
             ORDER BY cursor LIMIT $4) \
         SELECT {}, few.n FROM few JOIN longrun.event e USING (cursor) LEFT JOIN longrun.operation o USING (seq) \
         ORDER BY e.cursor",
        *COLUMNS
    )
});
const RESULTS: &str = "SELECT o.seq, coalesce(o.result, p.json) FROM longrun.operation o \
     LEFT JOIN longrun.payload p ON p.slot = o.seq * 2 + 1 WHERE o.seq = ANY ($1)";

/// The ends of what is kept.
pub(super) async fn ends(reader: &PostgresReader) -> Result<History> {
    let rows = reader.ask(&ENDS, Vec::new()).await?;
    let (mut whole_after, mut last) = (0, 0);
    if let Some(row) = rows.first() {
        let mut fields = fields(row);
        (whole_after, last) = (fields.int()?, fields.int()?);
    }
    Ok(History { epoch: reader.epoch, whole_after, last })
}

/// Some of the events after a cursor.
pub(super) async fn events(reader: &PostgresReader, of: &Whose, after: i64, limit: usize) -> Result<Events> {
    if let Whose::Operation(tenant, id) = of {
        let values = vec![
            Value::Text(tenant.as_str().into()),
            Value::Blob(id.0.as_bytes()),
            Value::Int(after),
            Value::Int(as_int(limit.min(ROWS))),
            Value::Int(CHAIN_MAX),
        ];
        let rows = reader.ask(&CHAIN, values).await?;
        let walked: Option<i64> = rows.first().and_then(|row| row.try_get(row.len() - 1).ok());
        if walked.is_none_or(|walked| walked < CHAIN_MAX) {
            return read(reader, Some(of), &rows, after, limit).await;
        }
    }
    forward(reader, Some(of), after, limit).await
}

/// From a cursor on, along all events: everybody's, or somebody's.
pub(super) async fn forward(
    reader: &PostgresReader,
    of: Option<&Whose>,
    after: i64,
    limit: usize,
) -> Result<Events> {
    if limit == 0 {
        return Ok(Events { events: Vec::new(), upto: after });
    }
    // Of everybody's nearly every row counts.
    let rows = if of.is_some() { ROWS } else { limit.min(ROWS) };
    let rows = reader.ask(&AFTER, vec![Value::Int(after), Value::Int(as_int(rows))]).await?;
    read(reader, of, &rows, after, limit).await
}

async fn read(
    reader: &PostgresReader,
    of: Option<&Whose>,
    rows: &[Row],
    after: i64,
    limit: usize,
) -> Result<Events> {
    let client = reader.client().await?;
    let lanes = rows.iter().filter_map(|row| row.try_get::<_, LaneId>(1).ok());
    reader.lanes.meet(client.link(), &reader.damage, lanes).await?;
    let results = results(reader, &client, rows).await?;
    let mut chunk = Events { events: Vec::new(), upto: after };
    let mut specs: HashMap<Seq, Arc<Spec>> = HashMap::new();
    let mut bytes = 0;
    for row in rows {
        if chunk.events.len() >= limit || bytes >= RESULT_BYTES {
            break;
        }
        chunk.upto = row.try_get(0).unwrap_or(chunk.upto);
        let event = reader.damage.heard("event", chunk.upto, one(reader, row, of, &mut specs, &results));
        if let Some(event) = sound(event)?.flatten() {
            bytes += event.operation.result().map_or(0, Payload::bytes);
            chunk.events.push(event);
        }
    }
    Ok(chunk)
}

/// An event, if it is asked for and its operation is not gone.
fn one(
    reader: &PostgresReader,
    row: &Row,
    of: Option<&Whose>,
    specs: &mut HashMap<Seq, Arc<Spec>>,
    results: &HashMap<Seq, Json>,
) -> std::result::Result<Option<Event>, Damaged> {
    let mut fields = fields(row);
    let (cursor, lane, seq) = (fields.int()?, fields.int()?, Seq(fields.int()?));
    let lane = reader.lanes.get(lane)?;
    if of.is_some_and(|whose| *whose.tenant() != lane.tenant) {
        return Ok(None);
    }
    let head = event::head(&mut fields, &lane)?;
    let spec = match (&head.spec, specs.get(&seq)) {
        (Some(spec), _) | (None, Some(spec)) => spec.clone(),
        (None, None) => {
            let is_there: bool = row.try_get(*WIDTH).unwrap_or(false);
            if !is_there {
                return Ok(None);
            }
            Arc::new(row::spec(&mut fields_after(row, *WIDTH + 1), lane)?)
        }
    };
    specs.insert(seq, spec.clone());
    if let Some(Whose::Operation(_, id)) = of
        && spec.id != *id
    {
        return Ok(None);
    }
    let mut event = event::rest(&mut fields, head, cursor, seq, spec)?;
    if let (EventKind::Completed, State::Completed { result, .. }) = (event.kind, &mut event.operation.state)
    {
        *result = results.get(&seq).cloned().map(Payload::Inline);
    }
    Ok(Some(event))
}

/// The results of those that completed.
async fn results(reader: &PostgresReader, client: &Lent, rows: &[Row]) -> Result<HashMap<Seq, Json>> {
    let mut completed = Vec::new();
    for row in rows {
        let (seq, kind) = (fields_after(row, 2).int()?, fields_after(row, 5).int()?);
        if codes::kind_of(kind) == Some(EventKind::Completed) {
            completed.push(seq);
        }
    }
    let mut results = HashMap::new();
    if completed.is_empty() {
        return Ok(results);
    }
    let mut pipeline = client.reading(&READ);
    let found = pipeline.call(RESULTS, vec![Value::ints(completed)]);
    let answers = pipeline.over().await?;
    for row in answers.of(found) {
        let mut fields = fields(row);
        let seq = Seq(fields.int()?);
        let json = fields.maybe_blob().and_then(|bytes| bytes.map(text::json).transpose());
        let kept = sound(reader.damage.heard_of("payload", seq, json))?.flatten();
        results.extend(kept.map(|kept| (seq, kept)));
    }
    Ok(results)
}

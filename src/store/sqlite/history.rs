//! What is recorded of each change, read again: each event with the operation as it was after it.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use rusqlite::{Connection, OptionalExtension, Row};

use super::columns::{fields, fields_after};
use super::error::Result;
use super::lanes::LaneId;
use super::payload;
use super::registry::Meta;
use crate::operation::{Event, EventKind, Lane, Payload, Seq, Spec, State};
use crate::store::stored::damage::{Damage, sound};
use crate::store::stored::{Damaged, event, row};
use crate::store::{Events, History};

static AFTER: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {} FROM event WHERE cursor > ?1 ORDER BY cursor LIMIT ?2", event::READ));

/// What never changes of an operation that is still there.
static SPEC_OF: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {} FROM operation WHERE seq = ?1", row::SPEC));
const PREVIOUS: &str = "SELECT previous FROM event WHERE cursor = ?1";
const LAST: &str = "SELECT max(cursor) FROM event";

/// Events of one operation that are found by walking back from its last one; with more, all events are read forward.
const CHAIN_MAX: usize = 20_000;
/// Bytes of results after which a chunk ends.
const RESULT_BYTES: usize = 1 << 20;

/// The ends of what is kept.
pub(super) fn ends(connection: &Connection, epoch: u32) -> Result<History> {
    let last: Option<i64> = connection.prepare_cached(LAST)?.query_row([], |row| row.get(0))?;
    // Those of what was deleted since were given, too.
    let given = Meta::NextCursor.get(connection)?.unwrap_or(1) - 1;
    let whole_after = Meta::PrunedUpto.get(connection)?.unwrap_or(0);
    Ok(History { epoch, whole_after, last: last.unwrap_or(0).max(given) })
}

/// The cursors of one operation's events after that one, oldest first; none: they are too many to walk.
pub(super) fn chain(connection: &Connection, last: i64, after: i64) -> Result<Option<Vec<i64>>> {
    let mut statement = connection.prepare_cached(PREVIOUS)?;
    let (mut cursor, mut cursors) = (last, Vec::new());
    while cursor > after {
        let Some(previous) = statement.query_row([cursor], |row| row.get(0)).optional()? else { break };
        cursors.push(cursor);
        if cursors.len() > CHAIN_MAX {
            return Ok(None);
        }
        cursor = previous;
    }
    cursors.reverse();
    Ok(Some(cursors))
}

/// Reads at most `rows` events after a cursor, and keeps those of the lanes that `mine` gives, at most `limit`. One that
/// is damaged is left out: a stream that ended there would end there again.
pub(super) fn chunk(
    connection: &Connection,
    damage: &Damage,
    after: i64,
    rows: usize,
    limit: usize,
    mine: &mut dyn FnMut(LaneId, Seq) -> Result<Option<Arc<Lane>>>,
) -> Result<Events> {
    let mut statement = connection.prepare_cached(&AFTER)?;
    let mut found = statement.query((after, i64::try_from(rows).unwrap_or(i64::MAX)))?;
    let mut chunk = Events { events: Vec::new(), upto: after };
    let mut specs: HashMap<i64, Arc<Spec>> = HashMap::new();
    let mut result_bytes = 0;
    while chunk.events.len() < limit && result_bytes < RESULT_BYTES {
        let Some(row) = found.next()? else { break };
        let (cursor, lane, seq): (i64, LaneId, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        chunk.upto = cursor;
        if let Some(lane) = mine(lane, Seq(seq))? {
            let event = damage.heard("event", cursor, read(connection, row, lane, &mut specs));
            let Some(event) = sound(event)? else { continue };
            result_bytes += event.operation.result().map_or(0, Payload::bytes);
            chunk.events.push(event);
        }
    }
    Ok(chunk)
}

fn read(
    connection: &Connection,
    row: &Row<'_>,
    lane: Arc<Lane>,
    specs: &mut HashMap<i64, Arc<Spec>>,
) -> Result<Event> {
    let mut fields = fields(row);
    let (cursor, _, seq) = (fields.int()?, fields.int()?, fields.int()?);
    let head = event::head(&mut fields, &lane)?;
    let spec = match (&head.spec, specs.get(&seq)) {
        (Some(spec), _) | (None, Some(spec)) => spec.clone(),
        (None, None) => spec_of(connection, seq, lane)?,
    };
    specs.insert(seq, spec.clone());
    let mut event = event::rest(&mut fields, head, cursor, Seq(seq), spec)?;
    if let (EventKind::Completed, State::Completed { result, .. }) = (event.kind, &mut event.operation.state)
    {
        *result = payload::result_of(connection, Seq(seq))?.map(Payload::Inline);
    }
    Ok(event)
}

fn spec_of(connection: &Connection, seq: i64, lane: Arc<Lane>) -> Result<Arc<Spec>> {
    let mut statement = connection.prepare_cached(&SPEC_OF)?;
    let mut rows = statement.query([seq])?;
    let row = rows.next()?.ok_or(Damaged("an event is of no operation"))?;
    let mut fields = fields_after(row, 2);
    Ok(Arc::new(row::spec(&mut fields, lane)?))
}

//! What is recorded of each change, read again: each event with the operation as it was after it.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row};

use super::columns::Fields;
use super::damage::{Damage, sound};
use super::error::{Fault, Result};
use super::lanes::LaneId;
use super::registry::Meta;
use super::row::{self, Resting};
use super::{codes, payload, record, text};
use crate::operation::{
    Actor, Carrier, Event, EventKind, Lane, Lease, LeaseToken, Operation, Payload, Progress, Seq, Spec,
    State, Status, Timestamp,
};
use crate::store::{Events, History};

/// In the order in which [`read`] reads it.
const AFTER: &str = "SELECT cursor, lane, seq, previous, at, kind, via, actor, status_before, spec, version, status, \
     hold, attempts, token, ready_at, last_action, started, finished, percent, detail, resource_location, outcome, \
     error, cancel_requested, start_at, expires FROM event WHERE cursor > ?1 ORDER BY cursor LIMIT ?2";

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
    let mut statement = connection.prepare_cached(AFTER)?;
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
    let mut fields = Fields::of(row);
    let (cursor, _, seq, previous) = (fields.int()?, fields.int()?, fields.int()?, fields.int()?);
    let at = fields.time()?;
    let kind = codes::kind_of(fields.int()?).ok_or(Fault::Damaged("an event's kind has no word"))?;
    let via = codes::via_of(fields.int()?).ok_or(Fault::Damaged("an event's door has no word"))?;
    let actor = Actor { name: Arc::from(fields.text()?), via };
    let status_before = fields.maybe_int()?.and_then(codes::status_of);
    let spec = match (fields.maybe_text()?, specs.get(&seq)) {
        (Some(text), _) => Arc::new(record::read(text, lane)?),
        (None, Some(spec)) => spec.clone(),
        (None, None) => spec_of(connection, seq, lane)?,
    };
    specs.insert(seq, spec.clone());
    let mut operation = row::blank(Seq(seq), spec);
    operation.cursor = cursor;
    operation.changed = at;
    stand(&mut fields, &mut operation, &actor)?;
    if let (EventKind::Completed, State::Completed { result, .. }) = (kind, &mut operation.state) {
        *result = payload::result_of(connection, Seq(seq))?.map(Payload::Inline);
    }
    Ok(Event { cursor, previous, at, kind, actor, status_before, operation })
}

/// Where the operation stood after the event. Instants that are its own are not written again.
fn stand(fields: &mut Fields<'_>, operation: &mut Operation, actor: &Actor) -> Result<()> {
    let at = operation.changed;
    operation.version = fields.int()?;
    let status = fields.status()?;
    let hold = fields.hold()?;
    operation.attempts = fields.small()?;
    operation.token = LeaseToken(fields.int()?);
    let ready_at = Some(fields.maybe_time()?.unwrap_or(at));
    operation.last_action = fields.maybe_time()?.unwrap_or(at);
    operation.started = fields.maybe_time()?;
    let finished = Some(fields.maybe_time()?.unwrap_or(at));
    operation.progress =
        Progress { percent: fields.maybe_small()?, detail: fields.maybe_text()?.map(Arc::from) };
    let resource_location = fields.maybe_text()?.map(Arc::from);
    let outcome = fields.maybe_int()?;
    let error = fields.maybe_text()?.map(text::failure).transpose()?;
    operation.cancel_requested = fields.flag()?;
    operation.start_at = fields.maybe_time()?;
    operation.expires = fields.maybe_time()?;
    operation.last_failure.clone_from(&error);
    operation.state = match status {
        Status::Running if operation.spec.external => State::Running(Carrier::Owner),
        Status::Running => State::Running(Carrier::Worker(past_lease(actor, operation.token, at)?)),
        _ => {
            let result = None;
            row::resting(Resting {
                status,
                hold,
                ready_at,
                finished,
                outcome,
                error,
                result,
                resource_location,
            })?
        }
    };
    Ok(())
}

/// Leases of the past are kept nowhere and shown to nobody: only that there was one, and its token.
fn past_lease(actor: &Actor, token: LeaseToken, at: Timestamp) -> Result<Lease> {
    let nobody = || text::tag("-");
    let worker = text::tag(&actor.name).or_else(|_| nobody())?;
    Ok(Lease { token, worker, claim: nobody()?, own: false, seconds: 0, until: at, cap: None, pending: None })
}

fn spec_of(connection: &Connection, seq: i64, lane: Arc<Lane>) -> Result<Arc<Spec>> {
    let mut statement = connection.prepare_cached(&record::SPEC_OF)?;
    let mut rows = statement.query([seq])?;
    let row = rows.next()?.ok_or(Fault::Damaged("an event is of no operation"))?;
    let mut fields = Fields::after(row, 2);
    Ok(Arc::new(row::spec(&mut fields, lane)?))
}

//! What is recorded of each change, read again: each event with the operation as it was after it.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, Row};

use super::columns::Fields;
use super::error::{Fault, Result};
use super::lanes::LaneId;
use super::row::{self, Resting};
use super::{codes, record, text};
use crate::operation::{
    Actor, Carrier, Event, Lane, Lease, LeaseToken, Operation, Progress, Seq, Spec, State, Status, Timestamp,
};

/// In the order in which [`read`] reads it.
const AFTER: &str = "SELECT cursor, lane, seq, previous, at, kind, via, actor, status_before, spec, version, status, \
     hold, attempts, token, ready_at, last_action, started, finished, percent, detail, resource_location, outcome, \
     error, cancel_requested, start_at, expires FROM event WHERE cursor > ?1 ORDER BY cursor LIMIT ?2";

/// One chunk of the history: how far it was read, and what of it is the caller's.
pub(super) struct Chunk {
    pub(super) events: Vec<Event>,
    pub(super) last: i64,
    pub(super) ended: bool,
}

/// Reads at most `rows` events after a cursor, and keeps those of the lanes that `mine` gives, at most `limit`.
pub(super) fn chunk(
    connection: &Connection,
    after: i64,
    rows: usize,
    limit: usize,
    mine: &mut dyn FnMut(LaneId) -> Result<Option<Arc<Lane>>>,
) -> Result<Chunk> {
    let mut statement = connection.prepare_cached(AFTER)?;
    let mut found = statement.query((after, i64::try_from(rows).unwrap_or(i64::MAX)))?;
    let mut chunk = Chunk { events: Vec::new(), last: after, ended: false };
    let mut specs: HashMap<i64, Arc<Spec>> = HashMap::new();
    let mut seen = 0;
    while chunk.events.len() < limit {
        let Some(row) = found.next()? else {
            chunk.ended = seen < rows;
            break;
        };
        seen += 1;
        let (cursor, lane): (i64, LaneId) = (row.get(0)?, row.get(1)?);
        chunk.last = cursor;
        if let Some(lane) = mine(lane)? {
            chunk.events.push(read(connection, row, lane, &mut specs)?);
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

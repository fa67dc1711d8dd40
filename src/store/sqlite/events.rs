//! What is recorded of each change. Events of one operation are chained by `previous`, newest first.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row};

use super::error::{Fault, Result};
use super::lanes::{LaneId, Lanes};
use super::row::{self, Binder, Fields, Resting};
use super::{codes, record};
use crate::operation::{
    Actor, Carrier, ClaimId, Event, EventKind, Lease, LeaseToken, Progress, Seq, Spec, State, Status,
    Timestamp, WorkerId,
};
use crate::store::turn::{Changes, Recorded};

const ADD: &str = "INSERT INTO event (cursor, seq, lane, previous, at, kind, via, actor, status_before, version, \
     status, hold, attempts, token, ready_at, last_action, started, finished, percent, detail, resource_location, \
     outcome, error, cancel_requested, start_at, expires, spec) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, \
     ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
const FORGET: &str = "DELETE FROM event WHERE cursor = ?1 RETURNING previous";
/// In the order in which [`read`] reads it.
const AFTER: &str = "SELECT cursor, lane, seq, previous, at, kind, via, actor, status_before, version, status, \
     hold, attempts, token, ready_at, last_action, started, finished, percent, detail, resource_location, outcome, \
     error, cancel_requested, start_at, expires, spec FROM event WHERE cursor > ?1 ORDER BY cursor LIMIT ?2";

/// Appends the events of a turn. Of a deleted operation only that it was deleted is kept.
pub(super) fn write(connection: &Connection, lanes: &mut Lanes, changes: &Changes) -> Result<()> {
    if changes.events.is_empty() {
        return Ok(());
    }
    let mut statement = connection.prepare_cached(ADD)?;
    for recorded in &changes.events {
        let gone = changes.operations[recorded.touched].after.is_none();
        if gone && recorded.event.kind != EventKind::Deleted {
            continue;
        }
        let lane = lanes.intern(connection, &recorded.event.operation.spec.lane)?;
        let spec = gone.then(|| record::write(&recorded.event.operation.spec));
        bind(&mut Binder::of(&mut statement), recorded, lane, spec)?;
        statement.raw_execute()?;
    }
    Ok(())
}

fn bind(row: &mut Binder<'_, '_>, recorded: &Recorded, lane: LaneId, spec: Option<String>) -> Result<()> {
    let Event { cursor, previous, at, kind, actor, status_before, operation } = &recorded.event;
    let (hold, ready_at) = match operation.state {
        State::Waiting { hold, ready_at } => (hold, Some(ready_at)),
        _ => (None, None),
    };
    let outcome = match operation.state {
        State::Failed { outcome, .. } => Some(codes::outcome(outcome)),
        _ => None,
    };
    row.put(cursor)?.put(operation.seq.0)?.put(lane)?.put(previous)?.time(*at)?;
    row.put(codes::kind(*kind))?.put(codes::via(actor.via))?.put(&*actor.name)?;
    row.put(status_before.map(codes::status))?.put(operation.version)?;
    row.put(codes::status(operation.status()))?.put(codes::hold(hold))?.put(operation.attempts)?;
    row.put(operation.token.0)?.maybe_time(ready_at.filter(|ready_at| ready_at != at))?;
    row.maybe_time(Some(operation.last_action).filter(|last| last != at))?.maybe_time(operation.started)?;
    row.maybe_time(operation.completed().filter(|end| end != at))?;
    row.put(operation.progress.percent)?.put(operation.progress.detail.as_deref())?;
    row.put(operation.resource_location().map(|url| &**url))?.put(outcome)?;
    row.put(operation.failure().map(|failure| row::failure_text(failure)))?;
    row.put(operation.cancel_requested.then_some(1))?;
    row.maybe_time(operation.start_at)?.maybe_time(operation.expires)?.put(spec)?;
    Ok(())
}

/// Removes the events of an operation, from its last one back to its first.
pub(super) fn forget(connection: &Connection, last: i64) -> Result<()> {
    let mut statement = connection.prepare_cached(FORGET)?;
    let mut cursor = last;
    while cursor > 0 {
        let previous = statement.query_row([cursor], |row| row.get(0)).optional()?;
        cursor = previous.unwrap_or(0);
    }
    Ok(())
}

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
    mine: &mut dyn FnMut(LaneId) -> Result<Option<Arc<crate::operation::Lane>>>,
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
    lane: Arc<crate::operation::Lane>,
    specs: &mut HashMap<i64, Arc<Spec>>,
) -> Result<Event> {
    let mut fields = Fields::of(row);
    let Happening { cursor, seq, previous, at, kind, actor, status_before } = happening(&mut fields)?;
    let version = fields.int()?;
    let status = fields.status()?;
    let hold = codes::hold_of(fields.int()?)?;
    let (attempts, token) = (fields.small()?, LeaseToken(fields.int()?));
    let ready_at = Some(fields.maybe_time()?.unwrap_or(at));
    let last_action = fields.maybe_time()?.unwrap_or(at);
    let started = fields.maybe_time()?;
    let finished = Some(fields.maybe_time()?.unwrap_or(at));
    let progress = Progress { percent: fields.maybe_small()?, detail: fields.maybe_text()?.map(Arc::from) };
    let resource_location = fields.maybe_text()?.map(Arc::from);
    let outcome = fields.maybe_int()?;
    let error = fields.maybe_text()?.map(row::failure).transpose()?;
    let cancel_requested = fields.flag()?;
    let (start_at, expires) = (fields.maybe_time()?, fields.maybe_time()?);
    let spec = match (fields.maybe_text()?, specs.get(&seq)) {
        (Some(text), _) => Arc::new(record::read(text, lane)?),
        (None, Some(spec)) => spec.clone(),
        (None, None) => spec_of(connection, seq, lane)?,
    };
    specs.insert(seq, spec.clone());
    let mut operation = row::blank(Seq(seq), spec);
    operation.last_failure.clone_from(&error);
    operation.state = match status {
        Status::Running if operation.spec.external => State::Running(Carrier::Owner),
        Status::Running => State::Running(Carrier::Worker(past_lease(&actor, token, at)?)),
        _ => {
            let result = None;
            let resting =
                Resting { status, hold, ready_at, finished, outcome, error, result, resource_location };
            row::resting(resting)?
        }
    };
    operation.version = version;
    operation.cursor = cursor;
    operation.last_action = last_action;
    operation.changed = at;
    operation.attempts = attempts;
    operation.token = token;
    operation.started = started;
    (operation.start_at, operation.expires) = (start_at, expires);
    operation.progress = progress;
    operation.cancel_requested = cancel_requested;
    Ok(Event { cursor, previous, at, kind, actor, status_before, operation })
}

/// What happened, apart from what became of the operation.
struct Happening {
    cursor: i64,
    seq: i64,
    previous: i64,
    at: Timestamp,
    kind: EventKind,
    actor: Actor,
    status_before: Option<Status>,
}

fn happening(fields: &mut Fields<'_>) -> Result<Happening> {
    let (cursor, _, seq, previous) = (fields.int()?, fields.int()?, fields.int()?, fields.int()?);
    let at = fields.time()?;
    let kind = codes::kind_of(fields.int()?).ok_or(Fault::Damaged("an event's kind has no word"))?;
    let via = codes::via_of(fields.int()?).ok_or(Fault::Damaged("an event's door has no word"))?;
    let actor = Actor { name: Arc::from(fields.text()?), via };
    let status_before = fields.maybe_int()?.and_then(codes::status_of);
    Ok(Happening { cursor, seq, previous, at, kind, actor, status_before })
}

/// Leases of the past are kept nowhere and shown to nobody: only that there was one, and its token.
fn past_lease(actor: &Actor, token: LeaseToken, at: Timestamp) -> Result<Lease> {
    let nobody = || ClaimId::parse("-").map_err(|_| Fault::Damaged("a worker's name is none"));
    let worker = WorkerId::parse(&actor.name).or_else(|_| nobody())?;
    Ok(Lease { token, worker, claim: nobody()?, own: false, seconds: 0, until: at, cap: None, pending: None })
}

fn spec_of(connection: &Connection, seq: i64, lane: Arc<crate::operation::Lane>) -> Result<Arc<Spec>> {
    let mut statement = connection.prepare_cached(&record::SPEC_OF)?;
    let mut rows = statement.query([seq])?;
    let row = rows.next()?.ok_or(Fault::Damaged("an event is of no operation"))?;
    let mut fields = Fields::of(row);
    fields.int()?;
    fields.int()?;
    Ok(Arc::new(row::spec(&mut fields, lane)?))
}

//! What is recorded of each change, written. Events of one operation are chained by `previous`, newest first.

use rusqlite::{Connection, OptionalExtension};

use super::columns::{Binder, Prepared};
use super::error::Result;
use super::lanes::{LaneId, Lanes};
use super::{codes, record, text};
use crate::operation::{Event, EventKind, State};
use crate::store::turn::{Changes, Recorded};

const ADD: &str = "INSERT INTO event (cursor, seq, lane, previous, at, kind, via, actor, status_before, version, \
     status, hold, attempts, token, ready_at, last_action, started, finished, percent, detail, resource_location, \
     outcome, error, cancel_requested, start_at, expires, spec) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, \
     ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
const PRUNE: &str = "DELETE FROM event WHERE cursor <= ?1";
const FORGET: &str = "DELETE FROM event WHERE cursor = ?1 RETURNING previous";

/// Appends the events of a turn. Of a deleted operation only that it was deleted is kept.
pub(super) fn write(connection: &Connection, lanes: &mut Lanes, changes: &Changes) -> Result<()> {
    if changes.events.is_empty() {
        return Ok(());
    }
    let mut statement = Prepared::of(connection, ADD)?;
    for recorded in &changes.events {
        let gone = changes.operations[recorded.touched].after.is_none();
        if gone && recorded.event.kind != EventKind::Deleted {
            continue;
        }
        let lane = lanes.intern(connection, &recorded.event.operation.spec.lane)?;
        let spec = gone.then(|| record::write(&recorded.event.operation.spec));
        let mut row = statement.row();
        bind(&mut row, recorded, lane, spec)?;
        row.run()?;
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
    row.put(operation.failure().map(|failure| text::failure_text(failure)))?;
    row.put(operation.cancel_requested.then_some(1))?;
    row.maybe_time(operation.start_at)?.maybe_time(operation.expires)?.put(spec)?;
    Ok(())
}

/// Removes the events that are older than may be kept.
pub(super) fn prune(connection: &Connection, changes: &Changes) -> Result<()> {
    if let Some(upto) = changes.events_pruned {
        connection.prepare_cached(PRUNE)?.execute([upto])?;
    }
    Ok(())
}

/// Removes the events of an operation, from its last one back to its first, or to one that is pruned.
pub(super) fn forget(connection: &Connection, last: i64, pruned: i64) -> Result<()> {
    let mut statement = connection.prepare_cached(FORGET)?;
    let mut cursor = last;
    while cursor > pruned {
        let previous = statement.query_row([cursor], |row| row.get(0)).optional()?;
        cursor = previous.unwrap_or(0);
    }
    Ok(())
}

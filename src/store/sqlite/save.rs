//! Writes a turn: each changed operation once, and what belongs to it.

use std::sync::LazyLock;

use rusqlite::Connection;

use super::columns::{Binder, Prepared};
use super::error::{Fault, Result};
use super::lanes::{LaneId, Lanes};
use super::{Resident, codes, counts, events, leases, payload, registry, text};
use crate::operation::{Operation, Payload, Spec, State, Timestamp};
use crate::store::turn::{Changes, Touched};

/// What may change, in the order in which [`bind_standing`] binds it. Of the columns that stand in an index only those
/// are set that did change ([`UPDATES`]): SQLite rewrites the index even when the value is the same.
const STANDING: [&str; 22] = [
    "version",
    "cursor",
    "last_action",
    "changed",
    "attempts",
    "releases",
    "token",
    "ended_token",
    "ended_status",
    "started",
    "start_at",
    "expires",
    "percent",
    "detail",
    "told_count",
    "told_at",
    "outcome",
    "error",
    "last_error",
    "cancel_requested",
    "resource_location",
    "result",
];
/// The same, in the ready index, and in that of what has ended.
const PLACE: [&str; 4] = ["status", "hold", "ready_at", "finished"];
/// The same, in the index of the tick.
const WAKE: [&str; 1] = ["wake_at"];
/// The last of what may change.
const RESULT_BYTES: [&str; 1] = ["result_bytes"];
/// What never does, in the order in which [`bind_spec`] binds it.
const SPEC: [&str; 17] = [
    "seq",
    "tenant",
    "id",
    "lane",
    "urgency",
    "max_attempts",
    "external",
    "created",
    "received",
    "submitted_by",
    "fingerprint",
    "key",
    "timeout_seconds",
    "retry",
    "labels",
    "input",
    "input_bytes",
];

static INSERT: LazyLock<String> = LazyLock::new(|| {
    let columns = [&STANDING[..], &RESULT_BYTES, &PLACE, &WAKE, &SPEC].concat();
    let holes = vec!["?"; columns.len()].join(", ");
    format!("INSERT INTO operation ({}) VALUES ({holes})", columns.join(", "))
});

/// By whether the place changed (1) and the wake-up time did (2). Guarded by the version that was loaded.
static UPDATES: LazyLock<[String; 4]> = LazyLock::new(|| {
    std::array::from_fn(|shape| {
        let mut columns = [&STANDING[..], &RESULT_BYTES].concat();
        if shape & 1 != 0 {
            columns.extend(PLACE);
        }
        if shape & 2 != 0 {
            columns.extend(WAKE);
        }
        format!("UPDATE operation SET {} = ? WHERE seq = ? AND version = ?", columns.join(" = ?, "))
    })
});

const DELETE: &str = "DELETE FROM operation WHERE seq = ?1 AND version = ?2";
const DELETE_ATTEMPTS: &str = "DELETE FROM attempt WHERE seq = ?1";

/// Writes all of it into the open transaction. The events have their cursors.
pub(super) fn write(connection: &Connection, resident: &mut Resident, changes: &Changes) -> Result<()> {
    let Resident { lanes, pruned_upto, .. } = resident;
    let operations = &changes.operations;
    // What was deleted goes first: its id and key are free again for the same turn's submits.
    events::prune(connection, changes)?;
    delete(connection, operations, changes.events_pruned.unwrap_or(*pruned_upto))?;
    update(connection, lanes, operations)?;
    insert(connection, lanes, operations)?;
    payload::write(connection, operations)?;
    leases::write(connection, operations)?;
    counts::write(connection, operations)?;
    events::write(connection, lanes, changes)?;
    registry::write(connection, changes)
}

/// Takes all that belongs to an operation along; of its events those up to `pruned` are gone already.
fn delete(connection: &Connection, operations: &[Touched], pruned: i64) -> Result<()> {
    for touched in operations.iter().filter(|touched| touched.after.is_none()) {
        let Some(before) = &touched.before else { continue };
        let seq = before.seq.0;
        let rows = connection.prepare_cached(DELETE)?.execute((seq, before.version))?;
        guarded(rows, seq)?;
        payload::forget(connection, before.seq)?;
        connection.prepare_cached(DELETE_ATTEMPTS)?.execute([seq])?;
        events::forget(connection, before.cursor, pruned)?;
    }
    Ok(())
}

fn guarded(rows: usize, seq: i64) -> Result<()> {
    if rows == 1 { Ok(()) } else { Err(Fault::Guard(seq)) }
}

fn update(connection: &Connection, lanes: &mut Lanes, operations: &[Touched]) -> Result<()> {
    let mut statements: [Option<Prepared<'_>>; 4] = [const { None }; 4];
    for touched in operations.iter().filter(|touched| touched.row_changed()) {
        let (Some(before), Some(after)) = (&touched.before, &touched.after) else { continue };
        let place = place(after);
        let (moved, wake) = (place != self::place(before), after.wake_at());
        let woken = wake != before.wake_at();
        let shape = usize::from(moved) | usize::from(woken) << 1;
        let statement = match &mut statements[shape] {
            Some(statement) => statement,
            empty => empty.insert(Prepared::of(connection, &UPDATES[shape])?),
        };
        let mut row = statement.row();
        bind_standing(&mut row, after)?;
        if moved {
            bind_place(&mut row, place)?;
        }
        if woken {
            row.maybe_time(wake)?;
        }
        row.put(after.seq.0)?.put(before.version)?;
        guarded(row.run()?, after.seq.0)?;
        if let Some(rank) = after.rank() {
            let lane = lanes.intern(connection, &after.spec.lane)?;
            lanes.arrives(lane, rank);
        }
    }
    Ok(())
}

fn insert(connection: &Connection, lanes: &mut Lanes, operations: &[Touched]) -> Result<()> {
    let mut statement = None;
    for touched in operations.iter().filter(|touched| touched.before.is_none()) {
        let Some(after) = &touched.after else { continue };
        let lane = lanes.intern(connection, &after.spec.lane)?;
        let statement = match &mut statement {
            Some(statement) => statement,
            empty => empty.insert(Prepared::of(connection, &INSERT)?),
        };
        let mut row = statement.row();
        bind_standing(&mut row, after)?;
        bind_place(&mut row, place(after))?;
        row.maybe_time(after.wake_at())?;
        bind_spec(&mut row, after, lane)?;
        row.run()?;
        if let Some(rank) = after.rank() {
            lanes.arrives(lane, rank);
        }
    }
    Ok(())
}

/// The columns of [`PLACE`].
type Place = (i64, i64, Option<i64>, Option<i64>);

fn place(operation: &Operation) -> Place {
    let (hold, ready_at) = match operation.state {
        State::Waiting { hold, ready_at } => (hold, Some(ready_at.ticks())),
        _ => (None, None),
    };
    let finished = operation.completed().map(Timestamp::ticks);
    (codes::status(operation.status()), codes::hold(hold), ready_at, finished)
}

fn bind_place(row: &mut Binder<'_, '_>, (status, hold, ready_at, finished): Place) -> Result<()> {
    row.put(status)?.put(hold)?.put(ready_at)?.put(finished)?;
    Ok(())
}

fn bind_standing(row: &mut Binder<'_, '_>, after: &Operation) -> Result<()> {
    let (outcome, error) = match &after.state {
        State::Failed { failure, outcome, .. } => (Some(codes::outcome(*outcome)), Some(failure)),
        _ => (None, None),
    };
    let ended = after.ended_by;
    let told = after.progress_told;
    row.put(after.version)?.put(after.cursor)?.time(after.last_action)?.time(after.changed)?;
    row.put(after.attempts)?.put((after.releases > 0).then_some(after.releases))?.put(after.token.0)?;
    row.put(ended.map(|ended| ended.token.0))?.put(ended.map(|ended| codes::status(ended.status)))?;
    row.maybe_time(after.started)?.maybe_time(after.start_at)?.maybe_time(after.expires)?;
    row.put(after.progress.percent)?.put(after.progress.detail.as_deref())?;
    row.put(told.map(|(count, _)| count))?.maybe_time(told.map(|(_, at)| at))?;
    row.put(outcome)?;
    row.put(error.map(|error| text::failure_text(error)))?;
    row.put(after.last_failure.as_ref().map(|failure| text::failure_text(failure)))?;
    row.put(after.cancel_requested.then_some(1))?.put(after.resource_location().map(|url| &**url))?;
    bind_payload(row, after.result())
}

/// In the order of [`SPEC`].
fn bind_spec(row: &mut Binder<'_, '_>, after: &Operation, lane: LaneId) -> Result<()> {
    let spec: &Spec = &after.spec;
    row.put(after.seq.0)?.put(spec.lane.tenant.as_str())?.put(spec.id.0.as_bytes().as_slice())?.put(lane)?;
    row.put(-spec.priority)?.put(spec.max_attempts)?.put(spec.external)?;
    row.time(spec.created)?.time(spec.received)?.put(&*spec.submitted_by)?;
    row.put(spec.fingerprint.as_ref().map(<[u8; 32]>::as_slice))?.put(spec.key.as_deref())?;
    row.put(spec.timeout_seconds)?.put(spec.retry.as_ref().map(text::retry_text))?;
    row.put(spec.labels.as_ref().map(text::labels_text))?;
    bind_payload(row, spec.input.as_ref())
}

/// The payload itself while it is small, else its length.
fn bind_payload(row: &mut Binder<'_, '_>, payload: Option<&Payload>) -> Result<()> {
    let inline = payload.and_then(Payload::inline).filter(|json| !payload::stands_apart(json));
    row.put(inline.map(|json| json.get().as_bytes()))?;
    row.put(payload.filter(|_| inline.is_none()).map(|payload| length(payload.bytes())))?;
    Ok(())
}

fn length(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

//! Writes a turn: each changed operation once, and what belongs to it.

use std::sync::LazyLock;

use rusqlite::Connection;

use super::columns::Prepared;
use super::error::{Fault, Result};
use super::lanes::Lanes;
use super::{Resident, counts, events, leases, payload, registry};
use crate::store::stored::Bind;
use crate::store::stored::row::{self, PLACE, SPEC_WRITTEN, STANDING, WAKE};
use crate::store::turn::{Changes, Touched};

static INSERT: LazyLock<String> = LazyLock::new(|| {
    let columns = [&STANDING[..], &PLACE, &WAKE, &SPEC_WRITTEN].concat();
    let holes = vec!["?"; columns.len()].join(", ");
    format!("INSERT INTO operation ({}) VALUES ({holes})", columns.join(", "))
});

/// By whether the place changed (1) and the wake-up time did (2): of the columns that stand in an index only those are set
/// that did change, since SQLite rewrites the index even when the value is the same. Guarded by the version that was loaded.
static UPDATES: LazyLock<[String; 4]> = LazyLock::new(|| {
    std::array::from_fn(|shape| {
        let mut columns = STANDING.to_vec();
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
        let place = row::place(after);
        let (moved, wake) = (place != row::place(before), after.wake_at());
        let woken = wake != before.wake_at();
        let shape = usize::from(moved) | usize::from(woken) << 1;
        let statement = match &mut statements[shape] {
            Some(statement) => statement,
            empty => empty.insert(Prepared::of(connection, &UPDATES[shape])?),
        };
        let mut row = statement.row();
        row::bind_standing(&mut row, after);
        if moved {
            row::bind_place(&mut row, place);
        }
        if woken {
            row.time(wake);
        }
        row.put(after.seq.0);
        row.put(before.version);
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
        row::bind_standing(&mut row, after);
        row::bind_place(&mut row, row::place(after));
        row.time(after.wake_at());
        row::bind_spec(&mut row, after, lane);
        row.run()?;
        if let Some(rank) = after.rank() {
            lanes.arrives(lane, rank);
        }
    }
    Ok(())
}

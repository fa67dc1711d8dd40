//! What is recorded of each change, written. Events of one operation are chained by `previous`, newest first.

use std::sync::LazyLock;

use rusqlite::{Connection, OptionalExtension};

use super::columns::Prepared;
use super::error::Result;
use super::lanes::Lanes;
use crate::store::stored::event;
use crate::store::turn::Changes;

static ADD: LazyLock<String> = LazyLock::new(|| {
    let holes = ["?"; event::WRITTEN.len()].join(", ");
    format!("INSERT INTO event ({}) VALUES ({holes})", event::WRITTEN.join(", "))
});
const PRUNE: &str = "DELETE FROM event WHERE cursor <= ?1";
const FORGET: &str = "DELETE FROM event WHERE cursor = ?1 RETURNING previous";

/// Appends the events of a turn.
pub(super) fn write(connection: &Connection, lanes: &mut Lanes, changes: &Changes) -> Result<()> {
    if changes.events.is_empty() {
        return Ok(());
    }
    let mut statement = Prepared::of(connection, &ADD)?;
    for (recorded, gone) in event::kept(changes) {
        let lane = lanes.intern(connection, &recorded.event.operation.spec.lane)?;
        let mut row = statement.row();
        event::bind(&mut row, recorded, lane, gone);
        row.run()?;
    }
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

//! The embedded store: one SQLite file, one writer, a few readers.
//!
//! [`open()`] takes the directory, recovers the file and reads what is kept in memory. A turn is `load` (what commands name:
//! by id, key, claim), `due` (what time acts on), `queues` (paused or limited), `claim` (the heads of lanes), then `save`,
//! which writes each changed row once, with its `payload`, `leases`, `counts` and `events`, and one commit with one sync. `reader` is the other half;
//! `list` decides how it finds what a list asks for, `scan` looks; `figures` are for the metrics.
//! `row`, `columns`, `text` and `codes` stand between the file and operations, `damage` knows the rows that are none, `wal` keeps the log short, `space` watches the disk. `source` is a store that is only read, by who carries it over to another; `copy` takes a copy of one, and brings it back, `examine` looks for what is wrong with it.
//!
//! Kept in memory are things bounded by limits or by running work: the lanes, the leases, what is
//! set for queues, a few numbers. They change only
//! once a commit is durable; after a rollback they are what the file says.

mod claim;
mod columns;
pub(super) mod copy;
mod counts;
mod due;
mod error;
mod events;
pub(super) mod examine;
mod figures;
mod history;
mod lanes;
mod leases;
mod list;
mod load;
mod migrate;
mod open;
mod payload;
mod prune;
mod queues;
mod reader;
mod registry;
mod save;
mod scan;
mod source;
mod space;
#[cfg(test)]
mod tests;
mod wal;

use std::collections::HashSet;
use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

pub use copy::Copied;
pub(super) use error::Fault;
pub use error::OpenError;
pub(super) use open::refusal;
pub use open::{Options, hold, is_there, open};
pub use reader::SqliteReader;
pub(super) use source::{Source, Standing};

use crate::operation::{Seq, Timestamp};
use crate::store::clock::Clock;
use crate::store::stored::Damage;
use crate::store::turn::{Changes, Touches, WorkingSet};
use crate::store::{Store, StoreError};
use error::{Health, Result};
use registry::Meta;

/// A commit writes the clock's mark when it is older than this.
const MARK_EVERY: Duration = Duration::from_secs(10);

/// The writing half. It owns the file for as long as it lives.
pub struct SqliteStore {
    log: wal::Log,
    writer: Connection,
    resident: Resident,
    clock: Arc<Clock>,
    space: space::Space,
    health: Arc<Health>,
    epoch: u32,
    /// Open until no connection is: closing it drops the locks that SQLite has on the file.
    _synced: Arc<File>,
    /// Last, so that nobody else opens the file before it is closed.
    lock: File,
}

/// What is kept in memory beside the file.
struct Resident {
    lanes: lanes::Lanes,
    leases: leases::Leases,
    queues: queues::Queues,
    wake: due::Wake,
    damage: Arc<Damage>,
    /// Operations that cannot be read.
    aside: HashSet<Seq>,
    next_seq: i64,
    next_cursor: i64,
    /// Events up to it may be pruned.
    pruned_upto: i64,
    /// The clock's mark in the file.
    mark: Timestamp,
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("SqliteStore").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

impl Resident {
    /// The turn is durable.
    fn settle(&mut self, changes: &Changes) {
        self.lanes.settle();
        self.leases.settle(&changes.operations);
        self.queues.settle(changes, &mut self.leases);
        self.wake.settle(&changes.operations);
        self.next_seq = next_seq(self.next_seq, changes);
        self.next_cursor = next_cursor(self.next_cursor, changes);
        self.pruned_upto = changes.events_pruned.unwrap_or(self.pruned_upto);
    }

    /// Leaves alone from now on what was found damaged, by either half.
    fn put_aside(&mut self) {
        for seq in self.damage.fresh() {
            self.leases.forget(seq);
            self.wake = due::Wake::default();
            self.aside.insert(seq);
        }
    }

    /// The turn was rolled back.
    fn undo(&mut self) {
        self.lanes.undo();
        self.leases.undo();
    }
}

/// The number after all that the turn gave, even to what it deleted again.
fn next_seq(standing: i64, changes: &Changes) -> i64 {
    let touched = changes.operations.iter().filter_map(crate::store::turn::Touched::seq);
    let recorded = changes.events.iter().map(|recorded| recorded.event.operation.seq);
    touched.chain(recorded).fold(standing, |next, seq| next.max(seq.0 + 1))
}

fn next_cursor(standing: i64, changes: &Changes) -> i64 {
    changes.events.last().map_or(standing, |last| last.event.cursor + 1)
}

impl SqliteStore {
    fn write(&mut self, changes: &Changes) -> Result<()> {
        load::open(&self.writer)?;
        save::write(&self.writer, &mut self.resident, changes)?;
        if let Some(upto) = changes.events_pruned {
            Meta::PrunedUpto.set(&self.writer, upto)?;
        }
        let gone = changes.operations.iter().any(|touched| touched.after.is_none());
        if gone || changes.events_pruned.is_some() {
            Meta::NextSeq.set(&self.writer, next_seq(self.resident.next_seq, changes))?;
            Meta::NextCursor.set(&self.writer, next_cursor(self.resident.next_cursor, changes))?;
        }
        let now = self.clock.now();
        if now.since(self.resident.mark) >= MARK_EVERY {
            Meta::ClockMark.set(&self.writer, now.ticks())?;
            // Should the commit fail, the next mark merely comes later.
            self.resident.mark = now;
        }
        self.writer.prepare_cached("COMMIT")?.execute([])?;
        Ok(())
    }

    /// Ends an open turn without a trace. Only a connection that is broken cannot do that.
    fn roll_back(&mut self) {
        self.resident.undo();
        if !self.writer.is_autocommit()
            && let Err(error) = self.writer.execute_batch("ROLLBACK")
        {
            self.health.fail(&error.to_string());
        }
    }

    /// What a failed turn means for its caller, and for all later ones.
    fn failed(&mut self, fault: Fault) -> StoreError {
        self.roll_back();
        let error = match fault {
            // A row is put aside where it is read; beyond that a writer that finds damage cannot go on.
            Fault::Damaged(what) => StoreError::Failed(what.to_string()),
            fault => fault.into(),
        };
        if let StoreError::Failed(why) = &error {
            self.health.fail(why);
        }
        error
    }
}

impl Store for SqliteStore {
    fn begin(&mut self, touches: &Touches) -> std::result::Result<WorkingSet, StoreError> {
        self.health.check()?;
        self.roll_back();
        self.log.shorten(&self.writer, &self.lock, &self.health);
        self.health.check()?;
        self.resident.put_aside();
        let loading = load::Loading::new(&self.writer, &mut self.resident, self.clock.now());
        loading.all(touches).map_err(|fault| self.failed(fault))
    }

    fn commit(&mut self, changes: &mut Changes) -> std::result::Result<(), StoreError> {
        self.health.check()?;
        if changes.is_empty() && !self.resident.leases.wrote() {
            self.roll_back();
            return self.health.check();
        }
        changes.number(self.resident.next_cursor);
        self.write(changes).map_err(|fault| self.failed(fault))?;
        self.resident.settle(changes);
        self.log.committed();
        Ok(())
    }

    fn next_due(&mut self) -> std::result::Result<Option<Timestamp>, StoreError> {
        self.health.check()?;
        let Resident { wake, aside, .. } = &mut self.resident;
        let wake = wake.first(&self.writer, aside).map_err(|fault| self.failed(fault))?;
        let lease = self.resident.leases.first_due();
        Ok(wake.into_iter().chain(lease).min())
    }

    fn has_room(&mut self) -> bool {
        let writer = &self.writer;
        self.space.has_room(|| wal::free_bytes(writer))
    }

    fn release_reserve(&mut self) {
        let _ = self.space.release();
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.roll_back();
        if self.health.is_sound()
            && let Err(fault) = Meta::ClockMark.set(&self.writer, self.clock.now().ticks())
        {
            tracing::warn!(%fault, "the clock's mark could not be written at the end");
        }
    }
}

//! What is older than may be kept, found in small steps. The turn that goes on from here removes it, guarded by version.
//!
//! Freed pages are used again by what comes; the file itself does not shrink. `VACUUM` would, but it stands still the
//! writer for as long as it copies, needs as much room again, and the next busy day would grow the file once more.

use rusqlite::Rows;

use super::error::Result;
use super::load::{self, Loading};
use crate::operation::{Seq, Timestamp};
use crate::store::turn::Prune;

pub(super) const ENDED: &str =
    "SELECT seq, finished FROM operation WHERE finished IS NOT NULL ORDER BY finished";
pub(super) const EVENTS: &str = "SELECT cursor, at FROM event WHERE cursor > ?1 ORDER BY cursor";

impl Loading<'_> {
    /// Loads the operations of one step, and finds how far its events go, and what stays.
    pub(super) fn stale(&mut self, prune: &Prune) -> Result<()> {
        load::open(self.connection)?;
        let mut ended = self.connection.prepare_cached(ENDED)?;
        let rows = ended.query([])?;
        let aside = |seq| self.resident.aside.contains(&Seq(seq));
        let (stale, oldest) = older(rows, aside, prune.operations, prune.ended_before)?;
        self.set.stale = self.numbered(stale.into_iter().map(Seq).collect())?;
        self.set.oldest.ended = oldest;

        // Cursors and times grow together, since the clock never steps back.
        let mut events = self.connection.prepare_cached(EVENTS)?;
        let rows = events.query([self.resident.pruned_upto])?;
        let (stale, oldest) = older(rows, |_| false, prune.events, prune.events_before)?;
        self.set.stale_events = stale.last().copied();
        self.set.oldest.happened = oldest;
        Ok(())
    }
}

/// The first rows that are older than that moment, at most so many, and the moment of the next one.
fn older(
    mut rows: Rows<'_>,
    passes_over: impl Fn(i64) -> bool,
    most: usize,
    before: Timestamp,
) -> Result<(Vec<i64>, Option<Timestamp>)> {
    let mut stale = Vec::new();
    while let Some(row) = rows.next()? {
        let (key, at) = (row.get(0)?, Timestamp::from_ticks(row.get(1)?));
        if passes_over(key) {
            continue;
        }
        if at >= before || stale.len() == most {
            return Ok((stale, Some(at)));
        }
        stale.push(key);
    }
    Ok((stale, None))
}

//! What is older than may be kept, found in small steps. The turn that goes on from here removes it, guarded by version.
//!
//! Freed pages are used again by what comes; the file itself does not shrink. `VACUUM` would, but it stands still the
//! writer for as long as it copies, needs as much room again, and the next busy day would grow the file once more.

use super::error::Result;
use super::load::{self, Loading};
use crate::operation::{Seq, Timestamp};
use crate::store::turn::Prune;

const STALE: &str = "SELECT seq FROM operation WHERE finished IS NOT NULL AND finished < ?1 \
     ORDER BY finished LIMIT ?2";
const OLDEST_EVENTS: &str = "SELECT cursor, at FROM event WHERE cursor > ?1 ORDER BY cursor LIMIT ?2";

impl Loading<'_> {
    /// Loads the operations of one step, and finds how far the events of it go.
    pub(super) fn stale(&mut self, prune: &Prune) -> Result<()> {
        load::open(self.connection)?;
        let mut statement = self.connection.prepare_cached(STALE)?;
        let mut rows = statement.query((prune.ended_before.ticks(), limit(prune.operations)))?;
        let mut stale = Vec::new();
        while let Some(row) = rows.next()? {
            stale.push(Seq(row.get(0)?));
        }
        self.numbered(&stale)?;
        self.set.stale = stale;
        let (events, upto) = self.stale_events(prune)?;
        self.set.stale_events = upto;
        self.set.more_stale = self.set.stale.len() == prune.operations || events == prune.events;
        Ok(())
    }

    /// How many, and the last of them. Cursors and times grow together, since the clock never steps back.
    fn stale_events(&self, prune: &Prune) -> Result<(usize, Option<i64>)> {
        let mut statement = self.connection.prepare_cached(OLDEST_EVENTS)?;
        let mut rows = statement.query((self.resident.pruned_upto, limit(prune.events)))?;
        let (mut events, mut upto) = (0, None);
        while let Some(row) = rows.next()? {
            if Timestamp::from_ticks(row.get(1)?) >= prune.events_before {
                break;
            }
            upto = Some(row.get(0)?);
            events += 1;
        }
        Ok((events, upto))
    }
}

fn limit(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

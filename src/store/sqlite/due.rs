//! What time itself acts on: rows with a `wake_at`, and leases.

use std::collections::HashSet;

use rusqlite::Connection;

use super::Resident;
use super::error::Result;
use super::load::{self, Loading};
use crate::operation::{Operation, Seq, Timestamp};
use crate::store::turn::Touched;

pub(super) const FIRST: &str =
    "SELECT seq, wake_at FROM operation WHERE wake_at IS NOT NULL ORDER BY wake_at";
pub(super) const DUE: &str =
    "SELECT seq FROM operation WHERE wake_at IS NOT NULL AND wake_at <= ?1 ORDER BY wake_at";

/// The earliest `wake_at` of all rows, as far as it is known without looking.
#[derive(Clone, Copy, Default)]
pub(super) enum Wake {
    #[default]
    Unknown,
    Known(Option<Timestamp>),
}

impl Wake {
    /// Looks, unless it is known; past what was put aside.
    pub(super) fn first(
        &mut self,
        connection: &Connection,
        aside: &HashSet<Seq>,
    ) -> Result<Option<Timestamp>> {
        if let Self::Known(first) = self {
            return Ok(*first);
        }
        let mut statement = connection.prepare_cached(FIRST)?;
        let mut rows = statement.query([])?;
        let mut first = None;
        while let Some(row) = rows.next()? {
            if !aside.contains(&Seq(row.get(0)?)) {
                first = Some(Timestamp::from_ticks(row.get(1)?));
                break;
            }
        }
        *self = Self::Known(first);
        Ok(first)
    }

    /// A turn is durable.
    pub(super) fn settle(&mut self, operations: &[Touched]) {
        for touched in operations {
            let before = touched.before.as_ref().and_then(|before| before.wake_at());
            let after = touched.after.as_ref().and_then(Operation::wake_at);
            let Self::Known(first) = *self else { return };
            if before == after {
                continue;
            }
            *self = match (before, after) {
                (_, Some(after)) if first.is_none_or(|first| after <= first) => Self::Known(Some(after)),
                (Some(before), _) if first.is_some_and(|first| before <= first) => Self::Unknown,
                _ => Self::Known(first),
            };
        }
    }
}

impl Loading<'_> {
    /// Leases first, since somebody's work hangs on them; then rows, the longest due first.
    pub(super) fn due(&mut self, limit: usize) -> Result<()> {
        let now = self.set.now;
        let mut due: Vec<Seq> = self.resident.leases.due(now, limit).collect();
        let Resident { wake, aside, .. } = &mut *self.resident;
        if due.len() < limit && wake.first(self.connection, aside)?.is_some_and(|first| first <= now) {
            load::open(self.connection)?;
            let mut statement = self.connection.prepare_cached(DUE)?;
            let mut rows = statement.query([now.ticks()])?;
            while due.len() < limit
                && let Some(row) = rows.next()?
            {
                let seq = Seq(row.get(0)?);
                if !aside.contains(&seq) {
                    due.push(seq);
                }
            }
        }
        self.set.due = self.numbered(due)?;
        Ok(())
    }
}

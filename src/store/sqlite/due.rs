//! What time itself acts on: rows with a `wake_at`, and leases.

use rusqlite::Connection;

use super::error::Result;
use super::load::{self, Loading};
use crate::operation::{Operation, Seq, Timestamp};
use crate::store::turn::Touched;

const FIRST: &str = "SELECT wake_at FROM operation WHERE wake_at IS NOT NULL ORDER BY wake_at LIMIT 1";
const DUE: &str = "SELECT seq FROM operation WHERE wake_at IS NOT NULL AND wake_at <= ?1 \
     ORDER BY wake_at LIMIT ?2";

/// The earliest `wake_at` of all rows, as far as it is known without looking.
#[derive(Clone, Copy, Default)]
pub(super) enum Wake {
    #[default]
    Unknown,
    Known(Option<Timestamp>),
}

impl Wake {
    /// Looks, unless it is known.
    pub(super) fn first(&mut self, connection: &Connection) -> Result<Option<Timestamp>> {
        if let Self::Known(first) = self {
            return Ok(*first);
        }
        let mut statement = connection.prepare_cached(FIRST)?;
        let first = match statement.query([])?.next()? {
            Some(row) => Some(Timestamp::from_ticks(row.get(0)?)),
            None => None,
        };
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
        let left = limit - due.len();
        if left > 0 && self.resident.wake.first(self.connection)?.is_some_and(|first| first <= now) {
            load::open(self.connection)?;
            let mut statement = self.connection.prepare_cached(DUE)?;
            let bound = (now.ticks(), i64::try_from(left).unwrap_or(i64::MAX));
            let mut rows = statement.query(bound)?;
            while let Some(row) = rows.next()? {
                due.push(Seq(row.get(0)?));
            }
        }
        self.numbered(&due)?;
        self.set.due = due;
        Ok(())
    }
}

//! Rows that hold what no version writes. Each is told of once, and everything else goes on without it.
//!
//! Both halves find such rows, while they decode. An operation of which a row is damaged is put aside: no claim, no tick
//! and no pruning comes upon it again, lists leave it out, and whoever names it is told that it cannot be read. It stays in
//! the file as it is, so that a later start finds it mended.

use std::collections::HashSet;
use std::fmt::Display;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Damaged;
use crate::operation::Seq;

/// What was found damaged since the start.
#[derive(Debug, Default)]
pub(in crate::store) struct Damage(Mutex<Found>);

#[derive(Debug, Default)]
struct Found {
    told: HashSet<(&'static str, String)>,
    /// Operations that the writing half does not know of yet.
    fresh: Vec<Seq>,
}

impl Damage {
    fn found(&self) -> MutexGuard<'_, Found> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells of a row, once; whether that was now.
    fn tell(&self, table: &'static str, row: &impl Display, what: &str) -> bool {
        let first = self.found().told.insert((table, row.to_string()));
        if first {
            tracing::error!(table, %row, what, "a row of the store cannot be read; it is left aside");
        }
        first
    }

    /// Passes on what was read of a row, and tells of one that is damaged.
    pub(in crate::store) fn heard<T, F: MayBeDamage>(
        &self,
        table: &'static str,
        row: impl Display,
        read: Result<T, F>,
    ) -> Result<T, F> {
        if let Some(Damaged(what)) = damage_of(&read) {
            self.tell(table, &row, what);
        }
        read
    }

    /// The same of a row that belongs to an operation, which is put aside.
    pub(in crate::store) fn heard_of<T, F: MayBeDamage>(
        &self,
        table: &'static str,
        seq: Seq,
        read: Result<T, F>,
    ) -> Result<T, F> {
        if let Some(Damaged(what)) = damage_of(&read)
            && self.tell(table, &seq.0, what)
        {
            self.found().fresh.push(seq);
        }
        read
    }

    /// Every row that was told of, by table and number.
    pub(in crate::store) fn told(&self) -> Vec<(&'static str, String)> {
        let mut told: Vec<_> = self.found().told.iter().cloned().collect();
        told.sort();
        told
    }

    /// The operations that were put aside since this was asked last.
    pub(in crate::store) fn fresh(&self) -> Vec<Seq> {
        std::mem::take(&mut self.found().fresh)
    }
}

/// What may have gone wrong with a row: damage is one kind of it.
pub(in crate::store) trait MayBeDamage {
    /// The damage, if it is that.
    fn damage(&self) -> Option<Damaged>;
}

impl MayBeDamage for Damaged {
    fn damage(&self) -> Option<Damaged> {
        Some(*self)
    }
}

fn damage_of<T, F: MayBeDamage>(read: &Result<T, F>) -> Option<Damaged> {
    read.as_ref().err().and_then(MayBeDamage::damage)
}

/// Without what is damaged: that was told already.
pub(in crate::store) fn sound<T, F: MayBeDamage>(read: Result<T, F>) -> Result<Option<T>, F> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(fault) if fault.damage().is_some() => Ok(None),
        Err(fault) => Err(fault),
    }
}

//! The columns of a row and the parameters of a statement, one after the other: by position, without a name to look up.

use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{CachedStatement, Connection, Row, Rows, ToSql};

use super::error::{Fault, Result};
use super::{codes, text};
use crate::operation::{Hold, Payload, Status, Timestamp};

/// Reads the columns of a row one after the other.
pub(super) struct Fields<'r> {
    row: &'r Row<'r>,
    at: usize,
}

impl<'r> Fields<'r> {
    pub(super) fn of(row: &'r Row<'r>) -> Self {
        Self { row, at: 0 }
    }

    /// Without its first ones.
    pub(super) fn after(row: &'r Row<'r>, skipped: usize) -> Self {
        Self { row, at: skipped }
    }

    fn next(&mut self) -> Result<ValueRef<'r>> {
        let value = self.row.get_ref(self.at)?;
        self.at += 1;
        Ok(value)
    }

    pub(super) fn int(&mut self) -> Result<i64> {
        Ok(self.next()?.as_i64()?)
    }

    pub(super) fn maybe_int(&mut self) -> Result<Option<i64>> {
        Ok(self.next()?.as_i64_or_null()?)
    }

    pub(super) fn flag(&mut self) -> Result<bool> {
        Ok(self.maybe_int()?.unwrap_or(0) != 0)
    }

    pub(super) fn text(&mut self) -> Result<&'r str> {
        Ok(self.next()?.as_str()?)
    }

    pub(super) fn maybe_text(&mut self) -> Result<Option<&'r str>> {
        Ok(self.next()?.as_str_or_null()?)
    }

    pub(super) fn blob(&mut self) -> Result<&'r [u8]> {
        Ok(self.next()?.as_blob()?)
    }

    pub(super) fn maybe_blob(&mut self) -> Result<Option<&'r [u8]>> {
        Ok(self.next()?.as_blob_or_null()?)
    }

    pub(super) fn time(&mut self) -> Result<Timestamp> {
        Ok(Timestamp::from_ticks(self.int()?))
    }

    pub(super) fn maybe_time(&mut self) -> Result<Option<Timestamp>> {
        Ok(self.maybe_int()?.map(Timestamp::from_ticks))
    }

    /// A number that fits what it is kept in.
    pub(super) fn small<T: TryFrom<i64>>(&mut self) -> Result<T> {
        narrow(self.int()?)
    }

    pub(super) fn maybe_small<T: TryFrom<i64>>(&mut self) -> Result<Option<T>> {
        self.maybe_int()?.map(narrow).transpose()
    }

    pub(super) fn status(&mut self) -> Result<Status> {
        codes::status_of(self.int()?).ok_or(Fault::Damaged("a status has no word"))
    }

    pub(super) fn hold(&mut self) -> Result<Option<Hold>> {
        codes::hold_of(self.int()?)
    }

    /// Its text, or where it is kept apart its length.
    pub(super) fn payload(&mut self) -> Result<Option<Payload>> {
        let inline = self.maybe_blob()?.map(text::json).transpose()?.map(Payload::Inline);
        let stored = self.maybe_small()?.map(|bytes| Payload::Stored { bytes });
        Ok(inline.or(stored))
    }
}

pub(super) fn narrow<T: TryFrom<i64>>(value: i64) -> Result<T> {
    T::try_from(value).map_err(|_| Fault::Damaged("a number is out of its range"))
}

/// A statement that is bound by position and may run for many rows.
pub(super) struct Prepared<'c> {
    statement: CachedStatement<'c>,
    /// Which parameters are null: all of a fresh one. Most columns of most rows are, and need not be bound again.
    null: u64,
}

impl<'c> Prepared<'c> {
    pub(super) fn of(connection: &'c Connection, sql: &str) -> Result<Self> {
        Ok(Self { statement: connection.prepare_cached(sql)?, null: u64::MAX })
    }

    /// The parameters of the next row.
    pub(super) fn row(&mut self) -> Binder<'_, 'c> {
        Binder { prepared: self, at: 0 }
    }

    /// What it finds, once it is bound.
    pub(super) fn found(&mut self) -> Rows<'_> {
        self.statement.raw_query()
    }
}

/// Binds the parameters of a statement one after the other, then runs it.
pub(super) struct Binder<'s, 'c> {
    prepared: &'s mut Prepared<'c>,
    at: usize,
}

impl Binder<'_, '_> {
    pub(super) fn put<T: ToSql>(&mut self, value: T) -> Result<&mut Self> {
        self.at += 1;
        let value = value.to_sql()?;
        let null = matches!(value, ToSqlOutput::Owned(Value::Null) | ToSqlOutput::Borrowed(ValueRef::Null));
        // Beyond the bits nothing is remembered, and everything bound.
        let bit = 1_u64.checked_shl(u32::try_from(self.at).unwrap_or(u32::MAX)).unwrap_or(0);
        if !null {
            self.prepared.null &= !bit;
        } else if self.prepared.null & bit != 0 {
            return Ok(self);
        } else {
            self.prepared.null |= bit;
        }
        self.prepared.statement.raw_bind_parameter(self.at, value)?;
        Ok(self)
    }

    pub(super) fn time(&mut self, value: Timestamp) -> Result<&mut Self> {
        self.put(value.ticks())
    }

    pub(super) fn maybe_time(&mut self, value: Option<Timestamp>) -> Result<&mut Self> {
        self.put(value.map(Timestamp::ticks))
    }

    /// Gives how many rows changed.
    pub(super) fn run(self) -> Result<usize> {
        Ok(self.prepared.statement.raw_execute()?)
    }
}

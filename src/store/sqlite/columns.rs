//! The columns of a row and the parameters of a statement, one after the other: by position, without a name to look up.

use std::borrow::Cow;

use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{CachedStatement, Connection, Row, Rows, ToSql};

use super::error::{Fault, Result};
use crate::store::stored::{self, Bind, Columns, Damaged, Fields};

/// A row, and how far it is read.
pub(super) struct RowColumns<'r> {
    row: &'r Row<'r>,
    at: usize,
}

/// The columns of a row.
pub(super) fn fields<'r>(row: &'r Row<'r>) -> Fields<RowColumns<'r>> {
    fields_after(row, 0)
}

/// Without its first ones.
pub(super) fn fields_after<'r>(row: &'r Row<'r>, skipped: usize) -> Fields<RowColumns<'r>> {
    Fields::new(RowColumns { row, at: skipped })
}

impl<'r> RowColumns<'r> {
    fn next<T>(&mut self, read: impl FnOnce(ValueRef<'r>) -> Option<T>) -> stored::Result<T> {
        let value = self.row.get_ref(self.at).ok().and_then(read);
        self.at += 1;
        value.ok_or(Damaged("a column holds a value of another type"))
    }
}

impl<'r> Columns<'r> for RowColumns<'r> {
    fn int(&mut self) -> stored::Result<Option<i64>> {
        self.next(|value| value.as_i64_or_null().ok())
    }

    fn text(&mut self) -> stored::Result<Option<&'r str>> {
        self.next(|value| value.as_str_or_null().ok())
    }

    fn blob(&mut self) -> stored::Result<Option<&'r [u8]>> {
        self.next(|value| value.as_blob_or_null().ok())
    }
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
        Binder { prepared: self, at: 0, fault: None }
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
    /// The first that came up: the row is not run then.
    fault: Option<Fault>,
}

impl Binder<'_, '_> {
    fn value(&mut self, value: impl ToSql) {
        if self.fault.is_none()
            && let Err(error) = self.bind(value)
        {
            self.fault = Some(error.into());
        }
    }

    fn bind(&mut self, value: impl ToSql) -> rusqlite::Result<()> {
        self.at += 1;
        let value = value.to_sql()?;
        let null = matches!(value, ToSqlOutput::Owned(Value::Null) | ToSqlOutput::Borrowed(ValueRef::Null));
        // Beyond the bits nothing is remembered, and everything bound.
        let bit = 1_u64.checked_shl(u32::try_from(self.at).unwrap_or(u32::MAX)).unwrap_or(0);
        if !null {
            self.prepared.null &= !bit;
        } else if self.prepared.null & bit != 0 {
            return Ok(());
        } else {
            self.prepared.null |= bit;
        }
        self.prepared.statement.raw_bind_parameter(self.at, value)
    }

    /// Whether all of it could be bound, for a statement that is not run but finds.
    pub(super) fn bound(self) -> Result<()> {
        self.fault.map_or(Ok(()), Err)
    }

    /// Gives how many rows changed.
    pub(super) fn run(self) -> Result<usize> {
        match self.fault {
            Some(fault) => Err(fault),
            None => Ok(self.prepared.statement.raw_execute()?),
        }
    }
}

impl<'v> Bind<'v> for Binder<'_, '_> {
    fn int(&mut self, value: Option<i64>) {
        self.value(value);
    }

    fn text(&mut self, value: Option<Cow<'v, str>>) {
        self.value(value.as_deref());
    }

    fn blob(&mut self, value: Option<&'v [u8]>) {
        self.value(value);
    }
}

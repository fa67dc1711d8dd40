//! The columns of a row, and the values of many rows as they go to a statement: column by column.

use std::borrow::Cow;

use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use crate::store::stored::{self, Bind, Columns, Damaged, Fields};

/// A row, and how far it is read.
pub(super) struct RowColumns<'r> {
    row: &'r Row,
    at: usize,
}

/// The columns of a row.
pub(super) fn fields(row: &Row) -> Fields<RowColumns<'_>> {
    fields_after(row, 0)
}

/// Without its first ones.
pub(super) fn fields_after(row: &Row, skipped: usize) -> Fields<RowColumns<'_>> {
    Fields::new(RowColumns { row, at: skipped })
}

impl<'r> RowColumns<'r> {
    fn next<T: tokio_postgres::types::FromSql<'r>>(&mut self) -> stored::Result<T> {
        let value = self.row.try_get(self.at);
        self.at += 1;
        value.map_err(|_| Damaged("a column holds a value of another type"))
    }
}

impl<'r> Columns<'r> for RowColumns<'r> {
    fn int(&mut self) -> stored::Result<Option<i64>> {
        match self.row.columns().get(self.at).map(tokio_postgres::Column::type_) {
            Some(&Type::INT2) => Ok(self.next::<Option<i16>>()?.map(i64::from)),
            Some(&Type::INT4) => Ok(self.next::<Option<i32>>()?.map(i64::from)),
            _ => self.next(),
        }
    }

    fn text(&mut self) -> stored::Result<Option<&'r str>> {
        self.next()
    }

    fn blob(&mut self) -> stored::Result<Option<&'r [u8]>> {
        self.next()
    }
}

/// A parameter of a statement.
#[derive(Debug)]
pub(super) enum Value<'v> {
    Int(i64),
    Text(Cow<'v, str>),
    Blob(&'v [u8]),
    Texts(Option<Vec<&'v str>>),
    /// Of each row one, as the following are.
    Ints(Vec<Option<i64>>),
    MaybeTexts(Vec<Option<Cow<'v, str>>>),
    Blobs(Vec<Option<&'v [u8]>>),
}

impl Value<'_> {
    /// As the crate takes it.
    pub(super) fn typed(&self) -> (&(dyn ToSql + Sync), Type) {
        match self {
            Self::Int(value) => (value, Type::INT8),
            Self::Text(value) => (value, Type::TEXT),
            Self::Blob(value) => (value, Type::BYTEA),
            Self::Texts(values) => (values, Type::TEXT_ARRAY),
            Self::Ints(values) => (values, Type::INT8_ARRAY),
            Self::MaybeTexts(values) => (values, Type::TEXT_ARRAY),
            Self::Blobs(values) => (values, Type::BYTEA_ARRAY),
        }
    }

    /// Numbers, one of each row.
    pub(super) fn ints(values: impl IntoIterator<Item = i64>) -> Self {
        Self::Ints(values.into_iter().map(Some).collect())
    }
}

impl<'v> Value<'v> {
    /// Texts, one of each row.
    pub(super) fn texts(values: impl IntoIterator<Item = &'v str>) -> Self {
        Self::Texts(Some(values.into_iter().collect()))
    }
}

/// The values of many rows.
#[derive(Debug, Default)]
pub(super) struct Values<'v> {
    columns: Vec<Value<'v>>,
    /// The column that comes next.
    at: usize,
    rows: usize,
}

impl<'v> Values<'v> {
    /// Begins the next row.
    pub(super) fn row(&mut self) -> &mut Self {
        self.at = 0;
        self.rows += 1;
        self
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// How many rows there are.
    pub(super) fn len(&self) -> i64 {
        i64::try_from(self.rows).unwrap_or(i64::MAX)
    }

    /// As the parameters of a statement.
    pub(super) fn columns(self) -> Vec<Value<'v>> {
        self.columns
    }

    /// The column of the next value, made by the first row.
    fn next(&mut self, made: Value<'v>) -> &mut Value<'v> {
        if self.at == self.columns.len() {
            self.columns.push(made);
        }
        self.at += 1;
        &mut self.columns[self.at - 1]
    }
}

/// A column is of one kind in every row: what binds a row binds the same columns each time.
impl<'v> Bind<'v> for Values<'v> {
    fn int(&mut self, value: Option<i64>) {
        if let Value::Ints(values) = self.next(Value::Ints(Vec::new())) {
            values.push(value);
        }
    }

    fn text(&mut self, value: Option<Cow<'v, str>>) {
        if let Value::MaybeTexts(values) = self.next(Value::MaybeTexts(Vec::new())) {
            values.push(value);
        }
    }

    fn blob(&mut self, value: Option<&'v [u8]>) {
        if let Value::Blobs(values) = self.next(Value::Blobs(Vec::new())) {
            values.push(value);
        }
    }
}

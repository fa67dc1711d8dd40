//! The tables as such, for who carries all rows of a store over to another, whatever they say: which there are, the cells of
//! a row, and a sum of rows by which two stores are compared.

use std::borrow::Cow;

use sha2::{Digest, Sha256};

use super::Result;
use super::fields::{Bind, Columns, Fields};

/// A table that both stores have, in the same columns.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::store) struct Table {
    pub(in crate::store) name: &'static str,
    /// No two rows have the same.
    pub(in crate::store) key: &'static [&'static str],
}

const fn table(name: &'static str, key: &'static [&'static str]) -> Table {
    Table { name, key }
}

/// All of them, but for `meta`, whose numbers mean something else in each store, and `secret`, which has one row.
pub(in crate::store) const TABLES: [Table; 11] = [
    table("lane", &["id"]),
    table("operation", &["seq"]),
    table("payload", &["slot"]),
    table("checkpoint", &["seq"]),
    table("lease", &["seq"]),
    table("event", &["cursor"]),
    table("attempt", &["seq", "token"]),
    table("counter", &["tenant", "queue", "status", "held", "external"]),
    table("queue", &["tenant", "name"]),
    table("worker", &["tenant", "id"]),
    table("credential", &["id"]),
];

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Kind {
    Int,
    Text,
    Blob,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct Column {
    pub(in crate::store) name: String,
    pub(in crate::store) kind: Kind,
}

/// What stands in a column of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) enum Cell {
    Int(Option<i64>),
    Text(Option<String>),
    Blob(Option<Vec<u8>>),
}

impl Cell {
    /// The next column.
    fn read<'r>(fields: &mut Fields<impl Columns<'r>>, kind: Kind) -> Result<Self> {
        Ok(match kind {
            Kind::Int => Self::Int(fields.maybe_int()?),
            Kind::Text => Self::Text(fields.maybe_text()?.map(str::to_owned)),
            Kind::Blob => Self::Blob(fields.maybe_blob()?.map(<[u8]>::to_vec)),
        })
    }

    /// As a parameter.
    pub(in crate::store) fn bind<'v>(&'v self, row: &mut impl Bind<'v>) {
        match self {
            Self::Int(value) => row.int(*value),
            Self::Text(value) => row.text(value.as_deref().map(Cow::Borrowed)),
            Self::Blob(value) => row.blob(value.as_deref()),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Int(_) | Self::Text(None) | Self::Blob(None) => size_of::<i64>(),
            Self::Text(Some(text)) => text.len(),
            Self::Blob(Some(blob)) => blob.len(),
        }
    }
}

/// A whole row.
pub(in crate::store) fn cells<'r>(
    fields: &mut Fields<impl Columns<'r>>,
    columns: &[Column],
) -> Result<Vec<Cell>> {
    columns.iter().map(|column| Cell::read(fields, column.kind)).collect()
}

/// How much memory a row takes.
pub(in crate::store) fn bytes(row: &[Cell]) -> usize {
    row.iter().map(Cell::bytes).sum()
}

/// The sum of some rows, in whatever order they come: each row has a number of 128 bits, from SHA-256 over all of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::store) struct Sum {
    pub(in crate::store) rows: u64,
    pub(in crate::store) sum: u128,
}

impl Sum {
    /// Adds the row that these columns are of.
    pub(in crate::store) fn add<'r>(
        &mut self,
        fields: &mut Fields<impl Columns<'r>>,
        columns: &[Column],
    ) -> Result<()> {
        let mut row = Sha256::new();
        for column in columns {
            match column.kind {
                Kind::Int => part(&mut row, fields.maybe_int()?.map(i64::to_be_bytes).as_ref()),
                Kind::Text => part(&mut row, fields.maybe_text()?.as_ref()),
                Kind::Blob => part(&mut row, fields.maybe_blob()?.as_ref()),
            }
        }
        let row: [u8; 32] = row.finalize().into();
        let (half, _) = row.split_at(size_of::<u128>());
        self.rows += 1;
        self.sum = self.sum.wrapping_add(half.iter().fold(0, |sum, byte| (sum << 8) | u128::from(*byte)));
        Ok(())
    }
}

/// Its length first, so that no two rows read the same; a null has none.
fn part(row: &mut Sha256, bytes: Option<&impl AsRef<[u8]>>) {
    match bytes.map(AsRef::as_ref) {
        None => row.update([0]),
        Some(bytes) => {
            row.update([1]);
            row.update((bytes.len() as u64).to_be_bytes());
            row.update(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Row<'r>(std::slice::Iter<'r, Cell>);

    impl<'r> Columns<'r> for Row<'r> {
        fn int(&mut self) -> Result<Option<i64>> {
            match self.0.next() {
                Some(Cell::Int(value)) => Ok(*value),
                other => panic!("{other:?}"),
            }
        }

        fn text(&mut self) -> Result<Option<&'r str>> {
            match self.0.next() {
                Some(Cell::Text(value)) => Ok(value.as_deref()),
                other => panic!("{other:?}"),
            }
        }

        fn blob(&mut self) -> Result<Option<&'r [u8]>> {
            match self.0.next() {
                Some(Cell::Blob(value)) => Ok(value.as_deref()),
                other => panic!("{other:?}"),
            }
        }
    }

    fn sum(rows: &[&[Cell]]) -> Sum {
        let mut sum = Sum::default();
        for row in rows {
            let kind = |cell: &Cell| match cell {
                Cell::Int(_) => Kind::Int,
                Cell::Text(_) => Kind::Text,
                Cell::Blob(_) => Kind::Blob,
            };
            let columns: Vec<Column> =
                row.iter().map(|cell| Column { name: String::new(), kind: kind(cell) }).collect();
            sum.add(&mut Fields::new(Row(row.iter())), &columns).unwrap();
        }
        sum
    }

    fn text(text: &str) -> Cell {
        Cell::Text(Some(text.to_owned()))
    }

    #[test]
    fn the_sum_is_the_same_in_any_order_and_another_for_other_rows() {
        let (one, other) = ([Cell::Int(Some(1)), text("a")], [Cell::Int(Some(2)), text("b")]);
        assert_eq!(sum(&[&one, &other]), sum(&[&other, &one]));
        for different in [
            [Cell::Int(Some(1)), text("b")],
            [Cell::Int(Some(1)), text("")],
            [Cell::Int(Some(1)), Cell::Text(None)],
            [Cell::Int(None), text("a")],
        ] {
            assert_ne!(sum(&[&one, &other]), sum(&[&different, &other]), "{different:?}");
        }
        assert_ne!(sum(&[&one]), sum(&[&one, &one]));
    }

    #[test]
    fn what_stands_in_one_column_is_not_taken_for_the_next_ones() {
        assert_ne!(sum(&[&[text("ab"), text("c")]]), sum(&[&[text("a"), text("bc")]]));
    }
}

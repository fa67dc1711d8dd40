//! A store whose rows are carried over to another: held, so that no server serves it meanwhile, recovered, brought to the
//! latest schema, and then only read. Nothing that a start does to it is done: no lease rests, no clock is marked.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::columns::{Prepared, fields};
use super::error::{Fault, OpenError, Result};
use super::history;
use super::migrate::{self, SCHEMA};
use super::open::{FILE, WRITER_CACHE_KIB, connection, epoch, hold, private, refusal, settle, sync};
use super::registry::{Meta, drawn_link_key};
use crate::store::credential::LinkKey;
use crate::store::stored::narrow;
use crate::store::stored::table::{Cell, Column, Sum, Table, bytes, cells};

/// Says in a data directory where its store has gone.
const MOVED: &str = "longrun.moved";

/// Where the store of a directory has gone, if it has.
pub(super) fn moved(directory: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(directory.join(MOVED)) {
        Ok(text) => Ok(Some(text.lines().next().unwrap_or_default().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The numbers of a store that stand beside its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct Standing {
    /// Which history this is.
    pub(in crate::store) epoch: u32,
    /// When it was last served: each start of a server leaves another.
    pub(in crate::store) mark: i64,
    /// Numbers of operations below it were given.
    pub(in crate::store) next_seq: i64,
    /// The last cursor that was given.
    pub(in crate::store) last_cursor: i64,
    /// Events up to it may be gone.
    pub(in crate::store) pruned_upto: i64,
    /// The first and the last event that are there.
    pub(in crate::store) events: Option<(i64, i64)>,
    /// What signs links.
    pub(in crate::store) link_key: LinkKey,
}

/// The store.
pub(in crate::store) struct Source {
    directory: PathBuf,
    connection: Connection,
    _lock: File,
}

impl Source {
    /// Takes hold of the store in a directory.
    pub(in crate::store) fn open(directory: &Path) -> std::result::Result<Self, OpenError> {
        let lock = hold(directory)?;
        let file = directory.join(FILE);
        let refuse = |fault: Fault| refusal(&fault, directory, &file);
        let mut connection = connection(&file, OpenFlags::default(), WRITER_CACHE_KIB).map_err(refuse)?;
        settle(&connection, &file).map_err(refuse)?;
        migrate::migrate(&mut connection, &file, SCHEMA)?;
        Ok(Self { directory: directory.to_owned(), connection, _lock: lock })
    }

    /// The numbers beside the rows.
    pub(in crate::store) fn standing(&self) -> Result<Standing> {
        let connection = &self.connection;
        let epoch = epoch(connection)?;
        let ends = history::ends(connection, epoch)?;
        let number = |sql: &str| -> Result<Option<i64>> {
            Ok(connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
        };
        let given = Meta::NextSeq.get(connection)?.unwrap_or(1);
        let first = number("SELECT min(cursor) FROM event")?;
        Ok(Standing {
            epoch,
            mark: Meta::ClockMark.get(connection)?.unwrap_or(0),
            next_seq: number("SELECT max(seq) + 1 FROM operation")?.unwrap_or(1).max(given),
            last_cursor: ends.last,
            pruned_upto: ends.whole_after,
            events: first.zip(number("SELECT max(cursor) FROM event")?),
            link_key: drawn_link_key(connection)?,
        })
    }

    /// How many rows a table has.
    pub(in crate::store) fn count(&self, table: &Table) -> Result<u64> {
        let sql = format!("SELECT count(*) FROM {}", from(table));
        let count: i64 = self.connection.prepare_cached(&sql)?.query_row([], |row| row.get(0))?;
        Ok(narrow(count)?)
    }

    /// Whether all that stands in a table goes into these columns.
    pub(in crate::store) fn fits(&self, table: &Table, columns: &[Column]) -> Result<bool> {
        let mut statement = self.connection.prepare_cached("SELECT name FROM pragma_table_info(?1)")?;
        let mut own = statement.query_map([table.name], |row| row.get::<_, String>(0))?;
        own.try_fold(true, |fits, name| {
            let name = name?;
            Ok(fits && columns.iter().any(|column| column.name == name))
        })
    }

    /// The rows after that key, in its order: at most so many, and no more of them once they take so much memory.
    pub(in crate::store) fn rows(
        &self,
        table: &Table,
        columns: &[Column],
        after: Option<&[Cell]>,
        (rows_max, bytes_max): (usize, usize),
    ) -> Result<Vec<Vec<Cell>>> {
        let key: Vec<String> = table.key.iter().map(|name| place(table, name)).collect();
        let (key, holes) = (key.join(", "), vec!["?"; table.key.len()].join(", "));
        let beyond = after.map_or(String::new(), |_| format!("WHERE ({key}) > ({holes})"));
        let sql = format!("{} {beyond} ORDER BY {key} LIMIT {rows_max}", select(table, columns));
        let mut statement = Prepared::of(&self.connection, &sql)?;
        let mut binder = statement.row();
        after.into_iter().flatten().for_each(|cell| cell.bind(&mut binder));
        binder.bound()?;
        let (mut found, mut taken) = (statement.found(), 0);
        let mut rows = Vec::new();
        while taken < bytes_max
            && let Some(row) = found.next()?
        {
            let row = cells(&mut fields(row), columns)?;
            taken += bytes(&row);
            rows.push(row);
        }
        Ok(rows)
    }

    /// The sum of all rows of a table.
    pub(in crate::store) fn sum(&self, table: &Table, columns: &[Column]) -> Result<Sum> {
        let mut statement = self.connection.prepare(&select(table, columns))?;
        let mut found = statement.query([])?;
        let mut sum = Sum::default();
        while let Some(row) = found.next()? {
            sum.add(&mut fields(row), columns)?;
        }
        Ok(sum)
    }

    /// Where the store has gone, if it has.
    pub(in crate::store) fn moved(&self) -> Result<Option<String>> {
        Ok(moved(&self.directory)?)
    }

    /// From now on no server serves it: it has gone there. Durable when this ends.
    pub(in crate::store) fn set_moved(&self, to: &str) -> Result<()> {
        let (file, part) = (self.directory.join(MOVED), self.directory.join(format!("{MOVED}.part")));
        let mut written = private(&part)?;
        written.set_len(0)?;
        writeln!(written, "{to}")?;
        written.sync_all()?;
        fs::rename(&part, &file)?;
        Ok(sync(&self.directory)?)
    }
}

/// A lease's lane is that of its operation.
fn from(table: &Table) -> &str {
    if table.name == "lease" { "lease JOIN operation USING (seq)" } else { table.name }
}

fn place(table: &Table, column: &str) -> String {
    match (table.name, column) {
        ("lease", "lane") => "operation.lane".to_owned(),
        (table, column) => format!("{table}.{column}"),
    }
}

fn select(table: &Table, columns: &[Column]) -> String {
    let places: Vec<String> = columns.iter().map(|column| place(table, &column.name)).collect();
    format!("SELECT {} FROM {}", places.join(", "), from(table))
}

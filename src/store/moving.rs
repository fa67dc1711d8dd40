//! Carries the whole state of an embedded store over to a database: rows as they are, table by table in the order of their
//! keys, so that what is there tells where to go on after an interruption; then both sides are read again and compared.
//!
//! Never do two places serve one state: the database is marked before the first row comes, and no node serves it; once
//! everything was compared the directory is marked, and no server serves it; only then the database's mark goes.

use std::path::{Path, PathBuf};

use super::postgres::{self, Found, Target};
use super::sqlite::{self, Source, Standing};
use super::stored::table::{Column, TABLES, Table};

/// Rows that are written at once.
const BATCH_ROWS: usize = 2000;
/// What those may take of memory, give or take a row.
const BATCH_BYTES: usize = 4 << 20;
/// Of so many rows that are compared the last one is told.
const TOLD_EVERY: u64 = 1000;

/// Why a store was not moved, or not yet.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// There is nothing to move.
    #[error("there is no store in {}: give the server's data directory", .0.display())]
    NoStore(PathBuf),
    /// The store cannot be opened.
    #[error(transparent)]
    From(#[from] sqlite::OpenError),
    /// The database cannot be used.
    #[error(transparent)]
    To(#[from] postgres::OpenError),
    /// A server holds it.
    #[error("a server holds the data directory {}: stop it first", .0.display())]
    Running(PathBuf),
    /// The store has gone elsewhere.
    #[error(
        "the store in {} was moved to the database {to}; to move it once more, as it was then, remove the file \
         longrun.moved in it",
        .directory.display()
    )]
    Moved {
        /// Which directory.
        directory: PathBuf,
        /// Where to, without a password.
        to: String,
    },
    /// The database is not free.
    #[error("the database {database} {why}")]
    NotFree {
        /// Which, without a password.
        database: String,
        /// What it is.
        why: String,
    },
    /// The store was read, and could not.
    #[error("the store cannot be read, in its table {table}: {what}")]
    Read {
        /// Where.
        table: &'static str,
        /// What happened.
        what: String,
    },
    /// The connection was lost.
    #[error("{0}; what is there stays: run it again, and it goes on")]
    Away(String),
    /// The database refused.
    #[error("the database refuses what it is to take in{}: {what}", .table.map(|table| format!(" of the table {table}")).unwrap_or_default())]
    Written {
        /// Where.
        table: Option<&'static str>,
        /// What it says.
        what: String,
    },
    /// What has come is not what has gone.
    #[error(
        "what the database {database} holds of {} is not what the store holds: somebody else has written there; \
         drop its schema longrun, and run it again", .tables.join(", ")
    )]
    Differs {
        /// Which, without a password.
        database: String,
        /// Where.
        tables: Vec<&'static str>,
    },
}

/// What goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// An unfinished move goes on.
    GoesOn,
    /// An unfinished move begins anew: the store was served since.
    BeginsAnew,
    /// So many rows of a table have been carried over.
    Carried(Portion),
    /// So many have been compared.
    Compared(Portion),
}

/// How far a table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Portion {
    /// Its name.
    pub table: &'static str,
    /// Rows so far.
    pub rows: u64,
    /// All its rows.
    pub of: u64,
}

/// What was moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Where to, without a password.
    pub database: String,
    /// What each table holds, on both sides.
    pub tables: Vec<MovedTable>,
}

/// A table that both sides hold alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MovedTable {
    /// Its name.
    pub table: &'static str,
    /// How many rows it has.
    pub rows: u64,
    /// The sum of them, in hexadecimal digits.
    pub sum: String,
}

/// Moves the store of a directory, which no server may hold, to an empty database; or goes on with that. It blocks: not to
/// be called where tasks run.
pub fn carry(directory: &Path, url: &str, tell: &mut dyn FnMut(Told)) -> Result<Moved, MoveError> {
    if !sqlite::is_there(directory) {
        return Err(MoveError::NoStore(directory.to_owned()));
    }
    let source = Source::open(directory).map_err(|error| match error {
        sqlite::OpenError::Locked { directory } => MoveError::Running(directory),
        other => other.into(),
    })?;
    let standing = source.standing().map_err(|fault| unread("meta", &fault))?;
    let target = Target::open(url)?;
    let moved = source.moved().map_err(|fault| unread("meta", &fault))?;
    let gone = |to| MoveError::Moved { directory: directory.to_owned(), to };
    if let Some(to) = moved.clone().filter(|to| to != target.name()) {
        return Err(gone(to));
    }
    let found = target.begin(&standing, moved.is_some()).map_err(|fault| unwritten(None, fault))?;
    match found {
        Found::Gone => return Err(gone(target.name().to_owned())),
        Found::Empty => {}
        Found::Part => tell(Told::GoesOn),
        Found::Stale => tell(Told::BeginsAnew),
        taken => return Err(not_free(taken, target.name())),
    }
    let road = Road { source, target, standing };
    let tables = TABLES.iter().map(|table| road.table(table)).collect::<Result<Vec<_>, _>>()?;
    for (table, columns) in &tables {
        road.carry(table, columns, tell)?;
    }
    let compared = road.compare(&tables, tell)?;
    road.source.set_moved(road.target.name()).map_err(|fault| unread("meta", &fault))?;
    road.target.finish(&road.standing).map_err(|fault| unwritten(None, fault))?;
    Ok(Moved { database: road.target.name().to_owned(), tables: compared })
}

fn not_free(found: Found, database: &str) -> MoveError {
    let why = match found {
        Found::Whole => "holds this store already: it was moved".to_owned(),
        Found::OtherPart => {
            "holds an unfinished move of another store: finish that, or drop its schema longrun".to_owned()
        }
        Found::Served => "is served by a node: stop that, and run it again".to_owned(),
        Found::Other(table) => format!("is not empty, there are rows in its table {table}: take another one"),
        Found::Empty | Found::Part | Found::Stale | Found::Gone => "is free".to_owned(),
    };
    MoveError::NotFree { database: database.to_owned(), why }
}

fn unread(table: &'static str, fault: &sqlite::Fault) -> MoveError {
    MoveError::Read { table, what: fault.to_string() }
}

fn unwritten(table: Option<&'static str>, fault: postgres::Fault) -> MoveError {
    match fault {
        fault @ postgres::Fault::Away(_) => MoveError::Away(fault.to_string()),
        fault => MoveError::Written { table, what: fault.to_string() },
    }
}

/// From where to where.
struct Road {
    source: Source,
    target: Target,
    standing: Standing,
}

impl Road {
    /// A table with its columns, which are those of the database: it has all that the store has.
    fn table(&self, table: &'static Table) -> Result<(&'static Table, Vec<Column>), MoveError> {
        let name = table.name;
        let columns = self.target.columns(table).map_err(|fault| unwritten(Some(name), fault))?;
        if self.source.fits(table, &columns).map_err(|fault| unread(name, &fault))? {
            return Ok((table, columns));
        }
        Err(MoveError::Read { table: name, what: "it has a column that the database has not".to_owned() })
    }

    /// Carries over what is not there yet.
    fn carry(&self, table: &Table, columns: &[Column], tell: &mut dyn FnMut(Told)) -> Result<(), MoveError> {
        let unread = |fault| unread(table.name, &fault);
        let unwritten = |fault| unwritten(Some(table.name), fault);
        let of = self.source.count(table).map_err(unread)?;
        let (mut last, mut rows) = self.target.last(table, columns).map_err(unwritten)?;
        loop {
            tell(Told::Carried(Portion { table: table.name, rows, of }));
            let bounds = (BATCH_ROWS, BATCH_BYTES);
            let batch = self.source.rows(table, columns, last.as_deref(), bounds).map_err(unread)?;
            let Some(end) = batch.last() else { return Ok(()) };
            self.target.put(table, columns, &batch).map_err(unwritten)?;
            rows += batch.len() as u64;
            let place = |name: &&str| columns.iter().position(|column| column.name == *name);
            last = Some(table.key.iter().filter_map(place).map(|at| end[at].clone()).collect());
        }
    }

    /// Reads both sides again, each as it reads its rows otherwise, and compares them.
    fn compare(
        &self,
        tables: &[(&'static Table, Vec<Column>)],
        tell: &mut dyn FnMut(Told),
    ) -> Result<Vec<MovedTable>, MoveError> {
        let (mut alike, mut differ) = (Vec::new(), Vec::new());
        for (table, columns) in tables {
            let table_name = table.name;
            let here = self.source.sum(table, columns).map_err(|fault| unread(table_name, &fault))?;
            let mut told = |rows: u64| {
                if rows.is_multiple_of(TOLD_EVERY) || rows == here.rows {
                    tell(Told::Compared(Portion { table: table_name, rows, of: here.rows }));
                }
            };
            let there = self.target.sum(table, columns, &mut told);
            let there = there.map_err(|fault| unwritten(Some(table_name), fault))?;
            if here == there {
                let sum = format!("{:032x}", here.sum);
                alike.push(MovedTable { table: table_name, rows: here.rows, sum });
            } else {
                differ.push(table_name);
            }
        }
        let last = self.target.last_cursor().map_err(|fault| unwritten(None, fault))?;
        let last = last.max(self.standing.pruned_upto);
        if last != self.standing.last_cursor && differ.is_empty() {
            // The next event would have the cursor of another one.
            differ.push("event");
        }
        if differ.is_empty() {
            return Ok(alike);
        }
        Err(MoveError::Differs { database: self.target.name().to_owned(), tables: differ })
    }
}

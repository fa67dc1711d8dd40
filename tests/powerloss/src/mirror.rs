//! What must be there: each commit as it went through the store, to be compared with what a power loss left.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use longrun::operation::{Operation, Status, Timestamp};
use longrun::store::turn::{Changes, Touches, WorkingSet};
use longrun::store::{Store, StoreError};
use rusqlite::{Connection, OpenFlags};

/// What is compared of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Changes so far.
    pub version: i64,
    status: i64,
    token: i64,
    attempts: i64,
    id: Vec<u8>,
    key: Option<String>,
}

impl Row {
    /// Whether it has ended.
    pub fn is_terminal(&self) -> bool {
        self.status >= 2
    }

    fn of(operation: &Operation) -> Self {
        let place = Status::ALL.iter().position(|status| *status == operation.status());
        Self {
            version: operation.version,
            status: place.and_then(|place| i64::try_from(place).ok()).expect("a status"),
            token: operation.token.0,
            attempts: i64::from(operation.attempts),
            id: operation.spec.id.0.as_bytes().to_vec(),
            key: operation.spec.key.as_deref().map(str::to_owned),
        }
    }
}

/// All operations by number.
pub type Rows = BTreeMap<i64, Row>;

struct Commit {
    /// The last cursor given by then.
    cursor: i64,
    told: bool,
    changed: Vec<(i64, Option<Row>)>,
}

/// The commits since the start.
#[derive(Clone, Default)]
pub struct Record(Arc<Mutex<Vec<Commit>>>);

/// What must be there after some of the commits.
pub struct Expected {
    /// The operations.
    pub rows: Rows,
    /// Those that were and are gone.
    pub gone: BTreeSet<i64>,
    /// Those that may be gone as well: their pruning has no event, so that nothing tells whether it was durable.
    pub going: BTreeSet<i64>,
}

impl Record {
    /// What must be there when `cursor` is the last one that was durable, over what was there at the start.
    pub fn until(&self, cursor: i64, start: Rows) -> Expected {
        let mut expected = Expected { rows: start, gone: BTreeSet::new(), going: BTreeSet::new() };
        for commit in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            if commit.cursor > cursor {
                break;
            }
            for (seq, row) in &commit.changed {
                match row {
                    Some(row) => drop(expected.rows.insert(*seq, row.clone())),
                    None if commit.cursor == cursor && !commit.told => drop(expected.going.insert(*seq)),
                    None => {
                        expected.rows.remove(seq);
                        expected.gone.insert(*seq);
                    }
                }
            }
        }
        expected
    }
}

/// A store, and the record of its commits.
pub struct Mirrored<S> {
    store: S,
    commits: Record,
    cursor: i64,
}

impl<S: Store> Mirrored<S> {
    /// Goes on after `cursor`.
    pub fn new(store: S, cursor: i64, commits: Record) -> Self {
        Self { store, commits, cursor }
    }
}

impl<S: Store> Store for Mirrored<S> {
    fn begin(&mut self, touches: &Touches) -> Result<WorkingSet, StoreError> {
        self.store.begin(touches)
    }

    fn commit(&mut self, changes: &mut Changes) -> Result<(), StoreError> {
        self.store.commit(changes)?;
        self.cursor = changes.events.last().map_or(self.cursor, |last| last.event.cursor);
        let rows = changes.operations.iter().filter_map(|touched| {
            let seq = touched.seq()?.0;
            Some((seq, touched.after.as_ref().map(Row::of)))
        });
        let commit =
            Commit { cursor: self.cursor, told: !changes.events.is_empty(), changed: rows.collect() };
        self.commits.0.lock().unwrap_or_else(PoisonError::into_inner).push(commit);
        Ok(())
    }

    fn next_due(&mut self) -> Result<Option<Timestamp>, StoreError> {
        self.store.next_due()
    }

    fn has_room(&mut self) -> bool {
        self.store.has_room()
    }

    fn release_reserve(&mut self) {
        self.store.release_reserve();
    }
}

/// What a file holds.
pub struct Found {
    /// The operations.
    pub rows: Rows,
    /// The last cursor given.
    pub cursor: i64,
    /// What is wrong within it; nothing, if it is sound.
    pub flaws: Vec<String>,
}

/// Each finds what may never be.
const FLAWS: [(&str, &str); 6] = [
    (
        "running without a lease",
        "SELECT count(*) FROM operation LEFT JOIN lease USING (seq) WHERE status = 1 AND external = 0 AND lease.seq IS NULL",
    ),
    (
        "leases of what does not run",
        "SELECT count(*) FROM lease LEFT JOIN operation USING (seq) WHERE status IS NOT 1 OR operation.token <> lease.token",
    ),
    (
        "operations whose last event is another state's",
        "SELECT count(*) FROM operation JOIN event USING (cursor) \
         WHERE event.seq <> operation.seq OR event.version <> operation.version OR event.status <> operation.status",
    ),
    (
        "operations whose last event is missing, though it is not pruned",
        "SELECT count(*) FROM operation LEFT JOIN event USING (cursor) WHERE event.cursor IS NULL \
         AND operation.cursor > coalesce((SELECT value FROM meta WHERE key = 'pruned_upto'), 0)",
    ),
    (
        "parts of operations that are gone",
        "SELECT (SELECT count(*) FROM payload WHERE slot / 2 NOT IN (SELECT seq FROM operation)) \
         + (SELECT count(*) FROM checkpoint WHERE seq NOT IN (SELECT seq FROM operation)) \
         + (SELECT count(*) FROM attempt WHERE seq NOT IN (SELECT seq FROM operation))",
    ),
    (
        "counts that are not true",
        "SELECT count(*) FROM (SELECT tenant, status, sum(n) AS n FROM counter GROUP BY tenant, status) AS told \
         WHERE n <> (SELECT count(*) FROM operation WHERE operation.tenant = told.tenant AND operation.status = told.status)",
    ),
];

/// Looks into the file of a directory that no store has open.
pub fn look(directory: &Path) -> rusqlite::Result<Found> {
    let file = directory.join("longrun.db");
    let connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let mut flaws = Vec::new();
    let sound: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
    if sound != "ok" {
        flaws.push(sound);
    }
    for (what, sql) in FLAWS {
        let count = number(sql)?;
        if count != 0 {
            flaws.push(format!("{count} {what}"));
        }
    }
    let cursor = number(
        "SELECT max(coalesce((SELECT max(cursor) FROM event), 0), \
         coalesce((SELECT value - 1 FROM meta WHERE key = 'next_cursor'), 0))",
    )?;
    let mut statement =
        connection.prepare("SELECT seq, version, status, token, attempts, id, key FROM operation")?;
    let row = |row: &rusqlite::Row<'_>| {
        let (version, status, token, attempts) = (row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?);
        Ok((row.get(0)?, Row { version, status, token, attempts, id: row.get(5)?, key: row.get(6)? }))
    };
    let rows = statement.query_map([], row)?.collect::<rusqlite::Result<Rows>>()?;
    Ok(Found { rows, cursor, flaws })
}

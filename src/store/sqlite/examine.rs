//! Reads all of a store, each row as whoever uses it would, and compares what says the same in two places.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::columns::fields;
use super::error::{Fault, OpenError, Result};
use super::lanes::Lanes;
use super::leases::{self, Leases};
use super::migrate::{APPLICATION, SCHEMA};
use super::open::{FILE, OTHER_CACHE_KIB, connection, hold, read_at_length, reading, refusal, settle, stays};
use super::registry::{self, Meta};
use super::{copy, figures, history, payload, space};
use crate::operation::{Lane, Payload, Seq, State, Timestamp};
use crate::store::Registry;
use crate::store::clock::{Fit, fit};
use crate::store::figures::Embedded;
use crate::store::stored::damage::{Damage, sound};
use crate::store::stored::{Damaged, row};

/// What is due for so long has been overlooked.
const OVERDUE: Duration = Duration::from_mins(1);
/// Who has not asked for so long is not there any more.
const GONE: Duration = Duration::from_mins(2);
/// Events that are read at a time.
const EVENTS: usize = 1000;

/// Pairs of a count and what it counts: where it is not 0, two places say different things.
const DISAGREEMENTS: [(&str, &str); 5] = [
    (
        "SELECT count(*) FROM operation LEFT JOIN lease USING (seq) \
         WHERE status = 1 AND external = 0 AND lease.seq IS NULL",
        "operations run without a lease",
    ),
    (
        "SELECT count(*) FROM lease LEFT JOIN operation USING (seq) WHERE coalesce(status, 0) <> 1",
        "leases are of operations that do not run",
    ),
    (
        "SELECT count(*) FROM operation WHERE input_bytes IS NOT NULL \
         AND NOT EXISTS (SELECT 1 FROM payload WHERE slot = seq * 2)",
        "inputs are missing",
    ),
    (
        "SELECT count(*) FROM operation WHERE result_bytes IS NOT NULL \
         AND NOT EXISTS (SELECT 1 FROM payload WHERE slot = seq * 2 + 1)",
        "results are missing",
    ),
    (
        "WITH counted AS (SELECT lane.tenant, queue, status, hold <> 0 AS held, external, count(*) AS n \
             FROM operation JOIN lane ON lane.id = lane GROUP BY 1, 2, 3, 4, 5), \
         kept AS (SELECT tenant, queue, status, held, external, n FROM counter WHERE n <> 0) \
         SELECT (SELECT count(*) FROM (SELECT * FROM counted EXCEPT SELECT * FROM kept)) \
             + (SELECT count(*) FROM (SELECT * FROM kept EXCEPT SELECT * FROM counted))",
        "counts of operations are wrong",
    ),
];
const OVERDUE_COUNT: &str = "SELECT (SELECT count(*) FROM lease WHERE until < ?1) \
     + (SELECT count(*) FROM operation WHERE wake_at < ?1)";
const READY: &str =
    "SELECT lane, count(*), min(ready_at) FROM operation WHERE status = 0 AND hold = 0 GROUP BY lane";

/// What was found.
#[derive(Debug, Clone)]
pub struct Examined {
    /// Whether a server holds it.
    pub served: bool,
    /// Its schema, and the latest one of this version.
    pub schema: (i64, i64),
    /// What SQLite finds wrong with the file. If anything, no row was looked at.
    pub flaws: Vec<String>,
    /// Rows that cannot be read, by table and number.
    pub unreadable: Vec<(&'static str, String)>,
    /// How many there are of what contradicts something else, and what.
    pub disagreements: Vec<(u64, &'static str)>,
    /// How many operations there are.
    pub operations: u64,
    /// Ready operations that nobody takes, if a server runs.
    pub left: Vec<Left>,
    /// Leases and starts that are long due, if a server runs.
    pub overdue: u64,
    /// How its clock stands to the machine's.
    pub clock: Fit,
    /// Its file.
    pub file: Embedded,
    /// Whether the reserve for a full disk is there.
    pub reserve: bool,
    /// Whether others than its owner may enter the directory.
    pub open_to_others: bool,
    /// How many tokens were ever made; none: that was not looked at.
    pub tokens: Option<usize>,
}

/// Operations of one lane that nobody takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// Whose, in which queue, of which type.
    pub lane: Arc<Lane>,
    /// How many.
    pub ready: u64,
    /// How long the oldest has waited.
    pub waited: Duration,
    /// Its queue is paused; else no worker asks for them.
    pub paused: bool,
}

/// Examines the store of a directory.
pub(in crate::store) fn examine(directory: &Path) -> std::result::Result<Examined, OpenError> {
    let file = directory.join(FILE);
    let refuse = |fault: Fault| refusal(&fault, directory, &file);
    let (_lock, served) = match hold(directory) {
        Ok(lock) => (lock, false),
        Err(OpenError::Locked { .. }) => {
            (read_at_length(directory).map_err(|error| refuse(error.into()))?, true)
        }
        Err(error) => return Err(error),
    };
    stays(directory)?;
    let connection = if served {
        reading(&file).map_err(refuse)?
    } else {
        let connection = connection(&file, OpenFlags::default(), OTHER_CACHE_KIB).map_err(refuse)?;
        settle(&connection, &file).map_err(refuse)?;
        connection
    };
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get(0));
    let application: i64 = number("application_id").map_err(|error| refuse(error.into()))?;
    if application != APPLICATION {
        return Err(refuse(Damaged("it is another program's database").into()));
    }
    let found: i64 = number("user_version").map_err(|error| refuse(error.into()))?;
    let known = i64::try_from(SCHEMA.len()).unwrap_or(i64::MAX);
    if found > known {
        return Err(OpenError::Newer { file: file.clone(), found, known });
    }
    let looking = Looking { connection: &connection, served, damage: Damage::default() };
    looking.all(directory, &file, (found, known)).map_err(refuse)
}

struct Looking<'c> {
    connection: &'c Connection,
    served: bool,
    damage: Damage,
}

impl Looking<'_> {
    fn all(self, directory: &Path, file: &Path, schema: (i64, i64)) -> Result<Examined> {
        let mode = fs::metadata(directory)?.permissions().mode();
        let mark = Meta::ClockMark.get(self.connection)?.map(Timestamp::from_ticks);
        let mut examined = Examined {
            served: self.served,
            schema,
            flaws: copy::flaws(self.connection)?,
            unreadable: Vec::new(),
            disagreements: Vec::new(),
            operations: 0,
            left: Vec::new(),
            overdue: 0,
            clock: mark.map_or(Fit::Fits, |mark| fit(Timestamp::wall(), mark)),
            file: figures::embedded(self.connection, file)?,
            reserve: space::has_reserve(directory),
            open_to_others: mode & 0o077 != 0,
            tokens: None,
        };
        // Rows of a file that is not whole could be anything; those of an older schema are brought up to date first.
        if examined.flaws.is_empty() && schema.0 == schema.1 {
            self.rows(&mut examined)?;
        }
        Ok(examined)
    }

    fn rows(&self, examined: &mut Examined) -> Result<()> {
        let lanes = Lanes::load(self.connection, &self.damage)?;
        Leases::load(self.connection, &lanes, &self.damage)?;
        let registry = registry::all(self.connection, &self.damage)?;
        examined.tokens = Some(registry.credentials.len());
        examined.operations = self.operations(&lanes)?;
        self.events(&lanes)?;
        for (sql, what) in DISAGREEMENTS {
            let count: i64 = self.connection.query_row(sql, [], |row| row.get(0))?;
            if count > 0 {
                examined.disagreements.push((count.unsigned_abs(), what));
            }
        }
        if self.served {
            examined.left = self.left(&lanes, &registry)?;
            let due = Timestamp::wall().minus(OVERDUE).ticks();
            let overdue: i64 = self.connection.query_row(OVERDUE_COUNT, [due], |row| row.get(0))?;
            examined.overdue = overdue.unsigned_abs();
        }
        examined.unreadable = self.damage.told();
        Ok(())
    }

    /// Reads every operation with all that belongs to it; how many there are.
    fn operations(&self, lanes: &Lanes) -> Result<u64> {
        let mut statement = self.connection.prepare(&format!("SELECT {} FROM operation", row::OPERATION))?;
        let (mut rows, mut count) = (statement.query([])?, 0);
        while let Some(row) = rows.next()? {
            count += 1;
            let seq = Seq(row.get(0)?);
            sound(self.damage.heard_of("operation", seq, self.operation(row, lanes, seq)))?;
        }
        Ok(count)
    }

    fn operation(&self, row: &rusqlite::Row<'_>, lanes: &Lanes, seq: Seq) -> Result<()> {
        let mut fields = fields(row);
        fields.int()?;
        let lane = lanes.get(fields.int()?)?;
        let operation = row::operation(&mut fields, seq, lane, || leases::of(self.connection, seq))?;
        if let Some(Payload::Stored { .. }) = operation.spec.input {
            payload::input(self.connection, seq)?;
        }
        if let State::Completed { result: Some(Payload::Stored { .. }), .. } = operation.state {
            payload::result(self.connection, seq)?;
        }
        registry::attempts(self.connection, seq)?;
        Ok(())
    }

    fn events(&self, lanes: &Lanes) -> Result<()> {
        let mut after = Meta::PrunedUpto.get(self.connection)?.unwrap_or(0);
        loop {
            let mut every = |lane, _| lanes.get(lane).map(Some);
            let chunk = history::chunk(self.connection, &self.damage, after, EVENTS, usize::MAX, &mut every)?;
            if chunk.upto == after {
                return Ok(());
            }
            after = chunk.upto;
        }
    }

    /// What is ready and taken by nobody.
    fn left(&self, lanes: &Lanes, registry: &Registry) -> Result<Vec<Left>> {
        let now = Timestamp::wall();
        let mut statement = self.connection.prepare(READY)?;
        let (mut rows, mut left) = (statement.query([])?, Vec::new());
        while let Some(row) = rows.next()? {
            let mut fields = fields(row);
            let Some(lane) = lanes.find(fields.int()?) else { continue };
            let (ready, oldest) = (fields.small()?, fields.time()?);
            let paused = registry.queues.iter().any(|queue| {
                queue.controls.paused && queue.tenant == lane.tenant && queue.name == lane.queue
            });
            let asks = registry.workers.iter().any(|worker| {
                let queues = worker.queues.as_ref().is_none_or(|queues| queues.contains(&lane.queue));
                let types = worker.operation_types.as_ref();
                let types = types.is_none_or(|types| types.contains(&lane.operation_type));
                worker.tenant == lane.tenant && queues && types && now.since(worker.at) < GONE
            });
            let waited = now.since(oldest);
            if (paused || !asks) && waited > GONE {
                left.push(Left { lane: lane.clone(), ready, waited, paused });
            }
        }
        Ok(left)
    }
}

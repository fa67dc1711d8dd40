//! The store that several nodes share: a PostgreSQL database, 15 or later.
//!
//! [`open()`] connects, checks what is there and brings it to the latest schema. A turn is one round trip that loads (`load`,
//! with `queues`, `claim` and `prune`) and one that writes and commits (`save`, with the statements of `writes`); `link` sends statements together. Between
//! the turns `keep` does what has to be done now and then. `reader` is the other half, with `points`, `list`, `history` and
//! `counts`, and `figures` for the metrics; `hints` lets one node hear of another's commits. `operations`, `columns` and `lanes` stand between rows and
//! operations. `target` takes in all rows of an embedded store.
//!
//! Nodes are equal and keep nothing but lanes, which never change, and a block of numbers: any of them may die at any
//! moment. Nothing here needs a session: behind a pooler each transaction may have another connection.

mod claim;
mod clock;
mod columns;
mod connect;
mod counts;
mod driver;
mod error;
pub(super) mod examine;
mod fate;
mod figures;
mod hints;
mod history;
mod inbox;
mod keep;
mod lanes;
mod link;
mod list;
mod load;
mod migrate;
mod numbers;
mod open;
mod operations;
mod points;
mod prune;
mod queues;
mod reader;
pub(super) mod restored;
mod save;
mod starts;
mod sweep;
mod target;
#[cfg(test)]
mod tests;
mod tls;
mod writes;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use deadpool_postgres::ClientWrapper;

pub(super) use error::Fault;
pub use error::OpenError;
pub use open::{Options, open};
pub use reader::PostgresReader;
pub(super) use target::{Found, Target};

use crate::metrics::Metrics;
use crate::operation::{Seq, Timestamp};
use crate::store::clock::Clock;
use crate::store::stored::Damage;
use crate::store::turn::{Changes, Touches, WorkingSet};
use crate::store::{Store, StoreError};
use clock::DatabaseClock;
use columns::{Value, fields};
use connect::Connector;
use driver::Driver;
use error::Result;
use fate::{Fate, fate};
use hints::Hints;
use lanes::Lanes;
use link::{Link, Pipeline};
use load::{Loading, Open};
use numbers::{BLOCK, Numbers};
use save::{UNPLACED, Writing};
use starts::Starts;
use sweep::Sweep;

/// The clock's mark is left by a look for what is due, or a commit, when it is older than this: it tells a node that starts
/// whether the others were there all the time.
const MARK_EVERY: Duration = Duration::from_secs(1);
/// How often the database is kept in order.
const KEEP_EVERY: Duration = Duration::from_secs(5);
/// How long it is tried to learn what became of a commit whose connection was lost.
const DOUBT: Duration = Duration::from_secs(5);

const NEXT_WAKE: &str =
    "SELECT min(wake_at) FROM longrun.operation WHERE wake_at IS NOT NULL AND seq <> ALL ($1)";
const NEXT_END: &str = "SELECT min(LEAST(until, pending_until)) FROM longrun.lease WHERE seq <> ALL ($1)";
/// Need not outlive a crash: it would only seem longer ago.
const MARKING: &str = "BEGIN; SET LOCAL synchronous_commit = off";
const MARK: &str = "INSERT INTO longrun.meta (key, value) VALUES ('clock_mark', $1) \
     ON CONFLICT (key) DO UPDATE SET value = greatest(longrun.meta.value, excluded.value)";
const GIVE_BACK: &str = "SELECT setval('longrun.operation_seq', $1, false) FROM longrun.operation_seq \
     WHERE last_value = $2 AND is_called";
/// The writing half of a node.
pub struct PostgresStore {
    driver: Driver,
    connector: Connector,
    /// None: it was lost.
    client: Option<ClientWrapper>,
    /// The transaction of the turn.
    turn: Option<Open>,
    resident: Resident,
    /// Tells other nodes of commits.
    hints: Arc<Hints>,
    metrics: Arc<Metrics>,
    mark: Timestamp,
    kept: Instant,
}

/// What a node keeps in memory beside the database.
struct Resident {
    lanes: Arc<Lanes>,
    numbers: Numbers,
    clock: Arc<Clock>,
    /// Where the clock reads from; none: a test moves it.
    told: Option<Arc<DatabaseClock>>,
    damage: Arc<Damage>,
    /// Operations that cannot be read.
    aside: BTreeSet<Seq>,
    /// Some queue had controls when it was looked last.
    controls: bool,
    /// The last cursor that this node has written: there are no later ones, or another node's.
    cursor: i64,
    starts: Starts,
    sweep: Sweep,
}

impl Resident {
    /// The operations that are left alone, as a parameter.
    fn aside<'v>(&self) -> Value<'v> {
        Value::ints(self.aside.iter().map(|seq| seq.0))
    }

    fn is_aside(&self, seq: Seq) -> bool {
        self.aside.contains(&seq)
    }

    /// Leaves alone from now on what was found damaged, by either half.
    fn put_aside(&mut self) {
        self.aside.extend(self.damage.fresh());
    }

    /// The database has told its time.
    fn tells(&self, now: Timestamp) {
        if let Some(told) = &self.told {
            told.tells(now);
        }
    }
}

impl std::fmt::Debug for PostgresStore {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("PostgresStore").field("database", &self.connector.name()).finish_non_exhaustive()
    }
}

impl PostgresStore {
    /// Connects again, if the connection was lost.
    fn connect(&mut self) -> Result<()> {
        if self.client.as_ref().is_none_or(|client| client.is_closed()) {
            self.turn = None;
            self.client = None;
            // A database that has crashed may give a block that nobody used out again.
            self.resident.numbers = Numbers::NONE;
            self.resident.starts.forget();
            self.client = Some(self.driver.block_on(self.connector.connect())?);
        }
        Ok(())
    }

    /// What a failed call leaves: a connection that is broken is not used again.
    fn failed(&mut self, fault: Fault) -> StoreError {
        if matches!(fault, Fault::Away(_)) {
            self.client = None;
            self.turn = None;
        }
        fault.into()
    }

    /// The connection, if there is one.
    fn link(&self) -> Result<Link<'_>> {
        let client = self.client.as_ref().ok_or_else(|| Fault::Away("no connection".to_owned()))?;
        Ok(Link::new(client, self.hints.are_sessions()))
    }

    fn load(&mut self, touches: &Touches) -> Result<WorkingSet> {
        self.resident.put_aside();
        loop {
            self.roll_back();
            self.connect()?;
            let Self { client: Some(client), resident, .. } = self else { continue };
            let link = Link::new(client, self.hints.are_sessions());
            // Whatever becomes of it, the next turn ends it first.
            self.turn = Some(Open::default());
            if let Some((set, open)) = self.driver.block_on(Loading::new(link, resident, touches).all())? {
                self.turn = Some(open);
                return Ok(set);
            }
        }
    }

    fn roll_back(&mut self) {
        if self.turn.take().is_none() {
            return;
        }
        let rolled_back = self.link().and_then(|link| {
            self.driver.block_on(async {
                let mut pipeline = Pipeline::new(link);
                pipeline.plain("ROLLBACK");
                pipeline.run().await
            })
        });
        if rolled_back.is_err() {
            self.client = None;
        }
    }

    /// Writes and commits; gives the last cursor before those of the turn.
    fn write(&mut self, changes: &Changes) -> Result<Option<i64>> {
        let link = self.link()?;
        let resident = &self.resident;
        let mut meta = Vec::new();
        let now = resident.clock.now();
        let marks = now.since(self.mark) >= MARK_EVERY;
        if marks {
            meta.push(("clock_mark", now.ticks()));
        }
        meta.extend(changes.events_pruned.map(|upto| ("pruned_upto", upto)));
        let writing = async {
            let fresh = save::add_lanes(link, resident, changes).await?;
            let mut pipeline = Pipeline::new(link);
            let order = Writing { resident, fresh: &fresh, changes, meta }.add(&mut pipeline)?;
            let answers = pipeline.over().await?;
            let last = order.map(|order| order.read(&answers)).transpose()?;
            Ok::<_, Fault>((last, fresh))
        };
        let (last, fresh) = self.driver.block_on(writing)?;
        for (lane, id) in fresh {
            self.resident.lanes.keep(id, lane);
        }
        self.turn = None;
        if marks {
            self.mark = now;
        }
        let Some((last, waited)) = last else { return Ok(None) };
        self.metrics.database.event_lock_wait.observe(waited.as_secs_f64());
        Ok(Some(last))
    }

    /// What became of a commit whose connection was lost; none: that cannot be told.
    fn doubt(&mut self, transaction: &str, changes: &Changes) -> Option<Fate> {
        let until = Instant::now() + DOUBT;
        while Instant::now() < until {
            std::thread::sleep(Duration::from_millis(50));
            if self.connect().is_err() {
                continue;
            }
            let link = self.link().ok()?;
            match self.driver.block_on(fate(link, transaction, changes)) {
                Ok(Some(fate)) => return Some(fate),
                Ok(None) => {}
                Err(_) => self.client = None,
            }
        }
        None
    }

    fn next_seq(&mut self, changes: &Changes) {
        let touched = changes.operations.iter().filter_map(crate::store::turn::Touched::seq);
        let recorded = changes.events.iter().map(|recorded| recorded.event.operation.seq);
        let Numbers { next, end } = self.resident.numbers;
        let mine = touched.chain(recorded).filter(|seq| seq.0 < end);
        self.resident.numbers.next = mine.fold(next, |next, seq| next.max(seq.0 + 1));
    }

    /// Keeps the database in order, now and then.
    fn keep(&mut self) {
        if self.kept.elapsed() < KEEP_EVERY {
            return;
        }
        self.kept = Instant::now();
        if let Err(fault) = self.link().and_then(|link| self.driver.block_on(keep::keep(link))) {
            tracing::debug!(%fault, "the database was not kept in order this time");
            if matches!(fault, Fault::Away(_)) {
                self.client = None;
            }
        }
    }
}

impl Store for PostgresStore {
    fn begin(&mut self, touches: &Touches) -> std::result::Result<WorkingSet, StoreError> {
        self.load(touches).map_err(|fault| self.failed(fault))
    }

    fn commit(&mut self, changes: &mut Changes) -> std::result::Result<(), StoreError> {
        let Some(turn) = &self.turn else {
            return Err(StoreError::Busy("the turn was lost".to_owned()));
        };
        if changes.is_empty() && !turn.wrote {
            self.roll_back();
            self.resident.starts.committed(&self.resident.lanes, changes, i64::MAX);
            return Ok(());
        }
        let transaction = turn.transaction.clone();
        changes.number(UNPLACED + 1);
        self.next_seq(changes);
        let last = match self.write(changes) {
            Ok(last) => last,
            Err(Fault::Away(why)) => {
                self.client = None;
                self.turn = None;
                match self.doubt(&transaction, changes) {
                    Some(Fate::Durable(last)) => Some(last),
                    Some(Fate::Gone) => return Err(StoreError::Busy(why)),
                    None => return Err(StoreError::Unknown(why)),
                }
            }
            Err(fault) => return Err(self.failed(fault)),
        };
        changes.place(UNPLACED, last.unwrap_or(0));
        self.resident.starts.committed(&self.resident.lanes, changes, last.unwrap_or(i64::MAX));
        if let Some(recorded) = changes.events.last() {
            self.resident.cursor = recorded.event.cursor;
            self.hints.tell();
        }
        Ok(())
    }

    fn next_due(&mut self) -> std::result::Result<Option<Timestamp>, StoreError> {
        self.connect().map_err(|fault| self.failed(fault))?;
        self.roll_back();
        self.keep();
        let link = self.link().map_err(StoreError::from)?;
        let now = self.resident.clock.now();
        let marks = now.since(self.mark) >= MARK_EVERY;
        let asked = async {
            let mut pipeline = Pipeline::new(link);
            if marks {
                pipeline.plain(MARKING);
                pipeline.call(MARK, vec![Value::Int(now.ticks())]);
                pipeline.plain("COMMIT");
            }
            pipeline.begin(&load::BEGIN);
            let wake = pipeline.call(NEXT_WAKE, vec![self.resident.aside()]);
            let end =
                self.resident.sweep.is_due().then(|| pipeline.call(NEXT_END, vec![self.resident.aside()]));
            let answers = pipeline.over().await?;
            let mut next = None;
            for due in [Some(wake), end].into_iter().flatten() {
                let found =
                    answers.of(due).first().map(|row| fields(row).maybe_time()).transpose()?.flatten();
                next = next.into_iter().chain(found).min();
            }
            Ok(next)
        };
        let due = self.driver.block_on(asked).map_err(|fault| self.failed(fault))?;
        if marks {
            self.mark = now;
        }
        Ok(due)
    }

    fn has_room(&mut self) -> bool {
        // The database says so itself when there is none.
        true
    }

    fn release_reserve(&mut self) {}
}

impl Drop for PostgresStore {
    /// Numbers that were not used go back, if nobody took a block after this one.
    fn drop(&mut self) {
        if !Driver::may_wait() {
            return;
        }
        self.roll_back();
        let Numbers { next, end } = self.resident.numbers;
        let Some(client) = self.client.take().filter(|_| next < end) else { return };
        let given = self.driver.block_on(async {
            let mut pipeline = Pipeline::new(Link::once(&client));
            pipeline.plain("BEGIN");
            pipeline.call(load::LOCK_BLOCKS, Vec::new());
            pipeline.call(GIVE_BACK, vec![Value::Int(next), Value::Int(end - BLOCK)]);
            pipeline.plain("COMMIT");
            pipeline.run().await
        });
        if let Err(fault) = given {
            tracing::debug!(%fault, "the numbers that were left were not given back");
        }
    }
}

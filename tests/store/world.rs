//! A store with all that a test needs around it: its clock, its disk, and the means to restart it.

use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use longrun::operation::{
    Attempt, Command, Event, Operation, OperationId, Refusal, Seq, Submission, Timestamp,
};
use longrun::store::clock::{Manual, TimeSource};
use longrun::store::figures::Figures;
use longrun::store::memory::MemoryDisk;
use longrun::store::query::{Listing, Page, Query};
use longrun::store::turn::{Changes, Prune, Touches};
use longrun::store::{
    AllTenants, Held, History, Payloads, QueueDepth, Reader, Registry, Store, StoreError, Whose,
};
use longrun::store::{postgres, sqlite};
use longrun_postgres::{Database, PgBouncer, Postgres};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use super::drafts::{name, start, tenant};
use super::turn::Turn;

/// What stays over a restart.
enum Disk {
    Memory(MemoryDisk),
    /// Opened as one node of several.
    SharedMemory(MemoryDisk),
    Sqlite(TempDir),
    Postgres(Database),
    /// Behind a pooler that gives each transaction another connection.
    Pooled(Database),
}

/// With this set the whole suite reaches its databases through a pooler.
const POOLED: &str = "LONGRUN_TEST_POOLED";

/// The pooler of this process; it ends with it.
fn pooler() -> &'static PgBouncer {
    static POOLER: OnceLock<PgBouncer> = OnceLock::new();
    POOLER.get_or_init(|| PgBouncer::start(Postgres::shared()))
}

type Halves = (Box<dyn Store>, Arc<dyn Reader>);

impl Disk {
    fn open(&self, time: Arc<dyn TimeSource>) -> Halves {
        match self {
            Self::Memory(disk) => {
                let (store, reader) = disk.open(time);
                (Box::new(store), reader)
            }
            Self::SharedMemory(disk) => {
                let (store, reader) = disk.join(time);
                (Box::new(store), reader)
            }
            Self::Sqlite(directory) => {
                let directory = directory.path().to_owned();
                let options = sqlite::Options { directory, min_free_bytes: 0, time };
                let (store, reader) = sqlite::open(options).expect("the store opens");
                (Box::new(store), reader)
            }
            Self::Postgres(database) | Self::Pooled(database) => {
                let pooled = matches!(self, Self::Pooled(_));
                let url = if pooled { pooler().url(database.name()) } else { database.url() };
                let options = postgres::Options {
                    url,
                    notify: false,
                    connections: 2,
                    time: Some(time),
                    metrics: Arc::default(),
                };
                let (store, reader) = postgres::open(&options).expect("the store opens");
                (Box::new(store), reader)
            }
        }
    }
}

/// One store in a world of its own, whose time passes only when it is told to.
pub(crate) struct World {
    /// None only in the middle of a restart. It ends before its disk is gone.
    halves: Option<Halves>,
    disk: Disk,
    clock: Arc<Manual>,
    runtime: Runtime,
}

impl World {
    pub(crate) fn memory() -> Self {
        Self::on(Disk::Memory(MemoryDisk::default()))
    }

    pub(crate) fn shared_memory() -> Self {
        Self::on(Disk::SharedMemory(MemoryDisk::default()))
    }

    pub(crate) fn sqlite() -> Self {
        Self::on(Disk::Sqlite(TempDir::new().expect("a directory can be made")))
    }

    pub(crate) fn postgres() -> Self {
        let database = Database::create();
        let pooled = std::env::var_os(POOLED).is_some();
        Self::on(if pooled { Disk::Pooled(database) } else { Disk::Postgres(database) })
    }

    pub(crate) fn pooled() -> Self {
        Self::on(Disk::Pooled(Database::create()))
    }

    fn on(disk: Disk) -> Self {
        let clock = Arc::new(Manual::at(start()));
        let halves = Some(disk.open(clock.clone()));
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
        Self { halves, disk, clock, runtime }
    }

    /// Time passes.
    pub(crate) fn pass(&self, time: Duration) {
        self.clock.advance(time);
    }

    pub(crate) fn pass_seconds(&self, seconds: u64) {
        self.pass(Duration::from_secs(seconds));
    }

    /// Somebody sets the machine's wall clock.
    pub(crate) fn set_wall(&self, wall: Timestamp) {
        self.clock.set_wall(wall);
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.reader().now()
    }

    /// The server ends and starts again.
    pub(crate) fn restart(&mut self) {
        self.halves = None;
        self.halves = Some(self.disk.open(self.clock.clone()));
    }

    pub(crate) fn store(&mut self) -> &mut dyn Store {
        &mut *self.halves.as_mut().expect("it is open").0
    }

    fn reader(&self) -> &dyn Reader {
        &*self.halves.as_ref().expect("it is open").1
    }

    fn read<T>(&self, reading: impl Future<Output = Result<T, StoreError>>) -> T {
        self.runtime.block_on(reading).expect("the store can be read")
    }
}

/// Turns.
impl World {
    pub(crate) fn begin(&mut self, touches: &Touches) -> Turn {
        Turn::new(self.store().begin(touches).expect("the turn begins"))
    }

    pub(crate) fn commit(&mut self, turn: Turn) -> Changes {
        let mut changes = turn.into_changes();
        self.store().commit(&mut changes).expect("the turn is committed");
        changes
    }

    /// A whole turn.
    pub(crate) fn turn(&mut self, touches: &Touches, work: impl FnOnce(&mut Turn)) -> Changes {
        let mut turn = self.begin(touches);
        work(&mut turn);
        self.commit(turn)
    }

    /// Submits one operation in a turn of its own.
    pub(crate) fn submit(&mut self, submission: &Submission) -> Seq {
        let mut made = None;
        let touches = Touches::default();
        self.turn(&touches, |turn| made = Some(turn.submit(submission)));
        made.expect("it was submitted")
    }

    /// Submits them all in one turn.
    pub(crate) fn submit_all(&mut self, submissions: &[Submission]) {
        let touches = Touches::default();
        self.turn(&touches, |turn| {
            for submission in submissions {
                turn.submit(submission);
            }
        });
    }

    /// One command on an operation of the default tenant, in a turn of its own.
    pub(crate) fn try_apply(&mut self, id: OperationId, command: &Command) -> Result<Changes, Refusal> {
        let key = (tenant("default"), id);
        let mut turn = self.begin(&Touches { ids: vec![key.clone()], ..Touches::default() });
        let seq = *turn.set.by_id.get(&key).expect("the operation is there");
        turn.apply(seq, command)?;
        Ok(self.commit(turn))
    }

    /// The same, where it must not be refused.
    #[track_caller]
    pub(crate) fn apply(&mut self, id: OperationId, command: &Command) -> Changes {
        self.try_apply(id, command).expect("the command is not refused")
    }

    /// What is due, ticked in one turn; how many that were.
    pub(crate) fn tick(&mut self) -> usize {
        let mut turn = self.begin(&Touches { due: 100, ..Touches::default() });
        let due = turn.tick();
        self.commit(turn);
        due
    }

    /// One step of pruning what ended, and what happened, more than so many seconds ago; how many operations went, and
    /// whether there may be more.
    pub(crate) fn prune(&mut self, seconds: u64, step: usize) -> (usize, bool) {
        let before = self.now().minus(Duration::from_secs(seconds));
        let prune = Prune { ended_before: before, operations: step, events_before: before, events: step };
        let mut turn = self.begin(&Touches { prune: Some(prune), ..Touches::default() });
        let (more, gone) = (turn.set.oldest.is_stale(&prune), turn.prune(before));
        self.commit(turn);
        (gone, more)
    }

    pub(crate) fn next_due(&mut self) -> Option<Timestamp> {
        self.store().next_due().expect("the store can be read")
    }
}

/// What readers see.
impl World {
    pub(crate) fn get(&self, of: &str, id: OperationId) -> Option<Operation> {
        self.read(self.reader().get(&tenant(of), id))
    }

    /// An operation of the default tenant.
    #[track_caller]
    pub(crate) fn shown(&self, id: OperationId) -> Operation {
        self.get("default", id).expect("the operation is there")
    }

    pub(crate) fn payloads(&self, operations: &[Seq]) -> Vec<Payloads> {
        self.read(self.reader().payloads(operations))
    }

    pub(crate) fn attempts(&self, operation: Seq) -> Vec<Attempt> {
        self.read(self.reader().attempts(operation))
    }

    pub(crate) fn events(&self, of: &str, after: i64, limit: usize) -> Vec<Event> {
        self.events_of(&Whose::Tenant(tenant(of)), after, limit)
    }

    /// Page by page, until there are no more.
    pub(crate) fn events_of(&self, whose: &Whose, after: i64, limit: usize) -> Vec<Event> {
        let (mut found, mut at) = (Vec::new(), after);
        while found.len() < limit {
            let page = self.read(self.reader().events(whose, at, limit - found.len()));
            if page.upto == at {
                break;
            }
            at = page.upto;
            found.extend(page.events);
        }
        found
    }

    pub(crate) fn history(&self) -> History {
        self.read(self.reader().history())
    }

    /// A page; no list of a test is too broad.
    #[track_caller]
    pub(crate) fn list(&self, query: &Query) -> Page {
        match self.read(self.reader().list(query)) {
            Listing::Found(page) => page,
            Listing::TooBroad => panic!("too broad: {query:?}"),
        }
    }

    pub(crate) fn queues(&self, of: &str) -> Vec<QueueDepth> {
        self.read(self.reader().queues(&tenant(of), None))
    }

    pub(crate) fn queue(&self, of: &str, queue: &str) -> Option<QueueDepth> {
        self.read(self.reader().queues(&tenant(of), Some(&name(queue)))).pop()
    }

    pub(crate) fn figures(&self) -> Figures {
        self.read(self.reader().figures(AllTenants))
    }

    pub(crate) fn held(&self, of: &str) -> Vec<Held> {
        self.read(self.reader().held(&tenant(of)))
    }

    pub(crate) fn registry(&self) -> Registry {
        self.read(self.reader().registry(AllTenants))
    }
}

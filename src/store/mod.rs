//! Where operations are kept: few verbs, because every write is a command that the tracker applies.
//!
//! A write turn is two calls. [`Store::begin`] opens a transaction and loads what the turn touches ([`turn::Touches`])
//! into a [`turn::WorkingSet`]; the tracker applies its commands to that; [`Store::commit`] writes each changed row once,
//! and the events, and makes all of it durable. [`Reader`] is the second, smaller door, for everything that only looks.
//! [`query`] is what a list asks for, [`queue`] what is set for queues, [`figures`] what an operator watches. [`memory`] is the model as a store, the oracle of the
//! tests; [`sqlite`] is the embedded one, [`postgres`] the one that several nodes share. What both write into their rows,
//! and how, is in `stored`; [`moving`] carries all of it from the one to the other, [`backup`] copies it and brings it back, [`examine`] looks for what is wrong.

pub mod backup;
pub mod clock;
pub mod credential;
pub mod cursor;
pub mod examine;
pub mod figures;
pub mod memory;
pub mod moving;
pub mod postgres;
pub mod query;
pub mod queue;
pub mod sqlite;
mod stored;
pub mod turn;

use std::sync::Arc;

use async_trait::async_trait;

use crate::operation::{
    Attempt, Controls, Event, Json, Lane, LeaseToken, Operation, OperationId, QueueName, Seq, Status,
    TenantId, Timestamp, WorkerId,
};
use clock::ClockState;
use credential::{Credential, LinkKey};
use cursor::Cursor;
use figures::Figured;
use query::{Listing, Query};
use queue::Queue;
use turn::{Changes, DepositNumber, Touches, WorkerSeen, WorkingSet};

/// What went wrong in a store, by what its caller can do about it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Nothing was written; the same turn may go through in a moment.
    #[error("the store is busy: {0}")]
    Busy(String),
    /// Nothing was written: there is no room. Work that ends can go on once the reserve is released.
    #[error("the disk is full")]
    Full,
    /// A row that this asks for holds what no version writes. Nothing was done; everything else goes on.
    #[error("what is stored of this cannot be read")]
    Damaged,
    /// The connection was lost while committing: what was written may or may not be durable. The store goes on; this turn is
    /// not tried again.
    #[error("it is not known what became of this: {0}")]
    Unknown(String),
    /// What was written may or may not be durable. Nothing may be acknowledged any more; the process ends.
    #[error("the store failed and is not used any further: {0}")]
    Failed(String),
}

/// On behalf of whom the store is asked by those who serve every tenant: maintenance and the server itself.
#[derive(Clone, Copy, Debug)]
pub struct AllTenants;

/// The writing half. One per node, owned by the intake loop; both halves of a turn are synchronous.
pub trait Store: Send {
    /// Opens a turn: loads the named operations, keys and claims, the ready heads of the lanes asked for, and what is due.
    /// A turn that was begun and never committed is rolled back.
    fn begin(&mut self, touches: &Touches) -> Result<WorkingSet, StoreError>;

    /// Writes the turn and makes it durable, and fills in the cursors of its events and operations.
    /// With no changes it only ends the turn and costs no sync.
    fn commit(&mut self, changes: &mut Changes) -> Result<(), StoreError>;

    /// The earliest moment at which time itself acts on anything.
    fn next_due(&mut self) -> Result<Option<Timestamp>, StoreError>;

    /// Whether there is room for new work, by the watermark of the settings.
    fn has_room(&mut self) -> bool;

    /// Gives the reserve back to the file system, so that running work can end on a full disk.
    fn release_reserve(&mut self);
}

/// The reading half: shared, asynchronous, and never in the way of the writer. It shows only what is durable.
#[async_trait]
pub trait Reader: Figured {
    /// The store's clock.
    fn now(&self) -> Timestamp;

    /// How that clock stands to the machine's.
    fn clock(&self) -> ClockState;

    /// One operation, its input and result at hand.
    async fn get(&self, tenant: &TenantId, id: OperationId) -> Result<Option<Operation>, StoreError>;

    /// What the answer to a claim needs beside the operations: for each its input, if that is kept apart, and its checkpoint.
    /// One of which that cannot be read is left out.
    async fn payloads(&self, operations: &[Seq]) -> Result<Vec<Payloads>, StoreError>;

    /// The attempts of an operation that ended badly, oldest first.
    async fn attempts(&self, operation: Seq) -> Result<Vec<Attempt>, StoreError>;

    /// The history that is kept: its epoch and its ends.
    async fn history(&self) -> Result<History, StoreError>;

    /// Some of the events after a cursor, oldest first, at most `limit`, those that completed an operation with its result.
    /// Rows of others are passed over, and only so many in one call: ask again from [`Events::upto`] until it stands still.
    async fn events(&self, of: &Whose, after: i64, limit: usize) -> Result<Events, StoreError>;

    /// One page of the tenant's operations, and how many there are. Without `payloads` their inputs and results are not
    /// at hand. It takes no longer than [`crate::limits::SCAN_MAX`] of looking.
    async fn list(&self, query: &Query) -> Result<Listing, StoreError>;

    /// The tenant's queues that hold anything or have controls, by name: all of them, or one.
    async fn queues(
        &self,
        tenant: &TenantId,
        only: Option<&QueueName>,
    ) -> Result<Vec<QueueDepth>, StoreError>;

    /// What the tenant's workers hold, by worker and arrival.
    async fn held(&self, tenant: &TenantId) -> Result<Vec<Held>, StoreError>;

    /// What is kept beside operations.
    async fn registry(&self, of: AllTenants) -> Result<Registry, StoreError>;

    /// What else a node reads that shares the store with others; none: this store is one server's alone.
    fn shared(&self) -> Option<&dyn SharedReader> {
        None
    }
}

/// What nodes that share a store learn from it: what others did, and what users handed in without a node.
#[async_trait]
pub trait SharedReader: Send + Sync {
    /// The next events of everybody after a cursor, oldest first, at most `limit`: as [`Reader::events`].
    async fn tail(&self, _: AllTenants, after: i64, limit: usize) -> Result<Events, StoreError>;

    /// Changes when another node may have committed events. Hints get lost: it is looked for them at times all the same.
    fn commit_hints(&self) -> tokio::sync::watch::Receiver<()>;

    /// Some of the deposits beyond a number, in the order of their numbers; no more than
    /// [`crate::limits::DEPOSITS_CHUNK`] of them, nor many more bytes than [`crate::limits::DEPOSITS_CHUNK_BYTES`]. They are
    /// not committed in that order: one with a low number may come late.
    async fn deposits(&self, _: AllTenants, after: DepositNumber) -> Result<Vec<Deposit>, StoreError>;

    /// Changes when there may be a new deposit. Hints get lost: it is looked for them at times all the same.
    fn deposit_hints(&self) -> tokio::sync::watch::Receiver<()>;
}

/// An operation as a user handed it in, inside a transaction of their own on the database.
#[derive(Debug, Clone)]
pub struct Deposit {
    /// Its number.
    pub number: DepositNumber,
    /// The operation's identifier, as the user was told.
    pub id: OperationId,
    /// Whose it is to be, as the user said: not checked yet.
    pub tenant: String,
    /// When it was handed in.
    pub at: Timestamp,
    /// What a client would send as the body of a request: not checked yet. None: it is larger than any body may be.
    pub body: Option<String>,
}

/// Whose events.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Whose {
    /// All of a tenant.
    Tenant(TenantId),
    /// Those of one operation that was not deleted.
    Operation(TenantId, OperationId),
}

impl Whose {
    /// The tenant.
    pub fn tenant(&self) -> &TenantId {
        match self {
            Self::Tenant(tenant) | Self::Operation(tenant, _) => tenant,
        }
    }
}

/// The events that are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct History {
    /// Which history this is; another one after a backup was restored.
    pub epoch: u32,
    /// Nothing after this cursor was pruned.
    pub whole_after: i64,
    /// The last cursor given.
    pub last: i64,
}

impl History {
    /// The cursor of that number in this history.
    pub fn cursor(&self, n: i64) -> Cursor {
        Cursor { epoch: self.epoch, n }
    }
}

/// A part of the events.
#[derive(Debug, Clone)]
pub struct Events {
    /// Oldest first.
    pub events: Vec<Event>,
    /// All of them up to this cursor are among those; where it is the cursor asked from, there are no more.
    pub upto: i64,
}

/// The parts of one operation that are kept apart from its row.
#[derive(Debug, Clone)]
pub struct Payloads {
    /// The operation.
    pub seq: Seq,
    /// Its input.
    pub input: Option<Json>,
    /// What the last attempt left.
    pub checkpoint: Option<Json>,
}

/// What is kept beside operations, of every tenant: small, and read when a server starts.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    /// Workers that asked for work, as they last did, by tenant and name.
    pub workers: Vec<WorkerSeen>,
    /// Every credential, revoked ones included.
    pub credentials: Vec<Credential>,
    /// The queues with controls, by tenant and name.
    pub queues: Vec<Queue>,
    /// What signs links; every store that was opened has one.
    pub link_key: Option<LinkKey>,
}

/// An operation under a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Who holds it.
    pub worker: WorkerId,
    /// Which.
    pub id: OperationId,
    /// Of which lane.
    pub lane: Arc<Lane>,
    /// The attempt's token.
    pub token: LeaseToken,
    /// Until when.
    pub until: Timestamp,
}

/// How a queue stands: what was set for it, how many of its operations stand where, and since when the oldest ready one
/// waits. External ones are not counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueDepth {
    /// The queue.
    pub queue: QueueName,
    /// May be claimed.
    pub ready: u64,
    /// May not start yet.
    pub held: u64,
    /// Under a lease.
    pub running: u64,
    /// Ended well.
    pub completed: u64,
    /// Ended otherwise.
    pub failed: u64,
    /// Since when the oldest ready one waits.
    pub oldest_ready: Option<Timestamp>,
    /// What was set for it.
    pub controls: Controls,
}

impl QueueDepth {
    /// A queue that holds nothing.
    pub fn empty(queue: QueueName) -> Self {
        Self {
            queue,
            ready: 0,
            held: 0,
            running: 0,
            completed: 0,
            failed: 0,
            oldest_ready: None,
            controls: Controls::default(),
        }
    }

    /// The number of those that stand there.
    fn of(&mut self, status: Status, held: bool) -> &mut u64 {
        match status {
            Status::NotStarted if held => &mut self.held,
            Status::NotStarted => &mut self.ready,
            Status::Running => &mut self.running,
            Status::Completed => &mut self.completed,
            Status::Failed => &mut self.failed,
        }
    }
}

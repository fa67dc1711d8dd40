//! What there is at a moment.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use longrun::operation::{EventKind, Hold, Operation, State as Standing, Status};

use crate::Cluster;
use crate::turn::Turn;

/// A row's number, from 1.
pub type Number = i64;
/// A fencing token.
pub type Token = i64;

/// Everything: the database, the nodes, those who talk to them, and what is on its way between them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// Committed rows.
    pub rows: BTreeMap<Number, Row>,
    /// Committed events, in the order of their commits.
    pub events: Vec<Happened>,
    /// What the two sequences give next; they take nothing back.
    pub next_row: Number,
    /// See `next_row`.
    pub next_cursor: u8,
    /// Who holds which lock.
    pub locks: BTreeMap<Lock, usize>,
    /// Attempts whose leases are over by the clock.
    pub over: BTreeSet<(Number, Token)>,
    /// Rows whose leases a tick has found over, by looking around without a lock.
    pub found: BTreeSet<Number>,
    /// The turn that each node is in.
    pub nodes: Vec<Option<Turn>>,
    /// Messages that may yet arrive, and how often.
    pub messages: BTreeMap<Request, u8>,
    /// What each client heard of its operation.
    pub clients: Vec<Client>,
    /// The workers.
    pub workers: Vec<Worker>,
    /// What workers were told of reports that ended an attempt.
    pub told: BTreeSet<(Number, Token, Said, Verdict)>,
    /// Up to where a watcher has read, and how many events it has seen.
    pub watched: (u8, usize),
    /// What may still happen.
    pub crashes: u8,
    /// See `crashes`.
    pub cancels: u8,
    /// See `crashes`.
    pub heartbeats: u8,
}

impl State {
    pub(crate) fn empty(cluster: &Cluster) -> Self {
        Self {
            rows: BTreeMap::new(),
            events: Vec::new(),
            next_row: 1,
            next_cursor: 1,
            locks: BTreeMap::new(),
            over: BTreeSet::new(),
            found: BTreeSet::new(),
            nodes: vec![None; cluster.nodes],
            messages: BTreeMap::new(),
            clients: vec![Client::Silent; cluster.keys.len()],
            workers: vec![Worker::default(); cluster.workers],
            told: BTreeSet::new(),
            watched: (0, 0),
            crashes: cluster.crashes,
            cancels: cluster.cancels,
            heartbeats: cluster.heartbeats,
        }
    }
}

/// An operation, compared by what its future depends on: no time and no text.
#[derive(Clone, Debug)]
pub struct Row {
    /// The key it was submitted with.
    pub key: u8,
    /// The operation.
    pub operation: Arc<Operation>,
}

impl Row {
    fn mark(&self) -> impl Hash + PartialEq + use<'_> {
        let operation = &*self.operation;
        let lease =
            operation.lease().map(|lease| (lease.token.0, lease.worker.as_str(), lease.claim.as_str()));
        let ended_by = operation.ended_by.map(|ended| (ended.token.0, ended.status.as_str()));
        let held = matches!(operation.state, Standing::Waiting { hold: Some(Hold::RetryBackoff), .. });
        let numbers = (self.key, operation.version, operation.token.0, operation.attempts);
        (numbers, operation.status().as_str(), held, lease, ended_by, operation.cancel_requested)
    }
}

impl PartialEq for Row {
    fn eq(&self, other: &Self) -> bool {
        self.mark() == other.mark()
    }
}

impl Eq for Row {}

impl Hash for Row {
    fn hash<H: Hasher>(&self, into: &mut H) {
        self.mark().hash(into);
    }
}

/// A committed event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Happened {
    /// The number that watchers go by.
    pub cursor: u8,
    /// Of which row.
    pub row: Number,
    /// What.
    pub kind: EventKind,
    /// The attempt that runs, or was ended by it.
    pub token: Token,
    /// The token of the report that made it.
    pub by_report: Option<Token>,
    /// Made by a tick that found a lease over, though it was not at the commit.
    pub too_early: bool,
    /// The row was not any more as the turn had read it.
    pub unseen: bool,
}

/// What can be locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lock {
    /// A key of a submit.
    Key(u8),
    /// A row.
    Row(Number),
    /// The order of events.
    Events,
}

/// A message on its way to whichever node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Request {
    /// A client hands its operation in.
    Submit {
        /// Which client.
        client: usize,
        /// Its key.
        key: u8,
    },
    /// A worker asks for one operation.
    Claim {
        /// Which worker.
        worker: usize,
        /// Which of its lives.
        life: u8,
        /// The claim's number within that life.
        claim: u8,
    },
    /// A worker reports.
    Report {
        /// Which worker.
        worker: usize,
        /// Which of its lives.
        life: u8,
        /// Of which row.
        row: Number,
        /// By which token.
        token: Token,
        /// What.
        said: Said,
    },
    /// Somebody asks for an end.
    Cancel {
        /// Of which row.
        row: Number,
    },
}

/// What a worker says of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Said {
    /// It goes on.
    Alive,
    /// It is done.
    Done,
    /// It failed for good.
    GaveUp,
}

/// What a node answers to a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verdict {
    /// It stands.
    Taken,
    /// It had been said before.
    Repeated,
    /// It changes nothing.
    Refused,
}

/// A client that submits one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Client {
    /// It has sent nothing yet.
    Silent,
    /// It waits for the answer.
    Waiting,
    /// It was told that this is its operation.
    Acknowledged(Number),
}

/// A worker, in one of its lives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Worker {
    /// How often it has died.
    pub life: u8,
    /// How many claims this life has made.
    pub claims: u8,
    /// The claim that it waits for.
    pub asked: Option<u8>,
    /// What it holds.
    pub holds: Option<(Number, Token)>,
    /// It has reported an end, and waits for the answer.
    pub reported: bool,
}

/// Whether nothing can become of it any more.
pub(crate) fn is_terminal(kind: EventKind) -> bool {
    matches!(kind, EventKind::Completed | EventKind::Failed)
}

/// The status of a row's operation.
pub(crate) fn status(row: &Row) -> Status {
    row.operation.status()
}

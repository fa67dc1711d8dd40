//! The two halves of a write turn: what it touches and what was loaded for it; what it changed.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::operation::{
    Actor, Attempt, ClaimId, Event, EventKind, Hold, Lane, Operation, OperationId, OperationType, QueueName,
    Seq, State, Status, TenantId, Timestamp, WorkerId,
};

use super::credential::{Credential, Noted};
use super::queue::{ByQueue, Queue, Standing};

/// What a turn needs to know before it can apply its commands.
#[derive(Debug, Clone, Default)]
pub struct Touches {
    /// Operations that commands name.
    pub ids: Vec<(TenantId, OperationId)>,
    /// Idempotency keys of submits.
    pub keys: Vec<(TenantId, Arc<str>)>,
    /// Claims that may be repeats.
    pub claims: Vec<(TenantId, WorkerId, ClaimId)>,
    /// What claims ask for, in the order in which they are served.
    pub wants: Vec<Want>,
    /// What waiting claims ask for. Of it only that is loaded which a paused or limited queue may let start in this turn:
    /// anything else they would have been given when it became ready.
    pub waiting: Vec<Want>,
    /// Other nodes may have made ready what waiting claims ask for: it is loaded for those as for claims that come.
    pub peek: bool,
    /// Queues whose controls commands change.
    pub queues: Vec<(TenantId, QueueName)>,
    /// How many operations on which time acts to load, at most.
    pub due: usize,
    /// What is older than may be kept, one step of it; none: nothing is pruned by this turn.
    pub prune: Option<Prune>,
    /// Where new operations will wait, one for each of them.
    pub lanes: Vec<Arc<Lane>>,
    /// What users handed in inside their own transactions, and submits of this turn are made of.
    pub deposits: Vec<DepositNumber>,
    /// An outage is over: every lease that would end within the next min(its seconds, 10 s) gets that long, so that
    /// live workers speak first.
    pub rest_leases: bool,
}

/// Number of a [`super::Deposit`].
pub type DepositNumber = i64;

/// One step of pruning. Whatever it compares with are the server's own times, never a client's.
#[derive(Debug, Clone, Copy)]
pub struct Prune {
    /// Operations that ended before this,
    pub ended_before: Timestamp,
    /// at most so many, those first that ended first.
    pub operations: usize,
    /// Events that happened before this,
    pub events_before: Timestamp,
    /// at most so many, the oldest first.
    pub events: usize,
}

/// What stays when a step of pruning is done and will be the next to go; none: there is nothing of the kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Oldest {
    /// When the operation ended.
    pub ended: Option<Timestamp>,
    /// When the event happened.
    pub happened: Option<Timestamp>,
}

impl Oldest {
    /// Whether that is too old as well: there was more than the step takes.
    pub fn is_stale(&self, prune: &Prune) -> bool {
        self.ended.is_some_and(|ended| ended < prune.ended_before)
            || self.happened.is_some_and(|happened| happened < prune.events_before)
    }
}

/// What one claim asks for.
#[derive(Debug, Clone)]
pub struct Want {
    /// Whose operations.
    pub tenant: TenantId,
    /// Of these queues; none: of every queue.
    pub queues: Option<Arc<[QueueName]>>,
    /// Of these types; none: of every type.
    pub operation_types: Option<Arc<[OperationType]>>,
    /// At most so many.
    pub limit: usize,
}

impl Want {
    /// Whether an operation of that queue and type is asked for.
    pub fn covers(&self, queue: &QueueName, operation_type: &OperationType) -> bool {
        self.queues.as_ref().is_none_or(|queues| queues.contains(queue))
            && self.operation_types.as_ref().is_none_or(|types| types.contains(operation_type))
    }
}

/// What was loaded for a turn.
#[derive(Debug)]
pub struct WorkingSet {
    /// The store's clock: the one time of the whole turn.
    pub now: Timestamp,
    /// The first of the numbers set aside for new operations.
    pub first_seq: Seq,
    /// Every operation loaded, by number. Large inputs and results are not at hand.
    pub operations: HashMap<Seq, Arc<Operation>>,
    /// Those named by id or key of which what is stored cannot be read: they are not among the loaded.
    pub damaged: HashSet<Seq>,
    /// Those named by id.
    pub by_id: HashMap<(TenantId, OperationId), Seq>,
    /// Those that the named keys made.
    pub by_key: HashMap<(TenantId, Arc<str>), Seq>,
    /// Those still held under the named claims.
    pub by_claim: HashMap<(TenantId, WorkerId, ClaimId), Vec<Seq>>,
    /// For each want what it may take, in the order of [`crate::operation::Rank`]: up to its limit of queues without
    /// controls, and beside that, of each of [`WorkingSet::queues`], as many as may start in this turn, whatever its
    /// commands do. An operation stands in one list only: a later want may also take what is left of an earlier one's.
    pub ready: Vec<Vec<Seq>>,
    /// The same for what waiting claims ask for, of queues with controls only.
    pub woken: Vec<Seq>,
    /// Of the queues that this turn concerns (by a lane, a named operation, a want or a command) those with controls,
    /// and those that commands change.
    pub queues: ByQueue<Standing>,
    /// How many queues with controls the tenants of those have that commands change.
    pub controlled_of: HashMap<TenantId, usize>,
    /// Those on which time acts now, and those that a want passed over since they have expired: at most
    /// [`crate::limits::TURN_EXPIRED_MAX`] of them, beyond which they are among the ready ones.
    pub due: Vec<Seq>,
    /// Those that ended too long ago, as the turn's [`Prune`] asks.
    pub stale: Vec<Seq>,
    /// All events up to this cursor happened too long ago.
    pub stale_events: Option<i64>,
    /// What is the oldest of its kind after those.
    pub oldest: Oldest,
    /// Of the lanes named, those in which no operation ever was.
    pub new_lanes: HashSet<Arc<Lane>>,
    /// How many lanes the tenants of those have.
    pub lanes_of: HashMap<TenantId, usize>,
    /// Of the deposits named, those that are this turn's: the others are gone, or another node has them just now.
    pub deposits: HashSet<DepositNumber>,
}

impl WorkingSet {
    /// One in which nothing is loaded yet.
    pub(in crate::store) fn new(now: Timestamp, first_seq: Seq) -> Self {
        Self {
            now,
            first_seq,
            operations: HashMap::new(),
            damaged: HashSet::new(),
            by_id: HashMap::new(),
            by_key: HashMap::new(),
            by_claim: HashMap::new(),
            ready: Vec::new(),
            woken: Vec::new(),
            queues: ByQueue::default(),
            controlled_of: HashMap::new(),
            due: Vec::new(),
            stale: Vec::new(),
            stale_events: None,
            oldest: Oldest::default(),
            new_lanes: HashSet::new(),
            lanes_of: HashMap::new(),
            deposits: HashSet::new(),
        }
    }
}

/// What a turn changed.
#[derive(Debug, Default)]
pub struct Changes {
    /// Each changed operation once.
    pub operations: Vec<Touched>,
    /// Each change once, in order. The store fills in `cursor` and `previous`.
    pub events: Vec<Recorded>,
    /// Attempts that ended badly.
    pub attempts: Vec<Attempt>,
    /// Workers that asked for work.
    pub workers: Vec<WorkerSeen>,
    /// Workers whose last call is too long ago.
    pub workers_forgotten: Vec<(TenantId, WorkerId)>,
    /// Events up to this cursor go.
    pub events_pruned: Option<i64>,
    /// New credentials, and old ones as they are now.
    pub credentials: Vec<Credential>,
    /// By their ids, when tokens were last used.
    pub tokens_used: Vec<(Arc<str>, Timestamp)>,
    /// Queues as their controls are now.
    pub queues: Vec<Queue>,
    /// Deposits that were taken in: they go with this commit.
    pub deposits: Vec<DepositNumber>,
}

impl Changes {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
            && self.workers.is_empty()
            && self.workers_forgotten.is_empty()
            && self.events_pruned.is_none()
            && self.credentials.is_empty()
            && self.tokens_used.is_empty()
            && self.queues.is_empty()
            && self.deposits.is_empty()
    }

    /// Adds what is to be kept of tokens.
    pub fn note(&mut self, noted: &Noted) {
        match noted {
            Noted::Credential(credential) => self.credentials.push(credential.clone()),
            Noted::Used(used) => self.tokens_used.extend(used.iter().cloned()),
        }
    }

    /// Moves the cursors that were given from `first` on, so that they begin at `place` instead: for a store that learns only
    /// while it writes in which order this commit stands.
    pub(in crate::store) fn place(&mut self, first: i64, place: i64) {
        let moved = |cursor: &mut i64| {
            if *cursor >= first {
                *cursor = *cursor - first + place;
            }
        };
        for Recorded { event, .. } in &mut self.events {
            moved(&mut event.cursor);
            moved(&mut event.previous);
            moved(&mut event.operation.cursor);
        }
        for touched in &mut self.operations {
            moved(&mut touched.cursor);
            if let Some(after) = &mut touched.after {
                moved(&mut after.cursor);
            }
        }
    }

    /// Numbers the events from `first` on, and tells each operation the cursor of its last one. Checkpoints stay.
    /// For the stores, once they know in which order this commit stands.
    pub(in crate::store) fn number(&mut self, first: i64) {
        for (cursor, recorded) in (first..).zip(&mut self.events) {
            let touched = &mut self.operations[recorded.touched];
            recorded.event.cursor = cursor;
            recorded.event.previous = touched.cursor;
            recorded.event.operation.cursor = cursor;
            touched.cursor = cursor;
            if let Some(after) = &mut touched.after {
                after.cursor = cursor;
            }
        }
    }
}

/// An operation before and after a turn.
#[derive(Debug)]
pub struct Touched {
    /// As it was loaded; none: it is new.
    pub before: Option<Arc<Operation>>,
    /// As it is now; none: it was deleted or pruned.
    pub after: Option<Operation>,
    /// Cursor of its last event.
    pub cursor: i64,
}

impl Touched {
    /// Its number.
    pub fn seq(&self) -> Option<Seq> {
        self.after.as_ref().map(|after| after.seq).or_else(|| self.before.as_ref().map(|before| before.seq))
    }

    /// Whether the operation's row itself changed: not so when only its lease or checkpoint did.
    pub fn row_changed(&self) -> bool {
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => {
                before.version != after.version
                    || hold(before) != hold(after)
                    || before.links_ended != after.links_ended
            }
            _ => true,
        }
    }
}

fn hold(operation: &Operation) -> Option<Hold> {
    match operation.state {
        State::Waiting { hold, .. } => hold,
        _ => None,
    }
}

/// An event, and which of the turn's operations it is of.
#[derive(Debug)]
pub struct Recorded {
    /// Its place in [`Changes::operations`].
    pub touched: usize,
    /// The event.
    pub event: Event,
}

impl Recorded {
    /// An event that has no cursor yet.
    pub fn new(
        touched: usize,
        kind: EventKind,
        actor: Actor,
        status_before: Option<Status>,
        operation: Operation,
        at: Timestamp,
    ) -> Self {
        let event = Event { cursor: 0, previous: 0, at, kind, actor, status_before, operation };
        Self { touched, event }
    }
}

/// A worker that asked for work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerSeen {
    /// Whose operations it asked for.
    pub tenant: TenantId,
    /// Who.
    pub worker: WorkerId,
    /// Of which queues; none: of every queue.
    pub queues: Option<Arc<[QueueName]>>,
    /// Of which types; none: of every type.
    pub operation_types: Option<Arc<[OperationType]>>,
    /// From where; none: from this machine's own tasks or socket.
    pub address: Option<IpAddr>,
    /// When.
    pub at: Timestamp,
}

/// Under what an operation is counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CountKey {
    /// Whose.
    pub tenant: TenantId,
    /// Of which queue.
    pub queue: QueueName,
    /// Where it stands.
    pub status: Status,
    /// Whether it may not start yet.
    pub held: bool,
    /// Whether its owner advances it.
    pub external: bool,
}

impl CountKey {
    /// Under what this operation is counted.
    pub fn of(operation: &Operation) -> Self {
        let spec = &operation.spec;
        Self {
            tenant: spec.lane.tenant.clone(),
            queue: spec.lane.queue.clone(),
            status: operation.status(),
            held: hold(operation).is_some() && !spec.external,
            external: spec.external,
        }
    }
}

/// By how much a turn changes each count: never zero.
pub fn count_deltas(operations: &[Touched]) -> HashMap<CountKey, i64> {
    let mut deltas = HashMap::new();
    for touched in operations.iter().filter(|touched| touched.row_changed()) {
        if let Some(before) = &touched.before {
            *deltas.entry(CountKey::of(before)).or_insert(0) -= 1;
        }
        if let Some(after) = &touched.after {
            *deltas.entry(CountKey::of(after)).or_insert(0) += 1;
        }
    }
    deltas.retain(|_, delta| *delta != 0);
    deltas
}

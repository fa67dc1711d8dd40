//! The one door to the operations. Everything that changes one is handed to the intake loop ([`intake`]), which takes
//! what waits in its lanes ([`inbox`]), has loaded what that needs ([`touches`]), applies it to the working set
//! ([`turn`]; of paused and limited queues: [`queues`]), offers what became ready to the
//! claims that wait ([`offer`], [`claims`]), commits once, and only then answers and publishes ([`answer`]).
//! Where several nodes share the store, events are published in the order of all commits instead ([`tail`]).
//! What is durable is counted ([`count`]) and, where a caller traces it, told to a collector ([`trace`]); how things stand is asked of the store for the metrics ([`figures`]).
//! Point reads come from a [`cache`] that only the loop fills; who waits for a change follows it ([`watch`]).

mod answer;
pub mod cache;
mod claims;
mod count;
pub mod entry;
mod figures;
mod handover;
mod inbox;
mod intake;
mod offer;
mod own;
mod pruning;
mod queues;
pub mod recent;
mod shared;
mod tail;
#[cfg(test)]
mod tests;
mod touches;
mod trace;
mod transitions;
mod travel;
mod turn;
mod watch;
mod watcher;
mod workers;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::limits;
use crate::metrics::Metrics;
use crate::operation::{
    Command, Controls, Gate, Hold, Lane, Operation, OperationId, QueueName, Refusal, State, TenantId,
    Timestamp,
};
use crate::store::clock::SetAhead;
use crate::store::credential::{Credential, Noted};
use crate::store::{AllTenants, QueueDepth, Reader, Registry, Store, StoreError, Whose};
use crate::traces::Traces;
use entry::{Denied, Entry, Exchange, Exchanged, Order, QueueOrder, Reply, Submit, Submitted};
pub use handover::Handed;
use handover::Handover;
use inbox::Inbox;
pub use inbox::{Backlog, Door};
use intake::Intake;
pub use pruning::Retention;
use shared::Shared;
pub use watch::Follow;
pub use watcher::Watcher;
pub use workers::Present;

/// The door, for everybody who asks. Cheap to clone.
#[derive(Clone)]
pub struct Tracker {
    door: Arc<dyn Door>,
    inbox: Arc<Inbox>,
    reader: Arc<dyn Reader>,
    cache: Arc<cache::Cache>,
    shared: Arc<Shared>,
    can_travel: bool,
}

impl std::fmt::Debug for Tracker {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Tracker").finish_non_exhaustive()
    }
}

/// Why an operation has not started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    /// The next claim that may, takes it.
    Ready,
    /// It is ready, but nobody asked for its lane lately.
    NoWorker,
    /// Until its start.
    Delayed(Timestamp),
    /// Until its next attempt.
    RetryBackoff(Timestamp),
    /// Its queue is paused.
    QueuePaused,
    /// As many operations of its queue run as may, which is so many.
    QueueLimit(u32),
}

/// How the tracker is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// Submits that may wait for the loop.
    pub submits_max: usize,
    /// How long what is over is kept.
    pub retention: Retention,
    /// The store's clock, where tests may set it ahead.
    pub clock: Option<Arc<SetAhead>>,
    /// Other nodes write the store, too.
    pub many: bool,
    /// Where it is counted what happens.
    pub metrics: Arc<Metrics>,
    /// Where spans go, if anywhere.
    pub traces: Option<Arc<Traces>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            submits_max: limits::SUBMIT_LANE_MAX,
            retention: Retention::default(),
            clock: None,
            many: false,
            metrics: Arc::default(),
            traces: None,
        }
    }
}

impl Tracker {
    /// Starts the loop over a store. The thread ends after [`Tracker::close`], or when the store fails.
    pub async fn open(
        mut store: Box<dyn Store>,
        reader: Arc<dyn Reader>,
        options: Options,
    ) -> Result<(Self, JoinHandle<()>), StoreError> {
        let inbox = Arc::new(Inbox::new(options.submits_max));
        let now = reader.now();
        let registry = reader.registry(AllTenants).await?;
        let shared = Arc::new(Shared {
            workers: workers::Workers::restored(registry.workers),
            controlled: queues::Controlled::restored(&registry.queues),
            many: options.many,
            metrics: options.metrics,
            traces: options.traces,
            ..Shared::default()
        });
        if options.many {
            let cursor = reader.history().await?.last;
            let (reader, shared, inbox) = (reader.clone(), shared.clone(), inbox.clone());
            tokio::spawn(tail::Tail { reader, shared, inbox, cursor }.follow());
        }
        let intake = Intake {
            next_due: if options.many { Some(now) } else { store.next_due()? },
            store,
            reader: reader.clone(),
            inbox: inbox.clone(),
            shared: shared.clone(),
            claims: claims::Claims::default(),
            alive_at: now,
            late: false,
            pruning: pruning::Pruning::new(options.retention, now),
            clock: options.clock.clone(),
        };
        let thread = std::thread::Builder::new().name("intake".to_owned()).spawn(move || intake.run());
        let thread = thread.map_err(|error| StoreError::Failed(error.to_string()))?;
        let cache = shared.cache.clone();
        let can_travel = options.clock.is_some();
        Ok((Self { door: inbox.clone(), inbox, reader, cache, shared, can_travel }, thread))
    }

    /// A tracker with another door behind the same face, whose reads come from that door's cache: the yardstick that
    /// the benches measure against.
    #[must_use]
    pub fn behind(&self, door: Arc<dyn Door>, cache: Arc<cache::Cache>) -> Self {
        Self { door, cache, ..self.clone() }
    }

    async fn ask<T>(&self, entry: impl FnOnce(Reply<T>) -> Entry) -> Result<T, Denied> {
        let (reply, answer) = oneshot::channel();
        self.door.hand(entry(reply))?;
        answer.await.unwrap_or_else(|_| Err(unknown()))
    }

    /// Hands an operation in. Durable when it answers.
    pub async fn submit(&self, submit: Submit) -> Result<Submitted, Denied> {
        let Submitted { operation, replayed } = self.submit_bare(submit).await?;
        Ok(Submitted { operation: self.with_payloads(operation).await?, replayed })
    }

    /// The same where nobody wants to see large payloads.
    pub async fn submit_bare(&self, submit: Submit) -> Result<Submitted, Denied> {
        self.ask(|reply| Entry::Submit(Box::new(submit), reply)).await
    }

    /// Takes an operation through a command. Durable when it answers, with the operation as it is then.
    pub async fn order(&self, order: Order) -> Result<Operation, Denied> {
        let said = match &order.command {
            Command::Patch(said) if said.result.is_some() => {
                Some((order.tenant.clone(), order.id, said.clone()))
            }
            _ => None,
        };
        match (self.ask(|reply| Entry::Command(order, reply)).await, said) {
            (Ok(operation), _) => self.with_payloads(operation).await,
            // A turn has no large results at hand, so it refuses a repeat of what one of those says.
            (Err(refused @ Denied::Refused(Refusal::Conflict(_))), Some((tenant, id, said))) => {
                let standing = self.reader.get(&tenant, id).await?;
                standing.filter(|standing| said.says_what_stands(standing)).ok_or(refused)
            }
            (Err(denied), _) => Err(denied),
        }
    }

    /// What a turn answers with, and its large payloads, which a turn does not load. They never change.
    async fn with_payloads(&self, mut operation: Operation) -> Result<Operation, Denied> {
        if has_payloads(&operation) {
            return Ok(operation);
        }
        let kept = self.reader.get(operation.tenant(), operation.spec.id).await?;
        if let Some(kept) = kept.filter(|kept| kept.seq == operation.seq) {
            Arc::make_mut(&mut operation.spec).input.clone_from(&kept.spec.input);
            if let State::Completed { result, .. } = &mut operation.state {
                *result = kept.result().cloned();
            }
        }
        Ok(operation)
    }

    /// A worker's call. A caller that goes away before it is answered takes nothing with it.
    pub async fn exchange(&self, exchange: Exchange) -> Result<(Exchanged, Vec<Handed>), Denied> {
        let (reply, answer) = oneshot::channel();
        self.door.hand(Entry::Exchange(exchange, reply))?;
        Handover::new(self.door.clone(), answer).arrive(&*self.reader).await
    }

    /// Stores a credential, new or changed. Durable when it answers.
    pub async fn put_credential(&self, credential: Credential) -> Result<(), Denied> {
        self.ask(|reply| Entry::Token(Noted::Credential(credential), reply)).await
    }

    /// Stores when tokens were last used, by their ids.
    pub async fn put_tokens_used(&self, used: Vec<(Arc<str>, Timestamp)>) -> Result<(), Denied> {
        self.ask(|reply| Entry::Token(Noted::Used(used), reply)).await
    }

    /// One operation as it is now, its payloads at hand: it shows every write that was acknowledged before.
    pub async fn get(&self, tenant: &TenantId, id: OperationId) -> Result<Arc<Operation>, Denied> {
        if let Some(cached) = self.cache.get(tenant, id)
            && has_payloads(&cached)
        {
            return Ok(cached);
        }
        Ok(Arc::new(self.reader.get(tenant, id).await?.ok_or(Denied::NotFound)?))
    }

    /// Takes a place among those who hear of an operation's changes. To miss none: first follow, then get, then wait.
    pub fn follow(&self, tenant: &TenantId, id: OperationId) -> Follow {
        self.shared.watch.follow(Whose::Operation(tenant.clone(), id))
    }

    /// Begins to watch: every event from here on will be heard of. The watcher is to be placed before it reads.
    pub fn watch(&self, whose: Whose) -> Watcher {
        Watcher::new(&self.shared.watch, &self.reader, whose)
    }

    /// Why an operation has not started, by the claim's own checks; none once it has, or if it never waits in a queue.
    pub async fn waiting(&self, operation: &Operation) -> Result<Option<Waiting>, Denied> {
        let State::Waiting { hold, ready_at } = operation.state else { return Ok(None) };
        let lane = &operation.spec.lane;
        Ok(match hold {
            Some(Hold::External) => None,
            Some(Hold::Delayed) => Some(Waiting::Delayed(ready_at)),
            Some(Hold::RetryBackoff) => Some(Waiting::RetryBackoff(ready_at)),
            None => Some(match self.gate(lane).await? {
                (Gate::Paused, _) => Waiting::QueuePaused,
                (Gate::Full, controls) => Waiting::QueueLimit(controls.max_running.unwrap_or(0)),
                (Gate::Open(_), _) if self.shared.workers.serves(lane, self.reader.now()) => Waiting::Ready,
                (Gate::Open(_), _) => Waiting::NoWorker,
            }),
        })
    }

    /// Whether another operation of a lane may start, and by which controls. Only a limit has to be read, or what other nodes
    /// may have set just now.
    async fn gate(&self, lane: &Lane) -> Result<(Gate, Controls), Denied> {
        let controls = self.shared.controlled.of(&lane.tenant, &lane.queue);
        if !self.shared.many && (controls.paused || controls.max_running.is_none()) {
            return Ok((controls.gate(0), controls));
        }
        let standing = self.queue(&lane.tenant, &lane.queue).await?;
        let running = usize::try_from(standing.running).unwrap_or(usize::MAX);
        Ok((standing.controls.gate(running), standing.controls))
    }

    /// How a queue stands; one that never was holds nothing.
    pub async fn queue(&self, tenant: &TenantId, name: &QueueName) -> Result<QueueDepth, Denied> {
        let mut found = self.reader.queues(tenant, Some(name)).await?;
        Ok(found.pop().unwrap_or_else(|| QueueDepth::empty(name.clone())))
    }

    /// Changes what is set for a queue. Durable when it answers, with how the queue stands then.
    pub async fn control(&self, order: QueueOrder) -> Result<QueueDepth, Denied> {
        let (tenant, name) = (order.tenant.clone(), order.name.clone());
        self.ask(|reply| Entry::Queue(order, reply)).await?;
        self.queue(&tenant, &name).await
    }

    /// The tenant's workers that asked for work lately or hold anything, those first that asked last, each with what it
    /// holds.
    pub async fn workers(&self, tenant: &TenantId) -> Result<Vec<Present>, Denied> {
        Ok(self.shared.workers.present(tenant, self.reader.held(tenant).await?))
    }

    /// For reads that need no more than the store.
    pub fn reader(&self) -> &dyn Reader {
        &*self.reader
    }

    /// Whether its clock may be set ahead.
    pub fn can_travel(&self) -> bool {
        self.can_travel
    }

    /// Sets the clock ahead, where that is allowed: what falls due on the way has been carried out, in its order, when this
    /// answers with the new time.
    pub async fn travel(&self, by: Duration) -> Result<Timestamp, Denied> {
        let (reply, answer) = oneshot::channel();
        self.inbox.travel((by, reply))?;
        answer.await.unwrap_or_else(|_| Err(unknown()))
    }

    /// Ends claims: those that wait are answered empty, and so are those that come.
    pub fn drain(&self) {
        self.shared.draining.send_replace(true);
        self.inbox.ring();
    }

    /// Whether claims and waits have been ended.
    pub fn is_draining(&self) -> bool {
        *self.shared.draining.borrow()
    }

    /// Resolves when claims and waits are to end.
    pub async fn drained(&self) {
        // The sender lives as long as the tracker.
        let _ = self.shared.draining.subscribe().wait_for(|draining| *draining).await;
    }

    /// Takes nothing in any more. What was taken in is carried out, then the loop ends.
    pub fn close(&self) {
        self.inbox.close();
    }

    /// Resolves when the store has failed: nothing is acknowledged any more, and the process has to end.
    pub async fn failed(&self) {
        // The sender lives as long as the tracker, so that only a failure ends the wait.
        let _ = self.shared.failed.subscribe().wait_for(|failed| *failed).await;
    }

    /// Turns of the loop so far, and those among them that were committed with a sync.
    pub fn turns_and_commits(&self) -> (u64, u64) {
        let turns = &self.shared.metrics.turns;
        (turns.begun.get(), turns.committed.get())
    }

    /// Takes note of what other nodes have written beside operations.
    pub fn learn(&self, registry: &Registry) {
        self.shared.workers.learn(&registry.workers);
        self.shared.controlled.learn(&registry.queues);
    }

    /// Whether a store elsewhere could not be reached when it was needed last.
    pub fn is_away(&self) -> bool {
        self.shared.many && self.shared.away.load(Ordering::Relaxed)
    }

    /// Whether the store has failed.
    pub fn has_failed(&self) -> bool {
        *self.shared.failed.borrow()
    }
}

/// Whether its input and result are at hand, as far as it has any.
fn has_payloads(operation: &Operation) -> bool {
    [operation.spec.input.as_ref(), operation.result()]
        .into_iter()
        .flatten()
        .all(|payload| payload.inline().is_some())
}

/// A loop that ended without an answer leaves it unknown what became of an entry.
fn unknown() -> Denied {
    StoreError::Failed("the intake loop has ended".to_owned()).into()
}

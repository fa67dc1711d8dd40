//! What turns add to the metrics: how long the store took over them, and each transition once it is durable, once, at the
//! node that committed it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::intake::Intake;
use super::turn::Turn;
use crate::metrics::{OfQueue, Operations};
use crate::operation::{Attempt, Event, EventKind, Lane, Operation, Outcome, State, Status, Timestamp};
use crate::store::StoreError;
use crate::store::turn::{Recorded, Touched, Touches, WorkingSet};

impl Intake {
    /// Loads what a turn touches.
    pub(super) fn load(&mut self, touches: &Touches) -> Result<WorkingSet, StoreError> {
        let began = Instant::now();
        let loaded = self.store.begin(touches)?;
        self.shared.metrics.turns.load.observe(began.elapsed().as_secs_f64());
        Ok(loaded)
    }

    /// Writes a turn and makes it durable.
    pub(super) fn make_durable(&mut self, turn: &mut Turn) -> Result<(), StoreError> {
        let began = Instant::now();
        self.store.commit(&mut turn.changes)?;
        let turns = &self.shared.metrics.turns;
        turns.begun.inc();
        if !turn.changes.is_empty() {
            turns.committed.inc();
            turns.commit.observe(began.elapsed().as_secs_f64());
            #[allow(clippy::cast_precision_loss)] // Of some thousands none is lost.
            turns.batch.observe(turn.changes.operations.len() as f64);
        }
        Ok(())
    }

    /// How many claims wait, between two turns.
    pub(super) fn count_waiting(&self) {
        let waiting = i64::try_from(self.claims.len()).unwrap_or(i64::MAX);
        self.shared.metrics.turns.claims_waiting.set(waiting);
    }
}

impl Turn {
    /// Counts what became of operations.
    pub(super) fn tell(&self, operations: &Operations) {
        let mut queues = Queues { operations, last: None };
        for Recorded { touched, event } in &self.changes.events {
            let queue = queues.of(&event.operation.spec.lane);
            count_event(queue, event, &self.changes.operations[*touched]);
        }
        for AttemptEnded { operation, began, at, how } in self.attempts_ended() {
            queues.of(&operation.spec.lane).attempt_has_ended(how, at.since(began));
        }
    }

    /// The attempts that ended: of those that did well only their operation tells, of the others they do themselves.
    pub(super) fn attempts_ended(&self) -> impl Iterator<Item = AttemptEnded<'_>> {
        let well =
            self.changes.events.iter().filter_map(|Recorded { event, .. }| match &event.operation.state {
                State::Completed { at, .. } if !event.operation.spec.external && !had_ended(event) => {
                    let operation = &event.operation;
                    Some(AttemptEnded {
                        operation,
                        began: operation.started.unwrap_or(*at),
                        at: *at,
                        how: None,
                    })
                }
                _ => None,
            });
        let otherwise = self.changes.attempts.iter().filter_map(|attempt| {
            let touched = &self.changes.operations[self.place(attempt.seq)?];
            let operation = touched.after.as_ref().or(touched.before.as_deref())?;
            let &Attempt { started: began, ended: at, outcome, .. } = attempt;
            Some(AttemptEnded { operation, began, at, how: Some(outcome) })
        });
        well.chain(otherwise)
    }
}

/// An attempt that has ended.
pub(super) struct AttemptEnded<'t> {
    /// What it was of.
    pub(super) operation: &'t Operation,
    pub(super) began: Timestamp,
    pub(super) at: Timestamp,
    /// How, unless well.
    pub(super) how: Option<Outcome>,
}

/// The queues of one turn: most often it is the same one again.
struct Queues<'t> {
    operations: &'t Operations,
    last: Option<(&'t Lane, Arc<OfQueue>)>,
}

impl<'t> Queues<'t> {
    fn of(&mut self, lane: &'t Lane) -> &OfQueue {
        let (_, found) = match self.last.take() {
            Some(last) if last.0.queue == lane.queue => self.last.insert(last),
            _ => self.last.insert((lane, self.operations.of(&lane.queue))),
        };
        found
    }
}

fn count_event(queue: &OfQueue, event: &Event, touched: &Touched) {
    let Event { kind, operation, .. } = event;
    match kind {
        EventKind::Created => {
            queue.created.inc();
        }
        EventKind::Started => {
            queue.started.inc();
            if operation.lease().is_some() {
                queue.waited.observe(waited(event, touched).as_secs_f64());
            }
        }
        EventKind::Retrying => {
            queue.retried.inc();
        }
        _ => {}
    }
    match &operation.state {
        _ if had_ended(event) => {}
        State::Completed { .. } => queue.has_ended(None),
        State::Failed { outcome, .. } => queue.has_ended(Some(*outcome)),
        _ => {}
    }
}

/// Whether its operation had ended before.
fn had_ended(event: &Event) -> bool {
    event.kind == EventKind::Deleted || event.status_before.is_some_and(Status::is_terminal)
}

/// How long an operation that has started was one that might. One that became so in this very turn waited for nothing.
pub(super) fn waited(event: &Event, touched: &Touched) -> Duration {
    match touched.before.as_ref().map(|before| &before.state) {
        Some(State::Waiting { ready_at, .. }) => event.at.since(*ready_at),
        _ => Duration::ZERO,
    }
}

//! How an attempt ends other than well: another one, the end, or back to the queue.

use std::sync::Arc;
use std::time::Duration;

use super::command::Context;
use super::event::{Attempt, EventKind};
use super::model::{Failure, Hold, Lease, Operation, State};
use super::retry::RetryPolicy;
use super::status::Outcome;
use super::time::Timestamp;
use super::transition::{Step, changed};
use crate::limits;

fn ended_attempt(
    operation: &Operation,
    lease: &Lease,
    outcome: Outcome,
    failure: Option<Arc<Failure>>,
    context: Context,
) -> Attempt {
    Attempt {
        seq: operation.seq,
        token: lease.token,
        worker: lease.worker.clone(),
        started: operation.started.unwrap_or(context.now),
        ended: context.now,
        outcome,
        failure,
    }
}

/// The attempt ended badly: another one after its backoff, or the end. `again` holds the soonest moment asked for
/// when another attempt may help at all.
pub(super) fn fail(
    mut told: Operation,
    lease: &Lease,
    failure: Arc<Failure>,
    outcome: Outcome,
    again: Option<Option<Duration>>,
    context: Context,
) -> Step {
    if told.cancel_requested {
        return end_canceled(told, lease, Some(failure), context);
    }
    let attempt = ended_attempt(&told, lease, outcome, Some(failure.clone()), context);
    let event = match again {
        Some(asked) if told.attempts < told.spec.max_attempts => {
            let policy: RetryPolicy = told.spec.retry.unwrap_or_default();
            let delay = policy.delay(told.attempts, asked, context.jitter);
            let ready_at = context.now.plus(delay);
            told.start_at = Some(ready_at);
            told.state =
                State::Waiting { hold: (ready_at > context.now).then_some(Hold::RetryBackoff), ready_at };
            told.last_failure = Some(failure);
            EventKind::Retrying
        }
        _ => {
            told.state = State::Failed { failure, outcome, at: context.now };
            EventKind::Failed
        }
    };
    Step::Changed { operation: Box::new(told), event, attempt: Some(attempt) }
}

pub(super) fn canceled() -> Arc<Failure> {
    Arc::new(Failure::new("canceled", "The operation was canceled."))
}

fn end_canceled(mut told: Operation, lease: &Lease, said: Option<Arc<Failure>>, context: Context) -> Step {
    let attempt = ended_attempt(&told, lease, Outcome::Canceled, said, context);
    told.state = State::Failed { failure: canceled(), outcome: Outcome::Canceled, at: context.now };
    Step::Changed { operation: Box::new(told), event: EventKind::Failed, attempt: Some(attempt) }
}

/// The worker went silent: ready again at once, or the end when no attempt is left.
pub(super) fn lease_expired(mut told: Operation, lease: &Lease, context: Context) -> Step {
    if told.cancel_requested {
        return end_canceled(told, lease, None, context);
    }
    let message = format!("The worker {} did not report in time.", lease.worker.as_str());
    let failure = Arc::new(Failure::new("leaseExpired", &message));
    let attempt = ended_attempt(&told, lease, Outcome::LeaseExpired, Some(failure.clone()), context);
    let event = requeue_or_fail(&mut told, failure, EventKind::Retrying, context);
    Step::Changed { operation: Box::new(told), event, attempt: Some(attempt) }
}

fn requeue_or_fail(
    told: &mut Operation,
    failure: Arc<Failure>,
    requeued: EventKind,
    context: Context,
) -> EventKind {
    if told.attempts >= told.spec.max_attempts {
        told.state = State::Failed { failure, outcome: Outcome::LeaseExpired, at: context.now };
        return EventKind::Failed;
    }
    told.state = State::Waiting { hold: None, ready_at: context.now };
    told.last_failure = Some(failure);
    requeued
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum GiveBack {
    /// By a worker: free only so many times.
    Counted,
    /// By the server, whose answer found nobody.
    Uncounted,
}

/// Handed back without a fault of its own: the attempt is given back too.
pub(super) fn release(before: &Operation, lease: &Lease, give_back: GiveBack, context: Context) -> Step {
    let mut told = before.clone();
    if told.cancel_requested {
        return end_canceled(told, lease, None, context);
    }
    if give_back == GiveBack::Counted {
        let attempt = ended_attempt(&told, lease, Outcome::Released, None, context);
        if told.releases >= limits::FREE_RELEASES {
            let failure = Arc::new(Failure::new(
                "leaseExpired",
                "Workers gave the operation back until no attempt was left.",
            ));
            let event = requeue_or_fail(&mut told, failure, EventKind::Released, context);
            return Step::Changed { operation: Box::new(told), event, attempt: Some(attempt) };
        }
        told.releases += 1;
        told.attempts -= 1;
        told.state = State::Waiting { hold: None, ready_at: arrival(before) };
        let operation = Box::new(told);
        return Step::Changed { operation, event: EventKind::Released, attempt: Some(attempt) };
    }
    told.attempts -= 1;
    told.state = State::Waiting { hold: None, ready_at: arrival(before) };
    changed(told, EventKind::Released)
}

/// Since when it had been ready before its attempt began: what was given back keeps its place.
fn arrival(operation: &Operation) -> Timestamp {
    let received = operation.spec.received;
    operation.start_at.map_or(received, |start| start.max(received))
}

pub(super) fn timeout(message: &str) -> Arc<Failure> {
    Arc::new(Failure::new("timeout", message))
}

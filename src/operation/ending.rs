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

/// Whether another attempt may help.
#[derive(Clone, Copy)]
pub(super) enum Another {
    /// After the backoff, and no sooner than asked.
    AfterBackoff {
        asked: Option<Duration>,
    },
    No,
}

/// The attempt ended badly: another one after its backoff, or the end.
pub(super) fn fail(
    mut told: Operation,
    lease: &Lease,
    failure: Arc<Failure>,
    outcome: Outcome,
    another: Another,
    context: Context,
) -> Step {
    if told.cancel_requested {
        return end_canceled(told, lease, Some(failure), context);
    }
    let attempt = ended_attempt(&told, lease, outcome, Some(failure.clone()), context);
    let event = match another {
        Another::AfterBackoff { asked } if told.attempts < told.spec.max_attempts => {
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
    let event = if told.attempts < told.spec.max_attempts {
        told.state = State::Waiting { hold: None, ready_at: context.now };
        told.last_failure = Some(failure);
        EventKind::Retrying
    } else {
        told.state = State::Failed { failure, outcome: Outcome::LeaseExpired, at: context.now };
        EventKind::Failed
    };
    Step::Changed { operation: Box::new(told), event, attempt: Some(attempt) }
}

/// Handed back by its worker, without a fault of its own: the attempt is given back too, the first ten times.
pub(super) fn release(mut told: Operation, lease: &Lease, context: Context) -> Step {
    if told.cancel_requested {
        return end_canceled(told, lease, None, context);
    }
    let attempt = ended_attempt(&told, lease, Outcome::Released, None, context);
    let free = told.releases < limits::FREE_RELEASES;
    let event = if free || told.attempts < told.spec.max_attempts {
        if free {
            told.releases += 1;
            told.attempts -= 1;
        }
        told.state = State::Waiting { hold: None, ready_at: arrival(&told) };
        EventKind::Released
    } else {
        let message = "Workers gave the operation back until no attempt was left.";
        let failure = Arc::new(Failure::new("leaseExpired", message));
        told.state = State::Failed { failure, outcome: Outcome::LeaseExpired, at: context.now };
        EventKind::Failed
    };
    Step::Changed { operation: Box::new(told), event, attempt: Some(attempt) }
}

/// Taken for somebody who never got it: no worker tried, so nothing is counted and no attempt is told of.
pub(super) fn give_back(mut told: Operation, context: Context) -> Step {
    told.attempts -= 1;
    if told.cancel_requested {
        told.state = State::Failed { failure: canceled(), outcome: Outcome::Canceled, at: context.now };
        return changed(told, EventKind::Failed);
    }
    told.state = State::Waiting { hold: None, ready_at: arrival(&told) };
    changed(told, EventKind::Released)
}

/// The earliest that it could have been claimed: what was given back goes before all that came later.
fn arrival(operation: &Operation) -> Timestamp {
    let received = operation.spec.received;
    operation.start_at.map_or(received, |start| start.max(received))
}

pub(super) fn timeout(message: &str) -> Arc<Failure> {
    Arc::new(Failure::new("timeout", message))
}

//! The state machine: every row of the table of transitions, as one pure function.

use std::sync::Arc;

use super::command::{Command, Context, Refusal, Report, ReportKind};
use super::ending::{self, Another};
use super::event::{Attempt, EventKind};
use super::model::{Carrier, EndedBy, Failure, Hold, Lease, Operation, Payload, Progress, State};
use super::names::LeaseToken;
use super::status::{Outcome, Status};
use super::time::Timestamp;
use super::{heartbeat, patch};
use crate::limits;

/// What a command did.
#[derive(Debug)]
pub enum Step {
    /// One change: version + 1, an event, perhaps the record of an attempt that ended badly.
    Changed {
        /// As it is now.
        operation: Box<Operation>,
        /// What happened.
        event: EventKind,
        /// The attempt that ended by it.
        attempt: Option<Attempt>,
    },
    /// Only the lease or the checkpoint moved, or the links ended: no version, no event.
    Touched(Box<Operation>),
    /// It is gone, and no event tells of it.
    Pruned,
    /// Nothing: a repeat, or what was asked for stands already.
    Unchanged,
}

/// Takes `before` through `command`. The only code that changes an operation.
pub fn apply(before: &Operation, command: &Command, context: Context) -> Result<Step, Refusal> {
    let mut step = match command {
        Command::Claim { worker, claim, own, lease_seconds } => {
            let lease = Lease {
                token: before.token.next(),
                worker: worker.clone(),
                claim: claim.clone(),
                own: *own,
                seconds: *lease_seconds,
                until: context.now,
                cap: before.spec.timeout_seconds.map(|seconds| context.now.plus_seconds(seconds)),
                pending: None,
            };
            start(before, lease, context)
        }
        Command::Report { token, report } => on_report(before, *token, report, context),
        Command::Return { token } => match before.lease() {
            Some(lease) if lease.token == *token => {
                Ok(ending::give_back(heartbeat::settled(before, lease), context))
            }
            _ => Err(Refusal::LeaseLost),
        },
        Command::Cancel => cancel(before, context),
        Command::Retry => retry(before, context),
        Command::Patch(said) => patch::apply(before, said, context),
        // Whoever follows the operation sees nothing of it, and one that has ended stays as it is.
        Command::EndLinks => {
            let links_ended = before.links_ended.saturating_add(1);
            Ok(Step::Touched(Box::new(Operation { links_ended, ..before.clone() })))
        }
        Command::Delete if before.status().is_terminal() => Ok(changed(before.clone(), EventKind::Deleted)),
        Command::Delete => Err(Refusal::Conflict(
            "only an operation that is Completed or Failed can be deleted; cancel it first",
        )),
        // By the server's own time of its end; whoever acted on it since the look at the store goes before.
        Command::Prune { ended_before } if before.completed().is_some_and(|end| end < *ended_before) => {
            Ok(Step::Pruned)
        }
        Command::Prune { .. } => Ok(Step::Unchanged),
        Command::Tick => Ok(tick(before, context)),
    }?;
    if let Step::Changed { operation, .. } = &mut step {
        operation.version = before.version + 1;
        operation.changed = context.now;
        operation.last_action = before.last_action.max(context.now);
    }
    Ok(step)
}

pub(super) fn changed(operation: Operation, event: EventKind) -> Step {
    Step::Changed { operation: Box::new(operation), event, attempt: None }
}

fn start(before: &Operation, mut lease: Lease, context: Context) -> Result<Step, Refusal> {
    if before.ready_since().is_none() {
        return Err(Refusal::Conflict("only an operation that is ready can be claimed"));
    }
    if before.is_expired(context.now) {
        return Err(Refusal::Conflict("the operation's expirationDateTime has passed"));
    }
    heartbeat::extend(&mut lease, context.now);
    let mut after = before.clone();
    after.token = lease.token;
    after.attempts += 1;
    after.started = Some(context.now);
    after.state = State::Running(Carrier::Worker(lease));
    Ok(changed(after, EventKind::Started))
}

/// A worker's report: first whether it may speak, then what it says.
fn on_report(
    before: &Operation,
    token: LeaseToken,
    report: &Report,
    context: Context,
) -> Result<Step, Refusal> {
    let status = report.kind.status();
    let lease = match before.lease() {
        Some(lease) if lease.token == token => lease,
        _ => {
            return match before.ended_by.filter(|ended| ended.token == token) {
                Some(ended) if ended.status == status => Ok(Step::Unchanged),
                Some(_) if status == Status::Running => Err(Refusal::Ended),
                _ => Err(Refusal::LeaseLost),
            };
        }
    };
    if let ReportKind::Running = report.kind {
        return Ok(heartbeat::apply(before, lease, report, context));
    }
    let mut told = heartbeat::settled(before, lease);
    if let Some(progress) = &report.progress {
        told.progress = heartbeat::merged(&told.progress, progress);
    }
    if let Some(checkpoint) = &report.checkpoint {
        told.checkpoint = Some(checkpoint.clone());
    }
    told.ended_by = Some(EndedBy { token, status });
    Ok(match &report.kind {
        ReportKind::Running => unreachable!("handled above"),
        ReportKind::Completed { result, resource_location } => {
            told.last_failure = None;
            told.state = State::Completed {
                result: result.clone().map(Payload::Inline),
                resource_location: resource_location.clone(),
                at: context.now,
            };
            changed(told, EventKind::Completed)
        }
        ReportKind::Failed { failure, retryable, retry_after } => {
            let another =
                if *retryable { Another::AfterBackoff { asked: *retry_after } } else { Another::No };
            ending::fail(told, lease, failure.clone(), Outcome::Failed, another, context)
        }
        ReportKind::Released => ending::release(told, lease, context),
    })
}

fn cancel(before: &Operation, context: Context) -> Result<Step, Refusal> {
    let mut after = before.clone();
    match &mut after.state {
        State::Waiting { .. } => {
            return Ok(end(before, ending::canceled(), Outcome::Canceled, context.now));
        }
        State::Failed { outcome: Outcome::Canceled, .. } => return Ok(Step::Unchanged),
        State::Completed { .. } | State::Failed { .. } => {
            return Err(Refusal::Conflict("the operation has already ended"));
        }
        State::Running(_) if before.cancel_requested => return Ok(Step::Unchanged),
        State::Running(Carrier::Worker(lease)) => {
            let end = context.now.plus(limits::CANCEL_GRACE);
            lease.cap = Some(lease.cap.map_or(end, |cap| cap.min(end)));
            lease.until = lease.until.min(end);
            if let Some((progress, _)) = lease.pending.take() {
                after.progress = progress;
            }
        }
        State::Running(Carrier::Owner) => {}
    }
    after.cancel_requested = true;
    Ok(changed(after, EventKind::Canceling))
}

fn retry(before: &Operation, context: Context) -> Result<Step, Refusal> {
    if before.spec.external {
        return Err(Refusal::Conflict("an external operation is not retried here; submit a new one"));
    }
    let State::Failed { failure, .. } = &before.state else {
        return Err(Refusal::Conflict("only an operation that is Failed can be retried"));
    };
    let mut after = before.clone();
    after.last_failure = Some(failure.clone());
    after.state = State::Waiting { hold: None, ready_at: context.now };
    after.attempts = 0;
    after.releases = 0;
    after.progress = Progress::default();
    after.start_at = None;
    after.expires = None;
    after.cancel_requested = false;
    Ok(changed(after, EventKind::Retrying))
}

/// What time itself does. A tick that comes too soon finds nothing to do.
fn tick(before: &Operation, context: Context) -> Step {
    let now = context.now;
    if before.is_expired(now) {
        let failure = Arc::new(Failure::new("expired", "It had not started in time."));
        return end(before, failure, Outcome::Expired, now);
    }
    match &before.state {
        State::Running(Carrier::Worker(lease)) if lease.until > now => {
            heartbeat::window_ended(before, lease, now)
        }
        State::Running(Carrier::Worker(lease)) => attempt_over(before, lease, context),
        State::Waiting { hold: Some(Hold::External), .. } | State::Running(Carrier::Owner)
            if before.wake_at().is_some_and(|silent_at| silent_at <= now) =>
        {
            if before.cancel_requested {
                end(before, ending::canceled(), Outcome::Canceled, now)
            } else {
                end(before, ending::timeout("Its owner did not report in time."), Outcome::TimedOut, now)
            }
        }
        State::Waiting { hold: Some(Hold::Delayed | Hold::RetryBackoff), ready_at } if *ready_at <= now => {
            // That its start has come is no change that anybody was waiting to see: the claim is.
            let mut after = before.clone();
            after.state = State::Waiting { hold: None, ready_at: *ready_at };
            Step::Touched(Box::new(after))
        }
        _ => Step::Unchanged,
    }
}

/// The lease has ended: because the attempt took too long, or because its worker went silent.
fn attempt_over(before: &Operation, lease: &Lease, context: Context) -> Step {
    let told = heartbeat::settled(before, lease);
    let times_out_at = before.started.zip(before.spec.timeout_seconds);
    if times_out_at.is_some_and(|(started, seconds)| started.plus_seconds(seconds) <= context.now) {
        let failure = ending::timeout("The attempt took too long.");
        let another = Another::AfterBackoff { asked: None };
        return ending::fail(told, lease, failure, Outcome::TimedOut, another, context);
    }
    ending::lease_expired(told, lease, context)
}

/// The end of one that nobody holds under a lease.
fn end(before: &Operation, failure: Arc<Failure>, outcome: Outcome, at: Timestamp) -> Step {
    let mut after = before.clone();
    after.state = State::Failed { failure, outcome, at };
    changed(after, EventKind::Failed)
}

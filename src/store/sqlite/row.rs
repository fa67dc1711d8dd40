//! Between a row and an operation. Both halves of the store read with this.

use std::sync::Arc;

use uuid::Uuid;

use super::columns::{Fields, narrow};
use super::error::{Fault, Result};
use super::{codes, text};
use crate::operation::{
    Carrier, EndedBy, Failure, Hold, Lane, Lease, LeaseToken, Operation, OperationId, Payload, Progress, Seq,
    Spec, State, Status, Timestamp,
};

/// What never changes, in the order in which [`spec`] reads it.
pub(super) const SPEC: &str = "seq, lane, id, external, urgency, created, received, max_attempts, \
     timeout_seconds, submitted_by, key, fingerprint, retry, labels";

/// A whole operation, in the order in which [`operation`] reads it.
pub(super) const OPERATION: &str = "seq, lane, id, external, urgency, created, received, max_attempts, \
     timeout_seconds, submitted_by, key, fingerprint, retry, labels, input, input_bytes, \
     version, cursor, status, hold, ready_at, last_action, changed, attempts, releases, token, ended_token, \
     ended_status, started, start_at, expires, percent, detail, told_count, told_at, outcome, finished, error, \
     last_error, cancel_requested, resource_location, result, result_bytes";

/// The same with neither input nor result.
pub(super) const OPERATION_BARE: &str = "seq, lane, id, external, urgency, created, received, max_attempts, \
     timeout_seconds, submitted_by, key, fingerprint, retry, labels, NULL, NULL, \
     version, cursor, status, hold, ready_at, last_action, changed, attempts, releases, token, ended_token, \
     ended_status, started, start_at, expires, percent, detail, told_count, told_at, outcome, finished, error, \
     last_error, cancel_requested, resource_location, NULL, NULL";

/// The public name.
pub(super) fn id(fields: &mut Fields<'_>) -> Result<OperationId> {
    Uuid::from_slice(fields.blob()?).map(OperationId).map_err(|_| Fault::Damaged("an id is no UUID"))
}

/// The parts of [`SPEC`] after the first two; without an input.
pub(super) fn spec(fields: &mut Fields<'_>, lane: Arc<Lane>) -> Result<Spec> {
    Ok(Spec {
        id: id(fields)?,
        lane,
        external: fields.flag()?,
        priority: narrow(-fields.int()?)?,
        created: fields.time()?,
        received: fields.time()?,
        max_attempts: fields.small()?,
        timeout_seconds: fields.maybe_small()?,
        submitted_by: Arc::from(fields.text()?),
        key: fields.maybe_text()?.map(Arc::from),
        fingerprint: fields
            .maybe_blob()?
            .map(|bytes| bytes.try_into().map_err(|_| Fault::Damaged("a fingerprint has another length")))
            .transpose()?,
        retry: fields.maybe_text()?.map(text::retry).transpose()?,
        labels: fields.maybe_text()?.map(text::labels).transpose()?,
        input: None,
    })
}

/// The parts of [`OPERATION`] after the first two.
pub(super) fn operation(
    fields: &mut Fields<'_>,
    seq: Seq,
    lane: Arc<Lane>,
    lease: impl FnOnce() -> Result<Lease>,
) -> Result<Operation> {
    let mut spec = spec(fields, lane)?;
    spec.input = fields.payload()?;
    let external = spec.external;
    let mut operation = blank(seq, Arc::new(spec));
    operation.version = fields.int()?;
    operation.cursor = fields.int()?;
    let status = fields.status()?;
    let hold = fields.hold()?;
    let ready_at = fields.maybe_time()?;
    operation.last_action = fields.time()?;
    operation.changed = fields.time()?;
    operation.attempts = fields.small()?;
    operation.releases = fields.maybe_small()?.unwrap_or(0);
    operation.token = LeaseToken(fields.int()?);
    let ended = (fields.maybe_int()?, fields.maybe_int()?);
    operation.ended_by = ended_by(ended)?;
    operation.started = fields.maybe_time()?;
    operation.start_at = fields.maybe_time()?;
    operation.expires = fields.maybe_time()?;
    operation.progress =
        Progress { percent: fields.maybe_small()?, detail: fields.maybe_text()?.map(Arc::from) };
    operation.progress_told = fields.maybe_small()?.zip(fields.maybe_time()?);
    let outcome = fields.maybe_int()?;
    let finished = fields.maybe_time()?;
    let error = fields.maybe_text()?.map(text::failure).transpose()?;
    operation.last_failure = fields.maybe_text()?.map(text::failure).transpose()?;
    operation.cancel_requested = fields.flag()?;
    let resource_location = fields.maybe_text()?.map(Arc::from);
    let result = fields.payload()?;
    operation.state = match status {
        Status::Running if external => State::Running(Carrier::Owner),
        Status::Running => State::Running(Carrier::Worker(lease()?)),
        _ => {
            resting(Resting { status, hold, ready_at, finished, outcome, error, result, resource_location })?
        }
    };
    Ok(operation)
}

fn ended_by(columns: (Option<i64>, Option<i64>)) -> Result<Option<EndedBy>> {
    let (Some(token), Some(code)) = columns else { return Ok(None) };
    let status = codes::status_of(code).ok_or(Fault::Damaged("a status has no word"))?;
    Ok(Some(EndedBy { token: LeaseToken(token), status }))
}

/// An operation of which nothing but its beginning is known yet.
pub(super) fn blank(seq: Seq, spec: Arc<Spec>) -> Operation {
    let received = spec.received;
    Operation {
        seq,
        spec,
        version: 0,
        cursor: 0,
        state: State::Waiting { hold: None, ready_at: received },
        last_action: received,
        changed: received,
        attempts: 0,
        releases: 0,
        token: LeaseToken(0),
        ended_by: None,
        started: None,
        start_at: None,
        expires: None,
        progress: Progress::default(),
        progress_told: None,
        checkpoint: None,
        last_failure: None,
        cancel_requested: false,
    }
}

/// What the states other than `Running` are made of.
pub(super) struct Resting {
    pub(super) status: Status,
    pub(super) hold: Option<Hold>,
    pub(super) ready_at: Option<Timestamp>,
    pub(super) finished: Option<Timestamp>,
    pub(super) outcome: Option<i64>,
    pub(super) error: Option<Arc<Failure>>,
    pub(super) result: Option<Payload>,
    pub(super) resource_location: Option<Arc<str>>,
}

pub(super) fn resting(parts: Resting) -> Result<State> {
    let Resting { hold, result, resource_location, .. } = parts;
    let ended = || parts.finished.ok_or(Fault::Damaged("an ended operation has no end"));
    Ok(match parts.status {
        Status::Completed => State::Completed { result, resource_location, at: ended()? },
        Status::Failed => State::Failed {
            at: ended()?,
            failure: parts.error.ok_or(Fault::Damaged("a failed operation has no error"))?,
            outcome: parts
                .outcome
                .and_then(codes::outcome_of)
                .ok_or(Fault::Damaged("a failed operation has no outcome"))?,
        },
        Status::NotStarted | Status::Running => {
            let ready_at = parts.ready_at.ok_or(Fault::Damaged("a waiting operation has no start"))?;
            State::Waiting { hold, ready_at }
        }
    })
}

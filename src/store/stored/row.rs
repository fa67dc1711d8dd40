//! Between a row and an operation: read with [`operation`], written with [`bind_standing`], [`bind_place`] and [`bind_spec`].

use std::borrow::Cow;
use std::sync::Arc;

use uuid::Uuid;

use super::fields::{Bind, Columns, Fields, narrow};
use super::{Damaged, Result, codes, text};
use crate::limits;
use crate::operation::{
    Carrier, EndedBy, Failure, Hold, Json, Lane, Lease, LeaseToken, Operation, OperationId, Payload,
    Progress, Seq, Spec, State, Status, Timestamp,
};

/// What never changes, in the order in which [`spec`] reads it.
pub(in crate::store) const SPEC: &str = "seq, lane, id, external, urgency, created, received, max_attempts, \
     timeout_seconds, submitted_by, key, fingerprint, retry, labels, traceparent";

/// A whole operation, in the order in which [`operation`] reads it.
pub(in crate::store) const OPERATION: &str = "seq, lane, id, external, urgency, created, received, max_attempts, \
     timeout_seconds, submitted_by, key, fingerprint, retry, labels, traceparent, input, \
     input_bytes,      version, cursor, status, hold, ready_at, last_action, changed, attempts, releases, token, ended_token, \
     ended_status, started, start_at, expires, percent, detail, told_count, told_at, outcome, finished, error, \
     last_error, cancel_requested, links_ended, resource_location, result, result_bytes";

/// The same with neither input nor result.
pub(in crate::store) const OPERATION_BARE: &str = "seq, lane, id, external, urgency, created, received, max_attempts, \
     timeout_seconds, submitted_by, key, fingerprint, retry, labels, traceparent, NULL, NULL, \
     version, cursor, status, hold, ready_at, last_action, changed, attempts, releases, token, ended_token, \
     ended_status, started, start_at, expires, percent, detail, told_count, told_at, outcome, finished, error, \
     last_error, cancel_requested, links_ended, resource_location, NULL, NULL";

/// What may change, in the order in which [`bind_standing`] binds it.
pub(in crate::store) const STANDING: [&str; 24] = [
    "version",
    "cursor",
    "last_action",
    "changed",
    "attempts",
    "releases",
    "token",
    "ended_token",
    "ended_status",
    "started",
    "start_at",
    "expires",
    "percent",
    "detail",
    "told_count",
    "told_at",
    "outcome",
    "error",
    "last_error",
    "cancel_requested",
    "links_ended",
    "resource_location",
    "result",
    "result_bytes",
];
/// The same, in the ready index, and in that of what has ended: [`bind_place`].
pub(in crate::store) const PLACE: [&str; 4] = ["status", "hold", "ready_at", "finished"];
/// The same, in the index of the tick.
pub(in crate::store) const WAKE: [&str; 1] = ["wake_at"];
/// What never does, in the order in which [`bind_spec`] binds it.
pub(in crate::store) const SPEC_WRITTEN: [&str; 18] = [
    "seq",
    "tenant",
    "id",
    "lane",
    "urgency",
    "max_attempts",
    "external",
    "created",
    "received",
    "submitted_by",
    "fingerprint",
    "key",
    "timeout_seconds",
    "retry",
    "labels",
    "traceparent",
    "input",
    "input_bytes",
];

/// The parts of a lane: tenant, queue, operation type.
pub(in crate::store) fn lane<'r>(fields: &mut Fields<impl Columns<'r>>) -> Result<Lane> {
    Ok(Lane {
        tenant: text::tenant(fields.text()?)?,
        queue: text::name(fields.text()?)?,
        operation_type: text::name(fields.text()?)?,
    })
}

/// The public name.
pub(in crate::store) fn id<'r>(fields: &mut Fields<impl Columns<'r>>) -> Result<OperationId> {
    Uuid::from_slice(fields.blob()?).map(OperationId).map_err(|_| Damaged("an id is no UUID"))
}

/// The parts of [`SPEC`] after the first two; without an input.
pub(in crate::store) fn spec<'r>(fields: &mut Fields<impl Columns<'r>>, lane: Arc<Lane>) -> Result<Spec> {
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
            .map(|bytes| bytes.try_into().map_err(|_| Damaged("a fingerprint has another length")))
            .transpose()?,
        retry: fields.maybe_text()?.map(text::retry).transpose()?,
        labels: fields.maybe_text()?.map(text::labels).transpose()?,
        traceparent: fields.maybe_text()?.map(text::traceparent).transpose()?,
        input: None,
    })
}

/// The parts of [`OPERATION`] after the first two.
pub(in crate::store) fn operation<'r, F: From<Damaged>>(
    fields: &mut Fields<impl Columns<'r>>,
    seq: Seq,
    lane: Arc<Lane>,
    lease: impl FnOnce() -> std::result::Result<Lease, F>,
) -> std::result::Result<Operation, F> {
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
    operation.links_ended = fields.maybe_small()?.unwrap_or(0);
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
    let status = codes::status_of(code).ok_or(Damaged("a status has no word"))?;
    Ok(Some(EndedBy { token: LeaseToken(token), status }))
}

/// An operation of which nothing but its beginning is known yet.
pub(in crate::store) fn blank(seq: Seq, spec: Arc<Spec>) -> Operation {
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
        links_ended: 0,
    }
}

/// What the states other than `Running` are made of.
pub(in crate::store) struct Resting {
    pub(in crate::store) status: Status,
    pub(in crate::store) hold: Option<Hold>,
    pub(in crate::store) ready_at: Option<Timestamp>,
    pub(in crate::store) finished: Option<Timestamp>,
    pub(in crate::store) outcome: Option<i64>,
    pub(in crate::store) error: Option<Arc<Failure>>,
    pub(in crate::store) result: Option<Payload>,
    pub(in crate::store) resource_location: Option<Arc<str>>,
}

pub(in crate::store) fn resting(parts: Resting) -> Result<State> {
    let Resting { hold, result, resource_location, .. } = parts;
    let ended = || parts.finished.ok_or(Damaged("an ended operation has no end"));
    Ok(match parts.status {
        Status::Completed => State::Completed { result, resource_location, at: ended()? },
        Status::Failed => State::Failed {
            at: ended()?,
            failure: parts.error.ok_or(Damaged("a failed operation has no error"))?,
            outcome: parts
                .outcome
                .and_then(codes::outcome_of)
                .ok_or(Damaged("a failed operation has no outcome"))?,
        },
        Status::NotStarted | Status::Running => {
            let ready_at = parts.ready_at.ok_or(Damaged("a waiting operation has no start"))?;
            State::Waiting { hold, ready_at }
        }
    })
}

/// The columns of [`PLACE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct Place {
    status: Status,
    hold: Option<Hold>,
    ready_at: Option<Timestamp>,
    finished: Option<Timestamp>,
}

pub(in crate::store) fn place(operation: &Operation) -> Place {
    let (hold, ready_at) = match operation.state {
        State::Waiting { hold, ready_at } => (hold, Some(ready_at)),
        _ => (None, None),
    };
    Place { status: operation.status(), hold, ready_at, finished: operation.completed() }
}

/// In the order of [`PLACE`].
pub(in crate::store) fn bind_place<'v>(row: &mut impl Bind<'v>, place: Place) {
    row.put(codes::status(place.status));
    row.put(codes::hold(place.hold));
    row.time(place.ready_at);
    row.time(place.finished);
}

/// In the order of [`STANDING`].
pub(in crate::store) fn bind_standing<'v>(row: &mut impl Bind<'v>, after: &'v Operation) {
    let (outcome, error) = match &after.state {
        State::Failed { failure, outcome, .. } => (Some(codes::outcome(*outcome)), Some(failure)),
        _ => (None, None),
    };
    let ended = after.ended_by;
    let told = after.progress_told;
    let owned = |failure: &Arc<Failure>| Cow::Owned(text::failure_text(failure));
    row.put(after.version);
    row.put(after.cursor);
    row.time(Some(after.last_action));
    row.time(Some(after.changed));
    row.put(after.attempts);
    row.int((after.releases > 0).then_some(after.releases.into()));
    row.put(after.token.0);
    row.int(ended.map(|ended| ended.token.0));
    row.int(ended.map(|ended| codes::status(ended.status)));
    row.time(after.started);
    row.time(after.start_at);
    row.time(after.expires);
    row.int(after.progress.percent.map(i64::from));
    row.text(after.progress.detail.as_deref().map(Cow::Borrowed));
    row.int(told.map(|(count, _)| count.into()));
    row.time(told.map(|(_, at)| at));
    row.int(outcome);
    row.text(error.map(owned));
    row.text(after.last_failure.as_ref().map(owned));
    row.int(after.cancel_requested.then_some(1));
    row.int((after.links_ended > 0).then_some(after.links_ended.into()));
    row.text(after.resource_location().map(|url| Cow::Borrowed(&**url)));
    bind_payload(row, after.result());
}

/// In the order of [`SPEC_WRITTEN`].
pub(in crate::store) fn bind_spec<'v>(row: &mut impl Bind<'v>, after: &'v Operation, lane: i64) {
    let spec: &Spec = &after.spec;
    row.put(after.seq.0);
    row.put_text(spec.lane.tenant.as_str());
    row.blob(Some(spec.id.0.as_bytes()));
    row.put(lane);
    row.put(-spec.priority);
    row.put(spec.max_attempts);
    row.put(spec.external);
    row.time(Some(spec.created));
    row.time(Some(spec.received));
    row.put_text(&spec.submitted_by);
    row.blob(spec.fingerprint.as_ref().map(<[u8; 32]>::as_slice));
    row.text(spec.key.as_deref().map(Cow::Borrowed));
    row.int(spec.timeout_seconds.map(i64::from));
    row.text(spec.retry.as_ref().map(|retry| Cow::Owned(text::retry_text(retry))));
    row.text(spec.labels.as_ref().map(|labels| Cow::Owned(text::labels_text(labels))));
    row.text(spec.traceparent.map(|traceparent| Cow::Owned(traceparent.to_string())));
    bind_payload(row, spec.input.as_ref());
}

/// The payload itself while it is small, else its length.
fn bind_payload<'v>(row: &mut impl Bind<'v>, payload: Option<&'v Payload>) {
    let inline = payload.and_then(Payload::inline).filter(|json| !stands_apart(json));
    row.blob(inline.map(|json| json.get().as_bytes()));
    let apart = payload.filter(|_| inline.is_none());
    row.int(apart.map(|payload| i64::try_from(payload.bytes()).unwrap_or(i64::MAX)));
}

/// Whether a payload is too large for the row.
pub(in crate::store) fn stands_apart(json: &Json) -> bool {
    json.get().len() > limits::INLINE_BYTES_MAX
}

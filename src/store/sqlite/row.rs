//! Between a row and an operation, column by column. Both halves of the store read with this.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::types::ValueRef;
use rusqlite::{CachedStatement, Row};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::codes;
use super::error::{Fault, Result};
use crate::operation::{
    Carrier, EndedBy, Failure, Hold, Json, Labels, Lane, Lease, LeaseToken, Name, Operation, OperationId,
    Payload, Progress, RetryPolicy, Seq, Spec, State, Status, Timestamp,
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

/// Reads the columns of a row one after the other.
pub(super) struct Fields<'r> {
    row: &'r Row<'r>,
    at: usize,
}

impl<'r> Fields<'r> {
    pub(super) fn of(row: &'r Row<'r>) -> Self {
        Self { row, at: 0 }
    }

    fn next(&mut self) -> Result<ValueRef<'r>> {
        let value = self.row.get_ref(self.at)?;
        self.at += 1;
        Ok(value)
    }

    pub(super) fn int(&mut self) -> Result<i64> {
        Ok(self.next()?.as_i64()?)
    }

    pub(super) fn maybe_int(&mut self) -> Result<Option<i64>> {
        Ok(self.next()?.as_i64_or_null()?)
    }

    pub(super) fn flag(&mut self) -> Result<bool> {
        Ok(self.maybe_int()?.unwrap_or(0) != 0)
    }

    pub(super) fn text(&mut self) -> Result<&'r str> {
        Ok(self.next()?.as_str()?)
    }

    pub(super) fn maybe_text(&mut self) -> Result<Option<&'r str>> {
        Ok(self.next()?.as_str_or_null()?)
    }

    pub(super) fn blob(&mut self) -> Result<&'r [u8]> {
        Ok(self.next()?.as_blob()?)
    }

    pub(super) fn maybe_blob(&mut self) -> Result<Option<&'r [u8]>> {
        Ok(self.next()?.as_blob_or_null()?)
    }

    pub(super) fn time(&mut self) -> Result<Timestamp> {
        Ok(Timestamp::from_ticks(self.int()?))
    }

    pub(super) fn maybe_time(&mut self) -> Result<Option<Timestamp>> {
        Ok(self.maybe_int()?.map(Timestamp::from_ticks))
    }

    /// A number that fits what it is kept in.
    pub(super) fn small<T: TryFrom<i64>>(&mut self) -> Result<T> {
        narrow(self.int()?)
    }

    pub(super) fn maybe_small<T: TryFrom<i64>>(&mut self) -> Result<Option<T>> {
        self.maybe_int()?.map(narrow).transpose()
    }

    pub(super) fn status(&mut self) -> Result<Status> {
        codes::status_of(self.int()?).ok_or(Fault::Damaged("a status has no word"))
    }

    fn payload(&mut self) -> Result<Option<Payload>> {
        let inline = self.maybe_blob()?.map(json).transpose()?.map(Payload::Inline);
        let stored = self.maybe_small()?.map(|bytes| Payload::Stored { bytes });
        Ok(inline.or(stored))
    }
}

fn narrow<T: TryFrom<i64>>(value: i64) -> Result<T> {
    T::try_from(value).map_err(|_| Fault::Damaged("a number is out of its range"))
}

pub(super) fn json(bytes: &[u8]) -> Result<Json> {
    let text = std::str::from_utf8(bytes).map_err(|_| Fault::Damaged("JSON is not UTF-8"))?;
    let raw = RawValue::from_string(text.to_owned()).map_err(|_| Fault::Damaged("JSON does not parse"))?;
    Ok(Arc::from(raw))
}

pub(super) fn name(text: &str) -> Result<Name> {
    Name::parse(text).map_err(|_| Fault::Damaged("a name is none"))
}

/// Binds the parameters of a statement one after the other, then runs it.
pub(super) struct Binder<'s, 'c> {
    statement: &'s mut CachedStatement<'c>,
    at: usize,
}

impl<'s, 'c> Binder<'s, 'c> {
    pub(super) fn of(statement: &'s mut CachedStatement<'c>) -> Self {
        Self { statement, at: 0 }
    }

    pub(super) fn put<T: rusqlite::ToSql>(&mut self, value: T) -> Result<&mut Self> {
        self.at += 1;
        self.statement.raw_bind_parameter(self.at, value)?;
        Ok(self)
    }

    pub(super) fn time(&mut self, value: Timestamp) -> Result<&mut Self> {
        self.put(value.ticks())
    }

    pub(super) fn maybe_time(&mut self, value: Option<Timestamp>) -> Result<&mut Self> {
        self.put(value.map(Timestamp::ticks))
    }

    /// Gives how many rows changed.
    pub(super) fn run(self) -> Result<usize> {
        Ok(self.statement.raw_execute()?)
    }
}

/// The parts of [`SPEC`] after the first two; without an input.
pub(super) fn spec(fields: &mut Fields<'_>, lane: Arc<Lane>) -> Result<Spec> {
    let id = Uuid::from_slice(fields.blob()?).map_err(|_| Fault::Damaged("an id is no UUID"))?;
    Ok(Spec {
        id: OperationId(id),
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
        retry: fields.maybe_text()?.map(retry).transpose()?,
        labels: fields.maybe_text()?.map(labels).transpose()?,
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
    let hold = codes::hold_of(fields.int()?)?;
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
    let error = fields.maybe_text()?.map(failure).transpose()?;
    operation.last_failure = fields.maybe_text()?.map(failure).transpose()?;
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

#[derive(serde::Serialize)]
struct FailureWritten<'a> {
    code: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    full: Option<&'a str>,
}

#[derive(serde::Deserialize)]
struct FailureRead {
    code: String,
    message: String,
    full: Option<String>,
}

pub(super) fn failure_text(failure: &Failure) -> String {
    let written =
        FailureWritten { code: &failure.code, message: &failure.message, full: failure.full.as_deref() };
    // Three texts always serialise.
    serde_json::to_string(&written).unwrap_or_default()
}

pub(super) fn failure(text: &str) -> Result<Arc<Failure>> {
    let read: FailureRead =
        serde_json::from_str(text).map_err(|_| Fault::Damaged("an error does not parse"))?;
    Ok(Arc::new(Failure {
        code: read.code.into(),
        message: read.message.into(),
        full: read.full.map(Arc::from),
    }))
}

pub(super) fn retry_text(policy: &RetryPolicy) -> String {
    let RetryPolicy { initial_delay_seconds, factor, max_delay_seconds, jitter } = policy;
    format!("[{initial_delay_seconds},{factor},{max_delay_seconds},{jitter}]")
}

/// Parsed by the standard library, which reads exactly the number that was written; `serde_json` may miss it by a bit.
pub(super) fn retry(text: &str) -> Result<RetryPolicy> {
    let damaged = Fault::Damaged("a retry policy does not parse");
    let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let mut numbers = inner.unwrap_or_default().split(',').map(str::parse::<f64>);
    let mut next = || numbers.next()?.ok();
    match (next(), next(), next(), next()) {
        (Some(initial_delay_seconds), Some(factor), Some(max_delay_seconds), Some(jitter)) => {
            Ok(RetryPolicy { initial_delay_seconds, factor, max_delay_seconds, jitter })
        }
        _ => Err(damaged),
    }
}

pub(super) fn labels_text(labels: &Labels) -> String {
    let plain: BTreeMap<&str, &str> =
        labels.iter().map(|(name, value)| (name.as_str(), value.as_ref())).collect();
    // A map of texts always serialises.
    serde_json::to_string(&plain).unwrap_or_default()
}

pub(super) fn labels(text: &str) -> Result<Arc<Labels>> {
    let plain: BTreeMap<String, String> =
        serde_json::from_str(text).map_err(|_| Fault::Damaged("labels do not parse"))?;
    let labels =
        plain.into_iter().map(|(key, value)| Ok((name(&key)?, Arc::from(value)))).collect::<Result<_>>()?;
    Ok(Arc::new(labels))
}

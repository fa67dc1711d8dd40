//! A new operation.

use std::sync::Arc;

use super::common;
use crate::auth::Caller;
use crate::http::error::ApiError;
use crate::http::json::{Fields, Value};
use crate::limits;
use crate::operation::{
    Actor, Labels, Lane, Name, Opening, OperationId, Payload, Progress, RetryPolicy, Spec, Status,
    Submission, Timestamp, Via,
};
use crate::tracker::entry::Submit;

/// The times that a client may give.
struct Times {
    created: Timestamp,
    last_action: Option<Timestamp>,
}

/// Reads the body of a submit, with the key it came with.
pub(in crate::http) fn read(
    body: &[u8],
    key: Option<&str>,
    caller: &Caller,
    now: Timestamp,
) -> Result<Submit, ApiError> {
    let mut fields = Fields::read(body)?;
    fields.constant("@odata.type", "#microsoft.graph.operation")?;
    let id = fields.id("id")?;
    let fingerprint = (key.is_some() || id.is_some()).then(|| fields.fingerprint());
    let status = common::status(&mut fields)?.unwrap_or(Status::NotStarted);
    let external = match fields.boolean("isExternal")? {
        Some(false) if status != Status::NotStarted => {
            return Err(fields.refuse("isExternal", "cannot be false with a status other than NotStarted"));
        }
        said => said.unwrap_or(status != Status::NotStarted),
    };
    let times = times(&mut fields, now)?;
    let queue = fields.name("queue")?;
    let operation_type = fields.name("operationType")?;
    let lane = Lane {
        tenant: caller.tenant.clone(),
        queue: queue.unwrap_or_else(Name::default_queue),
        operation_type: operation_type.unwrap_or_else(Name::default_type),
    };
    let priority = fields.integer("priority", -limits::PRIORITY_MAX..=limits::PRIORITY_MAX)?.unwrap_or(0);
    let mut submission = Submission {
        spec: Spec {
            id: id.unwrap_or_else(OperationId::fresh),
            lane: Arc::new(lane),
            external,
            key: key.map(Arc::from),
            fingerprint,
            created: times.created,
            received: now,
            input: fields.json("input", limits::PAYLOAD_BYTES_MAX)?.map(Payload::Inline),
            priority,
            timeout_seconds: fields.integer("timeoutSeconds", 1..=limits::DURATION_SECONDS_MAX)?,
            max_attempts: limits::ATTEMPTS_DEFAULT,
            retry: None,
            labels: labels(&mut fields)?,
            traceparent: None,
            submitted_by: caller.name.clone(),
        },
        last_action: times.last_action,
        start_at: None,
        expires: None,
        progress: Progress::default(),
        opening: Opening::Waiting,
    };
    if external {
        carried_elsewhere(&mut fields, status, &mut submission)?;
    } else {
        queued(&mut fields, now, &mut submission)?;
    }
    fields.finish()?;
    let actor = Actor { name: caller.name.clone(), via: Via::Http };
    Ok(Submit { submission, id_chosen: id.is_some(), actor, deposit: None })
}

/// What only an operation in a queue may have.
fn queued(fields: &mut Fields<'_>, now: Timestamp, submission: &mut Submission) -> Result<(), ApiError> {
    submission.start_at = fields.timestamp("startDateTime")?;
    submission.expires = fields.timestamp("expirationDateTime")?;
    if let Some(expires) = submission.expires {
        if expires <= now {
            return Err(fields.refuse("expirationDateTime", "has already passed"));
        }
        if submission.start_at.is_some_and(|start| expires < start) {
            return Err(fields.refuse("expirationDateTime", "must not lie before startDateTime"));
        }
    }
    if let Some(attempts) = fields.integer("maxAttempts", 1..=limits::ATTEMPTS_MAX)? {
        submission.spec.max_attempts = attempts;
    }
    submission.spec.retry = fields.object("retry")?.map(retry).transpose()?;
    Ok(())
}

fn retry(mut fields: Fields<'_>) -> Result<RetryPolicy, ApiError> {
    let default = RetryPolicy::default();
    let longest = f64::from(limits::DURATION_SECONDS_MAX);
    let policy = RetryPolicy {
        initial_delay_seconds: fields
            .number("initialDelaySeconds", 0.0..=longest)?
            .unwrap_or(default.initial_delay_seconds),
        factor: fields.number("factor", 1.0..=limits::RETRY_FACTOR_MAX)?.unwrap_or(default.factor),
        max_delay_seconds: fields
            .number("maxDelaySeconds", 0.0..=longest)?
            .unwrap_or(default.max_delay_seconds),
        jitter: fields.number("jitter", 0.0..=1.0)?.unwrap_or(default.jitter),
    };
    fields.finish()?;
    Ok(policy)
}

/// What only an operation that is carried out elsewhere may have.
fn carried_elsewhere(
    fields: &mut Fields<'_>,
    status: Status,
    submission: &mut Submission,
) -> Result<(), ApiError> {
    submission.progress = common::progress(fields)?;
    submission.opening = match status {
        Status::NotStarted => Opening::Waiting,
        Status::Running => Opening::Running,
        Status::Completed => Opening::Completed {
            result: fields.json("result", limits::PAYLOAD_BYTES_MAX)?,
            resource_location: common::resource_location(fields)?,
        },
        Status::Failed => Opening::Failed(fields.get("error", common::failure)?),
    };
    Ok(())
}

/// A client's own times are for display and sorting; they may lie a little ahead, and no step before the first.
fn times(fields: &mut Fields<'_>, now: Timestamp) -> Result<Times, ApiError> {
    let created = fields.timestamp("createdDateTime")?;
    let last_action = fields.timestamp("lastActionDateTime")?;
    let latest = now.plus(limits::CLIENT_AHEAD_MAX);
    for (name, time) in [("createdDateTime", created), ("lastActionDateTime", last_action)] {
        if time.is_some_and(|time| time > latest) {
            return Err(fields.refuse(name, "lies more than 5 minutes ahead of the server's clock"));
        }
    }
    Ok(match (created, last_action) {
        (Some(created), Some(last_action)) if created > last_action => {
            return Err(fields.refuse("createdDateTime", "must not lie after lastActionDateTime"));
        }
        (Some(created), None) => Times { created, last_action: (created > now).then_some(created) },
        (None, Some(last_action)) => Times { created: last_action.min(now), last_action: Some(last_action) },
        (None, None) => Times { created: now, last_action: Some(now) },
        (Some(created), last_action) => Times { created, last_action },
    })
}

fn labels(fields: &mut Fields<'_>) -> Result<Option<Labels>, ApiError> {
    let Some(object) = fields.object("labels")? else { return Ok(None) };
    let labels: Labels =
        object.entries().map(|(name, value)| label(&name, value)).collect::<Result<_, _>>()?;
    if labels.len() > limits::LABELS_MAX {
        return Err(fields.refuse("labels", format_args!("must not be more than {}", limits::LABELS_MAX)));
    }
    Ok((!labels.is_empty()).then_some(labels))
}

fn label(name: &str, value: Value<'_>) -> Result<(Name, Arc<str>), ApiError> {
    let name =
        Name::parse(name).map_err(|error| value.refuse(format_args!("the name of a label {error}")))?;
    if value.is_null() {
        return Err(value.refuse("must not be null; leave it out instead"));
    }
    Ok((name, Arc::from(&*value.text(limits::LABEL_CHARS_MAX)?)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_clients_times_may_lie_a_little_ahead() {
        let now = Timestamp::parse("2026-01-01T00:00:00Z").unwrap();
        let (latest, tick) = (now.plus(limits::CLIENT_AHEAD_MAX), Duration::from_nanos(100));
        for name in ["createdDateTime", "lastActionDateTime"] {
            let read = |at: Timestamp| {
                let body = format!(r#"{{"{name}":"{at}"}}"#);
                let mut fields = Fields::read(body.as_bytes())?;
                times(&mut fields, now).map(drop)
            };
            for good in [now, latest.minus(tick), latest] {
                assert_eq!(read(good), Ok(()), "{name} {good}");
            }
            assert_eq!(read(latest.plus(tick)).unwrap_err().target_name(), Some(name));
        }
    }
}

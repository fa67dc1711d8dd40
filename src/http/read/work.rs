//! A worker's call. One bad report fails alone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::common;
use crate::auth::Caller;
use crate::http::error::{ApiError, Code};
use crate::http::json::{Fields, Value};
use crate::limits;
use crate::operation::{
    LeaseToken, Name, OperationId, OperationType, Progress, QueueName, Report, ReportKind, Status, WorkerId,
};
use crate::tracker::entry::{Claim, Reported, Want};

/// A worker's call as read.
#[derive(Debug)]
pub(in crate::http) struct Call {
    /// Who calls.
    pub(in crate::http) worker: WorkerId,
    /// One for each report, in their order: as read, or what is wrong with it.
    pub(in crate::http) reports: Vec<Result<Reported, BadReport>>,
    /// What it asks for.
    pub(in crate::http) claim: Option<Claim>,
}

/// A report that cannot be read.
#[derive(Debug)]
pub(in crate::http) struct BadReport {
    /// The operation, where at least that can be read.
    pub(in crate::http) id: Option<OperationId>,
    /// What is wrong.
    pub(in crate::http) error: ApiError,
}

/// Reads the body of `/v1.0/work`.
pub(in crate::http) fn read(body: &[u8], caller: &Caller) -> Result<Call, ApiError> {
    let (mut fields, flaws) = Fields::read_parts(body, "reports")?;
    let worker = fields.tag("workerId")?.ok_or_else(|| fields.missing("workerId"))?;
    // Counted before it is cut: the answer for too many is another than for a bad list.
    let reports = fields.items("reports", usize::MAX)?.unwrap_or_default();
    if reports.len() > limits::REPORTS_MAX {
        let message = format!("reports: at most {} in one call", limits::REPORTS_MAX);
        return Err(ApiError::new(Code::PayloadTooLarge, message).target("reports"));
    }
    let claim = fields.object("claim")?.map(|fields| claim(fields, caller)).transpose()?;
    fields.finish()?;
    let reports = reports
        .into_iter()
        .map(|value| {
            let read = value.check(&flaws).and_then(|()| report(value));
            read.map_err(|error| BadReport { id: id_of(value), error })
        })
        .collect();
    Ok(Call { worker, reports, claim })
}

fn id_of(value: Value<'_>) -> Option<OperationId> {
    value.object().ok()?.id("id").ok()?
}

fn report(value: Value<'_>) -> Result<Reported, ApiError> {
    let mut fields = value.object()?;
    let id = fields.id("id")?.ok_or_else(|| fields.missing("id"))?;
    let token = fields.integer("leaseToken", 0..=i64::MAX)?.ok_or_else(|| fields.missing("leaseToken"))?;
    let status = common::status(&mut fields)?.ok_or_else(|| fields.missing("status"))?;
    let progress = common::progress(&mut fields)?;
    let checkpoint = fields.json("checkpoint", limits::CHECKPOINT_BYTES_MAX)?;
    let kind = match status {
        Status::NotStarted => ReportKind::Released,
        Status::Running => ReportKind::Running,
        Status::Completed => ReportKind::Completed {
            result: fields.json("result", limits::PAYLOAD_BYTES_MAX)?,
            resource_location: common::resource_location(&mut fields)?,
        },
        Status::Failed => ReportKind::Failed {
            failure: fields.get("error", common::failure)?.ok_or_else(|| fields.missing("error"))?,
            retryable: fields.boolean("retryable")?.unwrap_or(true),
            retry_after: fields
                .number("retryAfterSeconds", 0.0..=f64::from(limits::DURATION_SECONDS_MAX))?
                .map(Duration::from_secs_f64),
        },
    };
    fields.finish()?;
    let progress = (progress != Progress::default()).then_some(progress);
    Ok(Reported { id, token: LeaseToken(token), report: Report { kind, checkpoint, progress } })
}

fn claim(mut fields: Fields<'_>, caller: &Caller) -> Result<Claim, ApiError> {
    let id = fields.tag("id")?.ok_or_else(|| fields.missing("id"))?;
    let queues = match names(&mut fields, "queues", limits::CLAIM_QUEUES_MAX)? {
        Some(queues) => queues,
        None => vec![Name::parse("default").map_err(|_| ApiError::internal())?],
    };
    if let Some(foreign) = queues.iter().find(|queue| !caller.may_claim_from(queue)) {
        let message = format!("queues: the token may not claim from '{foreign}'");
        return Err(ApiError::new(Code::AccessDenied, message).target("claim.queues"));
    }
    let operation_types: Option<Vec<OperationType>> =
        names(&mut fields, "operationTypes", limits::CLAIM_TYPES_MAX)?;
    let limit = fields.integer("limit", 1..=limits::CLAIM_LIMIT_MAX)?.unwrap_or(1);
    let lease_seconds = fields.integer("leaseSeconds", 1..=limits::LEASE_SECONDS_MAX)?;
    let wait_seconds = fields.integer("waitSeconds", 0..=limits::CLAIM_WAIT_SECONDS_MAX)?.unwrap_or(0);
    fields.finish()?;
    Ok(Claim {
        id,
        want: Want {
            tenant: caller.tenant.clone(),
            queues: Some(Arc::from(queues)),
            operation_types: operation_types.map(Arc::from),
            limit: limit as usize,
        },
        lease_seconds: lease_seconds.unwrap_or(limits::LEASE_SECONDS_DEFAULT),
        wait_until: (wait_seconds > 0).then(|| Instant::now() + Duration::from_secs(u64::from(wait_seconds))),
    })
}

fn names<'a>(
    fields: &mut Fields<'a>,
    name: &'a str,
    most: usize,
) -> Result<Option<Vec<QueueName>>, ApiError> {
    let names = fields.names(name, most)?;
    if names.as_ref().is_some_and(Vec::is_empty) {
        return Err(fields.refuse(name, "must not be empty; leave it out for the default"));
    }
    Ok(names)
}

//! The worker's call as a call of a function: the SDK's words into the tracker's, and back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use longrun_sdk::wire::{self, ExchangeAnswer, ExchangeRequest};
use longrun_sdk::{Exchange, ExchangeError};

use crate::limits;
use crate::operation::names::Tag;
use crate::operation::{
    Failure, LeaseToken, Name, Operation, OperationId, Progress, Report, ReportKind, TenantId,
};
use crate::tracker::entry::{Claim, Denied, Notice, NoticeKind, ReportOutcome, Reported, Want};
use crate::tracker::{Handed, Tracker, entry};

/// The tracker of this process, as its own worker tasks see it.
#[derive(Debug)]
pub(super) struct InProcess {
    tracker: Tracker,
    tenant: TenantId,
}

impl InProcess {
    pub(super) fn new(tracker: Tracker, tenant: TenantId) -> Self {
        Self { tracker, tenant }
    }
}

#[async_trait]
impl Exchange for InProcess {
    async fn exchange(&self, request: ExchangeRequest, _: Duration) -> Result<ExchangeAnswer, ExchangeError> {
        let reported: Vec<_> = request.reports.iter().map(|report| report.id).collect();
        let call = entry::Exchange {
            tenant: self.tenant.clone(),
            worker: tag(&request.worker_id)?,
            address: None,
            own: true,
            within: None,
            reports: request.reports.into_iter().map(report).collect(),
            claim: request.claim.map(|claim| self.claim(claim)).transpose()?,
        };
        let (exchanged, handed) = self.tracker.exchange(call).await.map_err(|denied| lost(&denied))?;
        Ok(ExchangeAnswer {
            outcomes: reported.into_iter().zip(exchanged.outcomes).map(outcome).collect(),
            operations: handed.into_iter().map(claimed).collect(),
            notices: exchanged.notices.iter().map(notice).collect(),
        })
    }
}

impl InProcess {
    fn claim(&self, claim: wire::Claim) -> Result<Claim, ExchangeError> {
        let names = |names: Option<Vec<String>>| {
            let parsed = names.map(|names| names.iter().map(|name| Name::parse(name)).collect());
            parsed.transpose().map_err(refused)
        };
        let patience = Duration::from_secs(u64::from(claim.wait_seconds));
        let want = Want {
            tenant: self.tenant.clone(),
            queues: names(claim.queues)?,
            operation_types: names(claim.operation_types)?,
            limit: claim.limit.clamp(1, limits::CLAIM_LIMIT_MAX) as usize,
        };
        Ok(Claim {
            id: tag(&claim.id)?,
            want,
            lease_seconds: claim.lease_seconds.clamp(1, limits::LEASE_SECONDS_MAX),
            wait_until: (!patience.is_zero()).then(|| Instant::now() + patience),
        })
    }
}

fn tag(text: &str) -> Result<Tag, ExchangeError> {
    Tag::parse(text).map_err(refused)
}

fn refused(error: impl std::fmt::Display) -> ExchangeError {
    ExchangeError::Refused { code: "invalidRequest".to_owned(), message: error.to_string() }
}

/// Whatever the tracker denies a well-formed call is a matter of the moment: the same call may come again.
fn lost(denied: &Denied) -> ExchangeError {
    ExchangeError::Lost { message: denied.to_string(), retry_after: None }
}

fn report(report: wire::Report) -> Reported {
    let kind = match report.status {
        wire::Status::Running => ReportKind::Running,
        wire::Status::NotStarted => ReportKind::Released,
        wire::Status::Completed => ReportKind::Completed {
            result: report.result,
            resource_location: report.resource_location.map(Arc::from),
        },
        wire::Status::Failed => ReportKind::Failed {
            failure: Arc::new(failure(report.error.unwrap_or_default())),
            retryable: report.retryable.unwrap_or(true),
            retry_after: report
                .retry_after_seconds
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
        },
    };
    let progress = (report.percent_complete.is_some() || report.status_detail.is_some()).then(|| Progress {
        percent: report.percent_complete.map(whole_percent),
        detail: report.status_detail.map(Arc::from),
    });
    Reported {
        id: OperationId(report.id),
        token: token(report.lease_token),
        report: Report { kind, checkpoint: report.checkpoint, progress },
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Clamped to 0 … 100.
fn whole_percent(percent: f64) -> u8 {
    percent.clamp(0.0, 100.0) as u8
}

fn token(token: u64) -> LeaseToken {
    LeaseToken(i64::try_from(token).unwrap_or(i64::MAX))
}

fn failure(error: wire::OperationError) -> Failure {
    let more = error.target.is_some() || error.details.is_some() || error.inner_error.is_some();
    let full = more.then(|| serde_json::to_string(&error).ok().map(Arc::from)).flatten();
    Failure { code: Arc::from(error.code), message: Arc::from(error.message), full }
}

fn outcome((id, outcome): (uuid::Uuid, ReportOutcome)) -> wire::Outcome {
    let error = outcome.refusal().map(|(code, message)| wire::OperationError::new(code, message));
    let mut said = wire::Outcome { id, error, ..wire::Outcome::default() };
    match outcome {
        ReportOutcome::Accepted { lease, cancel_requested } => {
            said.lease_seconds = lease.map(|left| left.as_secs_f64());
            said.cancel_requested = cancel_requested;
        }
        ReportOutcome::Repeated => said.repeated = true,
        ReportOutcome::Refused(_) | ReportOutcome::NotFound | ReportOutcome::Unreadable => {}
    }
    said
}

fn claimed(handed: Handed) -> wire::ClaimedOperation {
    let Handed { claimed, input, checkpoint } = handed;
    let operation: &Operation = &claimed.operation;
    let spec = &operation.spec;
    let labels = spec.labels.as_ref();
    wire::ClaimedOperation {
        operation: wire::Operation {
            id: spec.id.0,
            status: wire::Status::Running,
            queue: Some(spec.lane.queue.to_string()),
            operation_type: Some(spec.lane.operation_type.to_string()),
            input,
            priority: Some(i32::from(spec.priority)),
            timeout_seconds: spec.timeout_seconds.map(f64::from),
            max_attempts: Some(u32::from(spec.max_attempts)),
            attempts_count: Some(u32::from(operation.attempts)),
            labels: labels
                .map(|all| all.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect()),
            checkpoint,
            traceparent: spec.traceparent.map(|traceparent| traceparent.to_string()),
            ..wire::Operation::default()
        },
        lease: wire::Lease { token: claimed.token.0.unsigned_abs(), seconds: claimed.left.as_secs_f64() },
    }
}

fn notice(notice: &Notice) -> wire::Notice {
    let kind = match notice.kind {
        NoticeKind::Cancel => wire::NoticeKind::Cancel,
        NoticeKind::Lost => wire::NoticeKind::Lost,
    };
    wire::Notice { id: notice.id.0, lease_token: notice.token.0.unsigned_abs(), kind }
}

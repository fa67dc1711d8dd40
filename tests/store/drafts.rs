//! What the tests submit and command.

use std::sync::Arc;

use longrun::operation::{
    ClaimId, Command, Failure, Json, Lane, LeaseToken, Name, Opening, OperationId, Progress, Report,
    ReportKind, RetryPolicy, Spec, Submission, TenantId, Timestamp, WorkerId,
};
use longrun::store::turn::{Touches, Want};
use serde_json::value::RawValue;
use uuid::Uuid;

/// When the clocks of the tests begin.
pub(crate) fn start() -> Timestamp {
    Timestamp::from_ticks(17_000_000_000_000_000)
}

pub(crate) fn tenant(text: &str) -> TenantId {
    TenantId::parse(text).expect("a tenant's name")
}

pub(crate) fn name(text: &str) -> Name {
    Name::parse(text).expect("a name")
}

pub(crate) fn worker(text: &str) -> WorkerId {
    WorkerId::parse(text).expect("a worker's name")
}

pub(crate) fn claim_id(text: &str) -> ClaimId {
    ClaimId::parse(text).expect("a claim's name")
}

pub(crate) fn id(number: u128) -> OperationId {
    OperationId(Uuid::from_u128(number))
}

pub(crate) fn json(text: &str) -> Json {
    Arc::from(RawValue::from_string(text.to_owned()).expect("JSON"))
}

/// A JSON text of that many bytes.
pub(crate) fn json_of(bytes: usize) -> Json {
    json(&format!("\"{}\"", "x".repeat(bytes - 2)))
}

/// A submission as bare as can be, with changes.
pub(crate) fn draft(number: u128, change: impl FnOnce(&mut Submission)) -> Submission {
    let spec = Spec {
        id: id(number),
        lane: lane("default", "default", "noop"),
        external: false,
        key: None,
        fingerprint: None,
        created: start(),
        received: start(),
        input: None,
        priority: 0,
        timeout_seconds: None,
        max_attempts: 3,
        retry: Some(RetryPolicy { jitter: 0.0, ..RetryPolicy::default() }),
        labels: None,
        traceparent: None,
        submitted_by: Arc::from("tester"),
    };
    let mut submission = Submission {
        spec,
        last_action: None,
        start_at: None,
        expires: None,
        progress: Progress::default(),
        opening: Opening::Waiting,
    };
    change(&mut submission);
    submission
}

pub(crate) fn bare(number: u128) -> Submission {
    draft(number, |_| {})
}

pub(crate) fn lane(of: &str, queue: &str, operation_type: &str) -> Arc<Lane> {
    Arc::new(Lane { tenant: tenant(of), queue: name(queue), operation_type: name(operation_type) })
}

pub(crate) fn claim(lease_seconds: u32) -> Command {
    claim_as("w1", "c1", lease_seconds)
}

pub(crate) fn claim_as(by: &str, under: &str, lease_seconds: u32) -> Command {
    Command::Claim { worker: worker(by), claim: claim_id(under), own: false, lease_seconds }
}

pub(crate) fn own_claim(lease_seconds: u32) -> Command {
    Command::Claim { worker: worker("own"), claim: claim_id("c"), own: true, lease_seconds }
}

pub(crate) fn report(token: i64, kind: ReportKind) -> Command {
    report_with(token, kind, None, None)
}

pub(crate) fn report_with(
    token: i64,
    kind: ReportKind,
    checkpoint: Option<Json>,
    percent: Option<u8>,
) -> Command {
    let progress = percent.map(|percent| Progress { percent: Some(percent), detail: None });
    Command::Report { token: LeaseToken(token), report: Report { kind, checkpoint, progress } }
}

pub(crate) fn completed(result: Option<Json>) -> ReportKind {
    ReportKind::Completed { result, resource_location: None }
}

pub(crate) fn failed(retryable: bool) -> ReportKind {
    let failure = Arc::new(Failure::new("upstream", "It did not answer."));
    ReportKind::Failed { failure, retryable, retry_after: None }
}

/// Everything of the default tenant.
pub(crate) fn want(limit: usize) -> Want {
    Want { tenant: tenant("default"), queues: None, operation_types: None, limit }
}

pub(crate) fn want_of(queues: &[&str], operation_types: &[&str], limit: usize) -> Want {
    let names = |texts: &[&str]| {
        (!texts.is_empty()).then(|| texts.iter().map(|text| name(text)).collect::<Arc<[Name]>>())
    };
    let (queues, operation_types) = (names(queues), names(operation_types));
    Want { queues, operation_types, ..want(limit) }
}

pub(crate) fn wants(wants: Vec<Want>) -> Touches {
    Touches { wants, ..Touches::default() }
}

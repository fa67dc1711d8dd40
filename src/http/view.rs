//! How an operation looks on the wire.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::operation::{
    Failure, Json, Labels, Name, Operation, OperationId, Payload, RetryPolicy, Status, Timestamp,
};
use crate::tracker::Waiting;

/// What a list can show of an operation, beside `@odata.type`: all but `waiting`, which is worked out for one at a time.
pub const SELECTABLE: [&str; 24] = [
    "id",
    "status",
    "createdDateTime",
    "lastActionDateTime",
    "queue",
    "operationType",
    "isExternal",
    "priority",
    "startDateTime",
    "expirationDateTime",
    "timeoutSeconds",
    "maxAttempts",
    "retry",
    "labels",
    "input",
    "percentComplete",
    "statusDetail",
    "result",
    "resourceLocation",
    "error",
    "attemptsCount",
    "startedDateTime",
    "completedDateTime",
    "cancelRequested",
];

/// One piece of long-running work and its record.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Operation)]
pub struct OperationView<'a> {
    /// Always `#microsoft.graph.operation`.
    #[serde(rename = "@odata.type")]
    odata_type: &'static str,
    #[schema(value_type = uuid::Uuid)]
    id: OperationId,
    status: Status,
    /// UTC, seven fraction digits.
    #[schema(value_type = String, format = DateTime)]
    created_date_time: Timestamp,
    /// UTC, seven fraction digits; never runs backwards.
    #[schema(value_type = String, format = DateTime)]
    last_action_date_time: Timestamp,
    /// Where it waits.
    #[schema(value_type = String)]
    queue: &'a Name,
    /// Which handler carries it out.
    #[schema(value_type = String)]
    operation_type: &'a Name,
    /// Carried out elsewhere and advanced by `PATCH`; shown when true.
    #[serde(skip_serializing_if = "is_false")]
    #[schema(required = false)]
    is_external: bool,
    /// −100 to 100, higher first.
    priority: i8,
    /// The earliest start: the client's, or that of the next attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    start_date_time: Option<Timestamp>,
    /// Still waiting by then, it fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    expiration_date_time: Option<Timestamp>,
    /// For one attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_seconds: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_attempts: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<RetryView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<std::collections::BTreeMap<String, String>>)]
    labels: Option<&'a Labels>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    input: Option<&'a Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    percent_complete: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_detail: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    result: Option<&'a Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_location: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<FailureSchema>)]
    error: Option<FailureView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts_count: Option<u16>,
    /// Of the latest attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    started_date_time: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    completed_date_time: Option<Timestamp>,
    /// Somebody asked for its end; shown when true.
    #[serde(skip_serializing_if = "is_false")]
    #[schema(required = false)]
    cancel_requested: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting: Option<WaitingView>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // The shape that serde asks for.
fn is_false(flag: &bool) -> bool {
    !flag
}

impl<'a> OperationView<'a> {
    /// The operation as readers see it.
    pub fn of(operation: &'a Operation) -> Self {
        let spec = &operation.spec;
        let queued = !spec.external;
        Self {
            odata_type: "#microsoft.graph.operation",
            id: spec.id,
            status: operation.status(),
            created_date_time: spec.created,
            last_action_date_time: operation.last_action,
            queue: &spec.lane.queue,
            operation_type: &spec.lane.operation_type,
            is_external: spec.external,
            priority: spec.priority,
            start_date_time: operation.start_at,
            expiration_date_time: operation.expires,
            timeout_seconds: spec.timeout_seconds,
            max_attempts: queued.then_some(spec.max_attempts),
            retry: spec.retry.map(RetryView::from),
            labels: spec.labels.as_ref(),
            input: spec.input.as_ref().and_then(Payload::inline),
            percent_complete: operation.progress.percent,
            status_detail: operation.progress.detail.as_deref(),
            result: operation.result().and_then(Payload::inline),
            resource_location: operation.resource_location().map(|location| &**location),
            error: operation.failure().map(|failure| FailureView(failure)),
            attempts_count: queued.then_some(operation.attempts),
            started_date_time: operation.started,
            completed_date_time: operation.completed(),
            cancel_requested: operation.cancel_requested,
            waiting: None,
        }
    }

    /// With its input at hand, wherever it is kept.
    #[must_use]
    pub fn input(mut self, input: Option<&'a Json>) -> Self {
        self.input = input;
        self
    }

    /// Without what it made.
    #[must_use]
    pub fn without_result(mut self) -> Self {
        self.result = None;
        self
    }

    /// With why it has not started.
    #[must_use]
    pub fn waiting(mut self, waiting: Option<Waiting>) -> Self {
        self.waiting = waiting.map(WaitingView::from);
        self
    }
}

/// Backoff between attempts.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Retry)]
pub struct RetryView {
    /// Before the second attempt.
    initial_delay_seconds: f64,
    /// By what each further delay grows.
    factor: f64,
    /// The longest delay, before jitter.
    max_delay_seconds: f64,
    /// Up to this part of the delay is added at random.
    jitter: f64,
}

impl From<RetryPolicy> for RetryView {
    fn from(policy: RetryPolicy) -> Self {
        Self {
            initial_delay_seconds: policy.initial_delay_seconds,
            factor: policy.factor,
            max_delay_seconds: policy.max_delay_seconds,
            jitter: policy.jitter,
        }
    }
}

/// Why an operation failed, or its last attempt did.
#[derive(Debug)]
pub struct FailureView<'a>(pub &'a Failure);

impl Serialize for FailureView<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Some(full) = self.0.full.as_deref()
            && let Ok(raw) = serde_json::from_str::<&RawValue>(full)
        {
            return raw.serialize(serializer);
        }
        FailureSchema {
            code: self.0.code.to_string(),
            message: self.0.message.to_string(),
            target: None,
            details: None,
            inner_error: None,
        }
        .serialize(serializer)
    }
}

/// Why an operation failed, or its last attempt did.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OperationError)]
pub struct FailureSchema {
    /// A short word for programs.
    pub code: String,
    /// A sentence for people.
    pub message: String,
    /// What it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Its parts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<Vec<serde_json::Value>>,
    /// What else its maker wants to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inner_error: Option<serde_json::Value>,
}

/// Why an operation has not started.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Waiting)]
pub struct WaitingView {
    /// `ready`, `noWorker`, `delayed`, `retryBackoff`, `queuePaused` or `queueLimit`.
    reason: &'static str,
    /// Until when, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    until_date_time: Option<Timestamp>,
    /// The same for people.
    message: Cow<'static, str>,
}

impl From<Waiting> for WaitingView {
    fn from(waiting: Waiting) -> Self {
        let (reason, until_date_time, message) = match waiting {
            Waiting::Ready => ("ready", None, "The next free worker takes it."),
            Waiting::NoWorker => {
                ("noWorker", None, "No worker has asked for this queue and type within the last minute.")
            }
            Waiting::Delayed(until) => ("delayed", Some(until), "Its start has not come."),
            Waiting::RetryBackoff(until) => {
                ("retryBackoff", Some(until), "Its last attempt failed; the next one has to wait.")
            }
            Waiting::QueuePaused => ("queuePaused", None, "Its queue is paused."),
            Waiting::QueueLimit(max) => {
                let message =
                    format!("As many operations of its queue run as may at a time (maxRunning is {max}).");
                return Self { reason: "queueLimit", until_date_time: None, message: message.into() };
            }
        };
        Self { reason, until_date_time, message: message.into() }
    }
}

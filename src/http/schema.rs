//! What clients and workers send, and what an error looks like: for the document that describes the API. The reading
//! itself is strict and by hand ([`super::read`]); a test holds both to each other.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::view::FailureSchema;
use crate::operation::Status;

/// A new operation. Every field is optional.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(dead_code)]
pub(super) struct SubmitRequest {
    /// `#microsoft.graph.operation`, if it is there at all.
    #[serde(rename = "@odata.type")]
    odata_type: Option<String>,
    /// The client's own choice; the server's otherwise.
    id: Option<uuid::Uuid>,
    /// Another one than `NotStarted` makes it external.
    status: Option<Status>,
    /// For display and sorting.
    #[schema(format = DateTime)]
    created_date_time: Option<String>,
    /// For display and sorting.
    #[schema(format = DateTime)]
    last_action_date_time: Option<String>,
    /// Where it waits; `default` otherwise.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$")]
    queue: Option<String>,
    /// Which handler carries it out; `noop` otherwise.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$")]
    operation_type: Option<String>,
    /// Carried out elsewhere and advanced by `PATCH`.
    is_external: Option<bool>,
    /// Any JSON up to 256 KiB.
    input: Option<Value>,
    /// Higher goes first; 0 otherwise.
    #[schema(minimum = -100, maximum = 100)]
    priority: Option<i8>,
    /// The earliest start. Not of an external one.
    #[schema(format = DateTime)]
    start_date_time: Option<String>,
    /// Still waiting by then, it fails. Not of an external one.
    #[schema(format = DateTime)]
    expiration_date_time: Option<String>,
    /// For one attempt; of an external one the longest silence of its owner.
    #[schema(minimum = 1, maximum = 31_622_400)]
    timeout_seconds: Option<u32>,
    /// 3 otherwise. Not of an external one.
    #[schema(minimum = 1, maximum = 1000)]
    max_attempts: Option<u16>,
    /// Not of an external one.
    retry: Option<RetryRequest>,
    /// Up to 16, each up to 256 characters.
    labels: Option<BTreeMap<String, String>>,
    /// Of an external one.
    #[schema(minimum = 0, maximum = 100)]
    percent_complete: Option<f64>,
    /// Of an external one.
    #[schema(max_length = 1024)]
    status_detail: Option<String>,
    /// Of an external one that is `Completed`; any JSON up to 256 KiB.
    result: Option<Value>,
    /// Of an external one that is `Completed`.
    #[schema(max_length = 2048, format = "uri")]
    resource_location: Option<String>,
    /// Of an external one that is `Failed`.
    error: Option<FailureSchema>,
}

/// Backoff between attempts. What is left out is as it is otherwise.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(dead_code)]
pub(super) struct RetryRequest {
    /// Before the second attempt.
    #[schema(minimum = 0, maximum = 31_622_400)]
    initial_delay_seconds: Option<f64>,
    /// By what each further delay grows.
    #[schema(minimum = 1, maximum = 1000)]
    factor: Option<f64>,
    /// The longest delay, before jitter.
    #[schema(minimum = 0, maximum = 31_622_400)]
    max_delay_seconds: Option<f64>,
    /// Up to this part of the delay is added at random.
    #[schema(minimum = 0, maximum = 1)]
    jitter: Option<f64>,
}

/// What a link is to be. Every field is optional.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(dead_code)]
pub(super) struct LinkRequest {
    /// `view`, the only one there is.
    r#type: Option<String>,
    /// When it ends, at most 30 days ahead; in a day otherwise.
    #[schema(format = DateTime)]
    expiration_date_time: Option<String>,
    /// Ends all links to the operation that were made before.
    revoke: Option<bool>,
}

/// By how much the clock is set ahead.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)]
pub(super) struct AdvanceRequest {
    #[schema(minimum = 0)]
    seconds: f64,
}

/// What the owner of an external operation says of it; absent fields stay as they are.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(dead_code)]
pub(super) struct PatchRequest {
    /// `#microsoft.graph.operation`, if it is there at all.
    #[serde(rename = "@odata.type")]
    odata_type: Option<String>,
    /// The same or a later one.
    status: Option<Status>,
    #[schema(minimum = 0, maximum = 100)]
    percent_complete: Option<f64>,
    #[schema(max_length = 1024)]
    status_detail: Option<String>,
    /// With `Completed`; any JSON up to 256 KiB.
    result: Option<Value>,
    /// With `Completed`.
    #[schema(max_length = 2048, format = "uri")]
    resource_location: Option<String>,
    /// With `Failed`, which needs it.
    error: Option<FailureSchema>,
}

/// What is set for a queue; absent fields stay as they are.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(dead_code)]
pub(super) struct QueueRequest {
    /// Whether claims pass it by.
    paused: Option<bool>,
    /// How many may run at a time; `null`: any number.
    #[schema(maximum = 1_000_000_000)]
    max_running: Option<u32>,
    /// How many may wait before new ones are refused; `null`: any number.
    #[schema(maximum = 1_000_000_000)]
    max_waiting: Option<u32>,
}

/// A worker's call.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(dead_code)]
pub(super) struct WorkRequest {
    /// A name that is fresh at each start of the worker's process.
    #[schema(min_length = 1, max_length = 128)]
    worker_id: String,
    /// Up to 1000.
    #[schema(max_items = 1000)]
    reports: Option<Vec<ReportRequest>>,
    claim: Option<ClaimRequest>,
}

/// What a worker says of an operation it holds.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = Report)]
#[allow(dead_code)]
pub(super) struct ReportRequest {
    id: uuid::Uuid,
    #[schema(minimum = 0)]
    lease_token: i64,
    /// `Running`: alive; `NotStarted`: given back; or how the attempt ended.
    status: Status,
    #[schema(minimum = 0, maximum = 100)]
    percent_complete: Option<f64>,
    #[schema(max_length = 1024)]
    status_detail: Option<String>,
    /// What the next attempt shall get; any JSON up to 64 KiB.
    checkpoint: Option<Value>,
    /// With `Completed`; any JSON up to 256 KiB.
    result: Option<Value>,
    /// With `Completed`.
    #[schema(max_length = 2048, format = "uri")]
    resource_location: Option<String>,
    /// With `Failed`, which needs it.
    error: Option<FailureSchema>,
    /// With `Failed`: whether another attempt may help; true otherwise.
    retryable: Option<bool>,
    /// With `Failed`: the soonest moment for it.
    #[schema(minimum = 0, maximum = 31_622_400)]
    retry_after_seconds: Option<f64>,
}

/// What a worker asks for.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = Claim)]
#[allow(dead_code)]
pub(super) struct ClaimRequest {
    /// Fresh for each claim; the same again asks for a lost answer.
    #[schema(min_length = 1, max_length = 128)]
    id: String,
    /// Up to 16; `["default"]` otherwise.
    #[schema(min_items = 1, max_items = 16)]
    queues: Option<Vec<String>>,
    /// Up to 64; every type otherwise.
    #[schema(min_items = 1, max_items = 64)]
    operation_types: Option<Vec<String>>,
    /// 1 otherwise.
    #[schema(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// 30 otherwise.
    #[schema(minimum = 1, maximum = 3600)]
    lease_seconds: Option<u32>,
    /// 0 otherwise.
    #[schema(minimum = 0, maximum = 30)]
    wait_seconds: Option<u32>,
}

/// Every error, from every route.
#[derive(Serialize, ToSchema)]
#[allow(dead_code)]
pub(super) struct ErrorBody {
    error: ErrorDetail,
}

/// What went wrong.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Error)]
#[allow(dead_code)]
pub(super) struct ErrorDetail {
    /// A short word for programs.
    code: String,
    /// A sentence for people.
    message: String,
    /// The field, header or parameter at fault.
    target: Option<String>,
    inner_error: InnerError,
}

/// Which request it was.
#[derive(Serialize, ToSchema)]
#[allow(dead_code)]
pub(super) struct InnerError {
    #[schema(format = DateTime)]
    date: String,
    #[serde(rename = "request-id")]
    request_id: String,
    #[serde(rename = "client-request-id")]
    client_request_id: Option<String>,
}

/// What a stream says at a time: a server-sent event, as the HTML standard has it. Comments between them keep it alive.
#[derive(Serialize, ToSchema)]
#[allow(dead_code)]
pub(super) struct StreamEvent {
    /// Its cursor, with which `Last-Event-ID` resumes.
    id: String,
    /// `snapshot`, `reset`, or what has happened: `created`, `started`, `progress` and so on.
    event: String,
    /// The operation as it was then, as JSON; of a `reset` an empty object.
    data: String,
}

//! The operation and its error.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Json, Lease, number};

/// Where an operation stands. The wire knows exactly these four.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Status {
    /// Not taken up yet, or waiting for another attempt.
    #[default]
    NotStarted,
    /// Being carried out.
    Running,
    /// Ended well; terminal.
    Completed,
    /// Ended badly, was canceled or expired; terminal.
    Failed,
}

impl Status {
    /// Whether the status never changes by itself any more.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed)
    }

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotStarted => "NotStarted",
            Self::Running => "Running",
            Self::Completed => "Completed",
            Self::Failed => "Failed",
        }
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One piece of long-running work, as the server shows it.
///
/// Times are RFC 3339 in UTC, kept as the text that was sent. A field is `None` where the server left it
/// out; written again, the object has the same fields as the one read, unknown ones aside.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Operation {
    /// `#microsoft.graph.operation`.
    #[serde(rename = "@odata.type", skip_serializing_if = "Option::is_none")]
    pub odata_type: Option<String>,
    /// Its identity, unique within the tenant.
    pub id: Uuid,
    /// Where it stands.
    pub status: Status,
    /// When it was created, possibly as its client said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_date_time: Option<String>,
    /// When it last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_action_date_time: Option<String>,
    /// The queue it waits in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// Which handler carries it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation_type: Option<String>,
    /// Carried out elsewhere: never queued, advanced by [`Patch`](super::Patch).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_external: Option<bool>,
    /// What its handler works on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<Json>,
    /// −100…100, higher first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// Earliest start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_date_time: Option<String>,
    /// Still waiting by then: it fails as `expired`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expiration_date_time: Option<String>,
    /// Seconds one attempt may take.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "number::optional")]
    pub timeout_seconds: Option<f64>,
    /// How many attempts it has in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
    /// The backoff between attempts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Name → text, for filters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    /// 0…100.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "number::optional")]
    pub percent_complete: Option<f64>,
    /// What it is doing, in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_detail: Option<String>,
    /// What came out, when `Completed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Json>,
    /// Where what came out is to be found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_location: Option<String>,
    /// Why it failed; while it waits for another attempt, why the last one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<OperationError>,
    /// Attempts so far, the running one included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempts_count: Option<u32>,
    /// When the latest attempt began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_date_time: Option<String>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_date_time: Option<String>,
    /// Somebody asked for it to be canceled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancel_requested: Option<bool>,
    /// Why it does not run yet; only in the answer to a get of one operation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
    /// What an earlier attempt left for the next; only workers see it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Json>,
    /// The `traceparent` (W3C Trace Context) that it was submitted with; only workers see it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// The lease a worker holds; only on its way to that worker, where
    /// [`ClaimedOperation`](super::ClaimedOperation) takes it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease: Option<Lease>,
}

impl Operation {
    /// Which handler carries it out: `noop` where nothing is said.
    pub(crate) fn type_or_default(&self) -> &str {
        self.operation_type.as_deref().unwrap_or("noop")
    }
}

/// Why an operation does not run yet.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Waiting {
    /// `ready`, `noWorker`, `delayed`, `retryBackoff`, `queuePaused` or `queueLimit`.
    pub reason: String,
    /// Until when, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until_date_time: Option<String>,
    /// The same in a sentence.
    pub message: String,
}

/// The backoff between attempts, in seconds; an absent field means the server's default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Retry {
    /// Before the second attempt.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "number::optional")]
    pub initial_delay_seconds: Option<f64>,
    /// By how much each delay is longer than the one before.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "number::optional")]
    pub factor: Option<f64>,
    /// No delay is longer, jitter aside.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "number::optional")]
    pub max_delay_seconds: Option<f64>,
    /// The share of the delay that is added at most, at random.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "number::optional")]
    pub jitter: Option<f64>,
}

/// What went wrong: in a failed operation, in the outcome of a report, in an [`ErrorBody`].
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OperationError {
    /// For programs.
    pub code: String,
    /// For people.
    pub message: String,
    /// The field it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Several errors behind this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<Json>,
    /// More, in whatever form its maker chose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inner_error: Option<Json>,
}

impl OperationError {
    /// An error of a code and a message.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), ..Self::default() }
    }
}

/// The body of every answer that is an error.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ErrorBody {
    /// What went wrong.
    pub error: OperationError,
}

/// One attempt: those that ended badly, and the one that runs.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Attempt {
    /// Its fencing token; grows from attempt to attempt.
    pub lease_token: u64,
    /// Who carried it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker_id: Option<String>,
    /// When it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_date_time: Option<String>,
    /// When it ended; absent while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_date_time: Option<String>,
    /// How it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// Why it ended badly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<OperationError>,
}

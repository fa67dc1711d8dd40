//! What a worker and the server say to each other: reports up, claims down.

use serde::{Deserialize, Serialize, Serializer};
use uuid::Uuid;

use super::{Json, Operation, OperationError, Status, number};

/// One call of a worker.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ExchangeRequest {
    /// One per process start, 1–128 printable ASCII characters.
    pub worker_id: String,
    /// At most 1,000.
    pub reports: Vec<Report>,
    /// What the worker would take now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,
}

impl ExchangeRequest {
    /// Whether it does no more than keep leases.
    pub(crate) fn is_heartbeat(&self) -> bool {
        let is_bare = |report: &Report| {
            let Report { percent_complete, status_detail, checkpoint, .. } = report;
            report.status == Status::Running
                && percent_complete.is_none()
                && status_detail.is_none()
                && checkpoint.is_none()
        };
        self.claim.is_none() && !self.reports.is_empty() && self.reports.iter().all(is_bare)
    }
}

/// What a worker says of an operation it holds.
///
/// `Running` is a heartbeat, with progress or a checkpoint a report of it; `NotStarted` releases.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Report {
    /// The operation.
    pub id: Uuid,
    /// The token of the lease under which this is said.
    pub lease_token: u64,
    /// What became of it.
    pub status: Status,
    /// 0…100.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "number::optional")]
    pub percent_complete: Option<f64>,
    /// What it is doing, in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_detail: Option<String>,
    /// What came out; with `Completed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Json>,
    /// Where what came out is to be found; with `Completed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_location: Option<String>,
    /// Why it failed; with `Failed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<OperationError>,
    /// Whether another attempt may help; absent means yes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retryable: Option<bool>,
    /// Seconds before which no other attempt makes sense.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "number::optional")]
    pub retry_after_seconds: Option<f64>,
    /// What the next attempt shall start from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Json>,
}

impl Report {
    /// A report of nothing but a status; with `Running` that is a heartbeat.
    pub fn new(id: Uuid, lease_token: u64, status: Status) -> Self {
        Self { id, lease_token, status, ..Self::default() }
    }
}

/// What a worker would take.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Claim {
    /// Fresh for each claim; the same again only when its answer was lost.
    pub id: String,
    /// From which queues; over HTTP absent means `default` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queues: Option<Vec<String>>,
    /// Which types; absent means every one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation_types: Option<Vec<String>>,
    /// How many at most, 1–1000.
    pub limit: u32,
    /// How long a lease, 1–3600.
    pub lease_seconds: u32,
    /// How long the call may wait for the first operation, 0–30.
    pub wait_seconds: u32,
}

/// What the server answers to an [`ExchangeRequest`].
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ExchangeAnswer {
    /// One for each report, in their order.
    pub outcomes: Vec<Outcome>,
    /// What was claimed.
    pub operations: Vec<ClaimedOperation>,
    /// What the worker should know of operations it holds.
    pub notices: Vec<Notice>,
}

/// What became of a report.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Outcome {
    /// The operation it was about.
    pub id: Uuid,
    /// It had been said before; the first time stands.
    #[serde(skip_serializing_if = "is_false")]
    pub repeated: bool,
    /// Seconds the lease has from now on, possibly with a fraction.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "number::optional")]
    pub lease_seconds: Option<f64>,
    /// Somebody asked for the operation to be canceled.
    #[serde(skip_serializing_if = "is_false")]
    pub cancel_requested: bool,
    /// Why the report changed nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<OperationError>,
}

/// The right to carry one attempt out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Lease {
    /// The fencing token.
    pub token: u64,
    /// How long it lasts unless a report extends it.
    #[serde(serialize_with = "number::plain")]
    pub seconds: f64,
}

/// An operation under a lease of this worker, with the checkpoint of its last attempt in
/// [`Operation::checkpoint`]. On the wire the lease is a field of the operation.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(try_from = "Operation")]
pub struct ClaimedOperation {
    /// What to carry out; its own `lease` is `None`.
    pub operation: Operation,
    /// The right to do so.
    pub lease: Lease,
}

impl TryFrom<Operation> for ClaimedOperation {
    type Error = &'static str;

    fn try_from(mut operation: Operation) -> Result<Self, Self::Error> {
        let lease = operation.lease.take().ok_or("a claimed operation has no lease")?;
        Ok(Self { operation, lease })
    }
}

impl Serialize for ClaimedOperation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // serde's `flatten` would buffer the operation and break its raw values, hence the clone.
        Operation { lease: Some(self.lease), ..self.operation.clone() }.serialize(serializer)
    }
}

/// Something a worker should know of an operation it holds; sent once, possibly lost.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Notice {
    /// The operation.
    pub id: Uuid,
    /// The lease it is about.
    pub lease_token: u64,
    /// What to know.
    pub kind: NoticeKind,
}

/// What a [`Notice`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum NoticeKind {
    /// Somebody asked for the operation to be canceled.
    Cancel,
    /// The lease ended without this worker's doing.
    Lost,
    /// A kind that this version does not know; to be ignored.
    #[serde(other)]
    Unknown,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde dictates the signature
fn is_false(value: &bool) -> bool {
    !*value
}

//! What a client sends: a new operation, and a change of an external one.

use std::collections::BTreeMap;

use serde::Serialize;
use uuid::Uuid;

use super::{Json, OperationError, Retry, Status, number, to_json};

/// A new operation. Every field is optional; absent ones are filled in by the server.
///
/// ```
/// use longrun_sdk::wire::Submit;
///
/// let submit = Submit::new("thumbnail").queue("media").input(&serde_json::json!({ "width": 120 }))?;
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Submit {
    /// Not part of the body: the `Idempotency-Key` header, at most 255 bytes. The client makes one up
    /// where it is absent.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
    /// Not part of the body: the `traceparent` of W3C Trace Context. Where it is absent, the span that OpenTelemetry is in.
    #[serde(skip)]
    pub traceparent: Option<String>,
    /// An identity of the client's choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Uuid>,
    /// Other than `NotStarted`: the operation is external.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// When it was created; RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_date_time: Option<String>,
    /// When it last changed; RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_action_date_time: Option<String>,
    /// The queue it waits in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// Which handler carries it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation_type: Option<String>,
    /// Carried out elsewhere: never queued.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_external: Option<bool>,
    /// What its handler works on, at most 256 KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<Json>,
    /// −100…100, higher first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// Earliest start; RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_date_time: Option<String>,
    /// Still waiting by then: it fails as `expired`; RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expiration_date_time: Option<String>,
    /// Seconds one attempt may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u32>,
    /// How many attempts in all, 1…1000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
    /// The backoff between attempts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// At most 16, of at most 256 characters.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// 0…100; external operations only, as the four below.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "number::optional")]
    pub percent_complete: Option<f64>,
    /// What it is doing, in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_detail: Option<String>,
    /// What came out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Json>,
    /// Where what came out is to be found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_location: Option<String>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<OperationError>,
}

impl Submit {
    /// An operation of this type.
    pub fn new(operation_type: impl Into<String>) -> Self {
        Self { operation_type: Some(operation_type.into()), ..Self::default() }
    }

    /// Sets the key under which the request may be repeated without making a second operation.
    #[must_use]
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.idempotency_key = Some(key.into());
        self
    }

    /// Sets the queue.
    #[must_use]
    pub fn queue(mut self, queue: impl Into<String>) -> Self {
        self.queue = Some(queue.into());
        self
    }

    /// Sets what the handler works on.
    ///
    /// # Errors
    ///
    /// When the value has no JSON form.
    pub fn input<T: Serialize + ?Sized>(mut self, input: &T) -> Result<Self, serde_json::Error> {
        self.input = Some(to_json(input)?);
        Ok(self)
    }

    /// Sets the priority, −100…100, higher first.
    #[must_use]
    pub fn priority(mut self, priority: i32) -> Self {
        self.priority = Some(priority);
        self
    }

    /// Sets how many attempts the operation has, 1…1000.
    #[must_use]
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = Some(attempts);
        self
    }

    /// Adds a label.
    #[must_use]
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(name.into(), value.into());
        self
    }
}

/// A change of an external operation; absent fields stay as they are.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Patch {
    /// Not part of the body: the `ETag` that must still stand, for `If-Match`.
    #[serde(skip)]
    pub if_match: Option<String>,
    /// The same status or a later one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// 0…100.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "number::optional")]
    pub percent_complete: Option<f64>,
    /// What it is doing, in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_detail: Option<String>,
    /// What came out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Json>,
    /// Where what came out is to be found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_location: Option<String>,
    /// Why it failed; `Failed` needs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<OperationError>,
}

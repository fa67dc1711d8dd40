//! What was submitted, as text: it goes into the event that says the operation was deleted, whose row is gone.

use std::sync::Arc;

use serde_json::value::RawValue;
use uuid::Uuid;

use super::{Damaged, Result, text as texts};
use crate::operation::{Lane, OperationId, Spec, Timestamp};

#[derive(serde::Serialize, serde::Deserialize)]
struct Written {
    id: Uuid,
    external: bool,
    created: i64,
    received: i64,
    priority: i8,
    max_attempts: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_seconds: Option<u32>,
    submitted_by: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<Box<RawValue>>,
}

/// All but the lane, the input, and what only a repeat of the submit needs.
pub(in crate::store) fn write(spec: &Spec) -> String {
    let raw = |text: String| RawValue::from_string(text).ok();
    let written = Written {
        id: spec.id.0,
        external: spec.external,
        created: spec.created.ticks(),
        received: spec.received.ticks(),
        priority: spec.priority,
        max_attempts: spec.max_attempts,
        timeout_seconds: spec.timeout_seconds,
        submitted_by: spec.submitted_by.to_string(),
        retry: spec.retry.as_ref().map(texts::retry_text).and_then(raw),
        labels: spec.labels.as_ref().map(texts::labels_text).and_then(raw),
    };
    // Numbers, texts and JSON always serialise.
    serde_json::to_string(&written).unwrap_or_default()
}

pub(in crate::store) fn read(text: &str, lane: Arc<Lane>) -> Result<Spec> {
    let written: Written =
        serde_json::from_str(text).map_err(|_| Damaged("a deleted operation does not parse"))?;
    Ok(Spec {
        id: OperationId(written.id),
        lane,
        external: written.external,
        key: None,
        fingerprint: None,
        created: Timestamp::from_ticks(written.created),
        received: Timestamp::from_ticks(written.received),
        input: None,
        priority: written.priority,
        timeout_seconds: written.timeout_seconds,
        max_attempts: written.max_attempts,
        retry: written.retry.map(|raw| texts::retry(raw.get())).transpose()?,
        labels: written.labels.map(|raw| texts::labels(raw.get())).transpose()?,
        traceparent: None,
        submitted_by: Arc::from(written.submitted_by),
    })
}

//! What an operator sets for a queue.

use axum::extract::Path;

use crate::http::error::ApiError;
use crate::http::json::{Fields, Value};
use crate::limits;
use crate::operation::{ControlsChange, QueueName};

/// The queue that a path names.
pub(in crate::http) fn name(Path(name): &Path<String>) -> Result<QueueName, ApiError> {
    QueueName::parse(name).map_err(|error| ApiError::at("name", error))
}

/// Reads the body of a `PATCH`.
pub(in crate::http) fn read(body: &[u8]) -> Result<ControlsChange, ApiError> {
    let mut fields = Fields::read(body)?;
    let limit = |value: Value<'_>| value.integer(0..=limits::QUEUE_LIMIT_MAX);
    let change = ControlsChange {
        paused: fields.boolean("paused")?,
        max_running: fields.clearable("maxRunning", limit)?,
        max_waiting: fields.clearable("maxWaiting", limit)?,
    };
    fields.finish()?;
    Ok(change)
}

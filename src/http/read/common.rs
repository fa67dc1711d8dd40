//! Pieces that several requests have.

use std::sync::Arc;

use crate::http::error::ApiError;
use crate::http::json::{Fields, Value};
use crate::limits;
use crate::operation::{Failure, Progress, Status};

/// Codes of an operation's error that only the server may give.
const RESERVED_CODES: [&str; 5] = ["canceled", "expired", "timeout", "leaseExpired", "invalidRequest"];

/// The words of `status`, for its error message.
pub(super) const STATUSES: &str = "NotStarted, Running, Completed, Failed";

/// `status`.
pub(super) fn status(fields: &mut Fields<'_>) -> Result<Option<Status>, ApiError> {
    fields.word("status", Status::parse, STATUSES)
}

/// `percentComplete` and `statusDetail`.
pub(super) fn progress(fields: &mut Fields<'_>) -> Result<Progress, ApiError> {
    // SDKs compute it; a fraction of a percent is cut.
    let percent = fields.number("percentComplete", 0.0..=100.0)?;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Between 0 and 100.
    let percent = percent.map(|percent| percent as u8);
    let detail = fields.text("statusDetail", limits::DETAIL_CHARS_MAX)?;
    Ok(Progress { percent, detail: detail.map(Arc::from) })
}

/// `resourceLocation`.
pub(super) fn resource_location(fields: &mut Fields<'_>) -> Result<Option<Arc<str>>, ApiError> {
    Ok(fields.url("resourceLocation")?.map(Arc::from))
}

/// `error`: a code and a message, and whatever else its maker wants to say.
pub(super) fn failure(value: Value<'_>) -> Result<Arc<Failure>, ApiError> {
    if value.raw().len() > limits::ERROR_BYTES_MAX {
        return Err(value.refuse(format_args!("must not be longer than {} bytes", limits::ERROR_BYTES_MAX)));
    }
    let whole = value.raw();
    let mut fields = value.object()?;
    let code = fields.text("code", limits::NAME_BYTES_MAX)?.ok_or_else(|| fields.missing("code"))?;
    if code.is_empty() {
        return Err(fields.refuse("code", "must not be empty"));
    }
    if RESERVED_CODES.contains(&&*code) {
        return Err(fields.refuse("code", "is reserved for the server"));
    }
    let message =
        fields.text("message", limits::ERROR_BYTES_MAX)?.ok_or_else(|| fields.missing("message"))?;
    let target = fields.text("target", limits::ERROR_BYTES_MAX)?;
    let details = fields.items("details", limits::ERROR_BYTES_MAX)?;
    let inner = fields.take_any("innerError");
    fields.finish()?;
    let more = target.is_some() || details.is_some() || inner.is_some();
    Ok(Arc::new(Failure {
        code: Arc::from(&*code),
        message: Arc::from(&*message),
        full: more.then(|| Arc::from(whole)),
    }))
}

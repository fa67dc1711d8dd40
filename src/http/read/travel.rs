//! By how much a test sets the clock ahead.

use std::time::Duration;

use crate::http::error::ApiError;
use crate::http::json::Fields;
use crate::limits;

/// Reads the body of `/v1.0/test/advance`.
pub(in crate::http) fn read(body: &[u8]) -> Result<Duration, ApiError> {
    let mut fields = Fields::read(body)?;
    let seconds = fields.number("seconds", 0.0..=limits::TRAVEL_MAX.as_secs_f64())?;
    let seconds = seconds.ok_or_else(|| fields.missing("seconds"))?;
    fields.finish()?;
    Ok(Duration::from_secs_f64(seconds))
}

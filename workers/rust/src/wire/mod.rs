//! The JSON of the wire protocol, read leniently.
//!
//! What the server sends is read with unknown fields ignored and everything optional that it may leave
//! out, so that an older worker goes on working with a newer server. What is sent to it is strict:
//! absent fields are left out, never `null`, and whole numbers are written without a fraction.
//!
//! Payloads of users (`input`, `result`, `checkpoint`, …) are kept as the bytes that were sent, behind an
//! [`Arc`]: a clone costs a counter, over HTTP they are copied once, in one process never.

mod number;
mod operation;
mod submit;
mod work;

use std::sync::Arc;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

pub use operation::{Attempt, ErrorBody, Operation, OperationError, Retry, Status, Waiting};
pub use submit::{Patch, Submit};
pub use work::{
    Claim, ClaimedOperation, ExchangeAnswer, ExchangeRequest, Lease, Notice, NoticeKind, Outcome, Report,
};

/// A piece of JSON exactly as it was sent, cheap to clone.
pub type Json = Arc<RawValue>;

/// Writes `value` as [`Json`].
///
/// # Errors
///
/// When the value has no JSON form, for example a map whose keys are not strings.
pub fn to_json<T: Serialize + ?Sized>(value: &T) -> Result<Json, serde_json::Error> {
    to_raw_value(value).map(Arc::from)
}

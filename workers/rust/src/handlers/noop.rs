//! The type of an operation that names none.

use serde::de::IgnoredAny;

use crate::handler::{Context, HandlerError, Success};

/// Does nothing, successfully. An operation without an `operationType` is of this type.
#[allow(clippy::unused_async)] // a handler is an async function, this one too
pub async fn noop(_: IgnoredAny, _: Context) -> Result<Success, HandlerError> {
    Ok(Success::new()
        .status_detail("The built-in type 'noop' does nothing; an operationType chooses real work."))
}

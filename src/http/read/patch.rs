//! What the owner of an external operation says of it.

use super::common;
use crate::http::error::ApiError;
use crate::http::json::Fields;
use crate::limits;
use crate::operation::Patch;

/// Reads the body of a `PATCH`.
pub(in crate::http) fn read(body: &[u8]) -> Result<Patch, ApiError> {
    let mut fields = Fields::read(body)?;
    fields.constant("@odata.type", "#microsoft.graph.operation")?;
    let progress = common::progress(&mut fields)?;
    let patch = Patch {
        status: common::status(&mut fields)?,
        percent: progress.percent,
        detail: progress.detail,
        result: fields.json("result", limits::PAYLOAD_BYTES_MAX)?,
        resource_location: common::resource_location(&mut fields)?,
        failure: fields.get("error", common::failure)?,
    };
    fields.finish()?;
    Ok(patch)
}

//! Removing the record of an operation that has ended.

use axum::extract::{Extension, Path, State};
use http::StatusCode;

use super::{id, order};
use crate::auth::Caller;
use crate::http::app::App;
use crate::http::error::ApiError;
use crate::http::schema::ErrorBody;
use crate::operation::Command;

/// Delete an operation
///
/// Only one that has ended. Its key and id are free again.
#[utoipa::path(
    delete,
    path = "/v1.0/operations/{id}",
    operation_id = "deleteOperation",
    tag = "operations",
    params(("id" = uuid::Uuid, Path)),
    responses(
        (status = 204, description = "Gone"),
        (status = 404, description = "There is none", body = ErrorBody),
        (status = 409, description = "It has not ended", body = ErrorBody),
    )
)]
pub(super) async fn delete(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    path: Path<String>,
) -> Result<StatusCode, ApiError> {
    app.tracker.order(order(&caller, id(&path)?, Command::Delete, None)).await?;
    Ok(StatusCode::NO_CONTENT)
}

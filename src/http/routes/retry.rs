//! Trying a failed operation again, because a person wants it.

use axum::extract::{Extension, Path, State};
use axum::response::Response;
use http::StatusCode;

use super::{id, order};
use crate::auth::Caller;
use crate::http::answer;
use crate::http::app::App;
use crate::http::error::ApiError;
use crate::http::schema::ErrorBody;
use crate::http::view::OperationView;
use crate::operation::Command;

/// Retry a failed operation
///
/// It is ready again with all its attempts; its history is kept.
#[utoipa::path(
    post,
    path = "/v1.0/operations/{id}/retry",
    operation_id = "retryOperation",
    tag = "operations",
    params(("id" = uuid::Uuid, Path)),
    responses(
        (status = 200, description = "As it is now", body = OperationView),
        (status = 404, description = "There is none", body = ErrorBody),
        (status = 409, description = "It has not failed", body = ErrorBody),
        (status = 429, description = "As many operations wait in its queue as may", body = ErrorBody),
    )
)]
pub(super) async fn retry(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    path: Path<String>,
) -> Result<Response, ApiError> {
    let retried = app.tracker.order(order(&caller, id(&path)?, Command::Retry, None)).await?;
    answer::operation(&app, StatusCode::OK, &retried)
}

//! Asking for an operation's end.

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

/// Cancel an operation
///
/// One that waits ends at once. One that runs ends when its worker has heard of it, or 30 seconds later.
#[utoipa::path(
    post,
    path = "/v1.0/operations/{id}/cancel",
    operation_id = "cancelOperation",
    tag = "operations",
    params(("id" = uuid::Uuid, Path)),
    responses(
        (status = 200, description = "It has ended as canceled", body = OperationView),
        (status = 202, description = "Whoever carries it out must still hear of it", body = OperationView),
        (status = 404, description = "There is none", body = ErrorBody),
        (status = 409, description = "It has ended otherwise", body = ErrorBody),
    )
)]
pub(super) async fn cancel(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    path: Path<String>,
) -> Result<Response, ApiError> {
    let canceled = app.tracker.order(order(&caller, id(&path)?, Command::Cancel, None)).await?;
    let ended = canceled.status().is_terminal();
    answer::operation(&app, if ended { StatusCode::OK } else { StatusCode::ACCEPTED }, &canceled)
}

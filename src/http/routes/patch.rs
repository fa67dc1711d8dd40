//! Advancing an external operation.

use axum::extract::{Extension, Path, Request, State};
use axum::response::Response;
use http::StatusCode;

use super::{id, order};
use crate::auth::Caller;
use crate::http::app::App;
use crate::http::error::ApiError;
use crate::http::etag::Tags;
use crate::http::schema::{ErrorBody, PatchRequest};
use crate::http::view::OperationView;
use crate::http::{answer, read};
use crate::limits;
use crate::operation::Command;

/// Advance an external operation
///
/// To the same or a later status, with progress, a result or an error. A queued operation is advanced by its worker.
#[utoipa::path(
    patch,
    path = "/v1.0/operations/{id}",
    operation_id = "patchOperation",
    tag = "operations",
    request_body = PatchRequest,
    params(
        ("id" = uuid::Uuid, Path),
        ("If-Match" = Option<String>, Header, description = "Only if this `ETag` is still its own"),
    ),
    responses(
        (status = 200, description = "As it is now", body = OperationView),
        (status = 400, description = "Not understood", body = ErrorBody),
        (status = 404, description = "There is none", body = ErrorBody),
        (status = 409, description = "Not as it stands", body = ErrorBody),
        (status = 412, description = "It has changed since", body = ErrorBody),
    )
)]
pub(super) async fn patch(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    path: Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let id = id(&path)?;
    let (head, body) = request.into_parts();
    let body = app.read_json(&caller, &head.headers, body, limits::BODY_BYTES_MAX).await?;
    let said = read::patch::read(&body)?;
    let expected = match Tags::if_match(&head.headers) {
        Some(Tags::List(tags)) => Some(tags.iter().map(|tag| (tag.seq, tag.version)).collect()),
        Some(Tags::Any) | None => None,
    };
    let patched = app.tracker.order(order(&caller, id, Command::Patch(said), expected)).await?;
    answer::operation(&app, StatusCode::OK, &patched)
}

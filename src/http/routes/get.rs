//! Reading one operation, now or once it has changed.

use axum::extract::{Extension, Path, State};
use axum::response::Response;
use http::HeaderMap;

use super::id;
use crate::auth::Caller;
use crate::http::app::App;
use crate::http::error::ApiError;
use crate::http::etag::{ETag, Tags};
use crate::http::opened::Opened;
use crate::http::prefer::Prefer;
use crate::http::quota::Visitor;
use crate::http::schema::ErrorBody;
use crate::http::view::OperationView;
use crate::http::{answer, wait};
use crate::operation::Operation;

/// Get an operation
///
/// With `If-None-Match` it answers 304 while nothing changed. With `Prefer: wait=N` it answers once the operation has
/// changed (with `If-None-Match`) or ended (without), at the latest after N seconds.
#[utoipa::path(
    get,
    path = "/v1.0/operations/{id}",
    operation_id = "getOperation",
    tag = "operations",
    params(
        ("id" = uuid::Uuid, Path),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` that is known"),
        ("Prefer" = Option<String>, Header, description = "`wait=N`, up to 60"),
    ),
    responses(
        (status = 200, description = "As it is now", body = OperationView),
        (status = 304, description = "As it is known"),
        (status = 404, description = "There is none", body = ErrorBody),
    )
)]
pub(super) async fn get(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    path: Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    show(&app, &Opened::ByToken(caller, id(&path)?), &headers).await
}

/// How it stands, now or once it has changed.
pub(super) async fn show(app: &App, opened: &Opened, headers: &HeaderMap) -> Result<Response, ApiError> {
    let known = Tags::if_none_match(headers);
    let prefer = Prefer::read(headers);
    let is_known =
        |operation: &Operation| known.as_ref().is_some_and(|tags| tags.match_tag(ETag::of(operation)));
    let operation = match prefer.wait() {
        Some(longest) => {
            let enough = |operation: &Operation| match known {
                Some(_) => !is_known(operation),
                None => operation.status().is_terminal(),
            };
            let place = app.quotas.wait(Visitor::of(opened))?;
            wait::until(app, opened, longest, place, enough).await?
        }
        None => opened.read(app).await?,
    };
    let mut response = if is_known(&operation) {
        answer::not_modified(app, &operation)
    } else {
        answer::read(app, opened, &operation).await?
    };
    answer::applied(Prefer { respond_async: false, ..prefer }, &mut response);
    Ok(response)
}

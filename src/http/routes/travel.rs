//! Setting the clock ahead, for tests of handlers. Only a server that was started for that has this route.

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::app::App;
use crate::http::error::ApiError;
use crate::http::schema::{AdvanceRequest, ErrorBody};
use crate::http::{answer, body, read};
use crate::limits;
use crate::operation::Timestamp;

/// What the clock shows.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Clock)]
pub(super) struct ClockView {
    #[schema(value_type = String, format = DateTime)]
    current_date_time: Timestamp,
}

/// Set the clock ahead
///
/// Starts, retries, ends of leases, timeouts and expirations that fall due on the way have happened, in their order, when it
/// answers. What became ready is handed out then.
#[utoipa::path(
    post,
    path = "/v1.0/test/advance",
    operation_id = "advanceClock",
    tag = "test",
    request_body = AdvanceRequest,
    responses(
        (status = 200, description = "What it shows now", body = ClockView),
        (status = 400, description = "Not understood", body = ErrorBody),
    )
)]
pub(super) async fn advance(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    let (head, body) = request.into_parts();
    let body = body::read_json(&head.headers, body, limits::BODY_BYTES_MAX).await?;
    let current_date_time = app.tracker.travel(read::travel::read(&body)?).await?;
    answer::json(StatusCode::OK, &ClockView { current_date_time })
}

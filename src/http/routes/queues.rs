//! How the tenant's queues stand.

use axum::extract::{Extension, State};
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::Caller;
use crate::http::answer;
use crate::http::app::App;
use crate::http::error::ApiError;
use crate::operation::{Name, Timestamp};
use crate::store::QueueDepth;

/// The tenant's queues.
#[derive(Serialize, ToSchema)]
#[schema(as = Queues)]
pub(super) struct QueuesView<'a> {
    /// By name.
    value: Vec<QueueView<'a>>,
}

/// One queue. External operations are in none.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Queue)]
struct QueueView<'a> {
    #[schema(value_type = String)]
    name: &'a Name,
    /// May be claimed.
    ready: u64,
    /// May not start yet.
    delayed: u64,
    /// Under a lease.
    running: u64,
    /// Ended well.
    completed: u64,
    /// Ended otherwise.
    failed: u64,
    /// How long the oldest ready one has waited; 0 when there is none.
    oldest_ready_seconds: u64,
    /// Whether claims pass it by.
    paused: bool,
}

impl<'a> QueueView<'a> {
    fn of(depth: &'a QueueDepth, now: Timestamp) -> Self {
        Self {
            name: &depth.queue,
            ready: depth.ready,
            delayed: depth.held,
            running: depth.running,
            completed: depth.completed,
            failed: depth.failed,
            oldest_ready_seconds: depth.oldest_ready.map_or(0, |oldest| now.since(oldest).as_secs()),
            paused: false,
        }
    }
}

/// List the tenant's queues
#[utoipa::path(
    get,
    path = "/v1.0/queues",
    operation_id = "listQueues",
    tag = "queues",
    responses(
        (status = 200, description = "By name", body = QueuesView),
    )
)]
pub(super) async fn queues(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, ApiError> {
    let reader = app.tracker.reader();
    let depths = reader.queues(&caller.tenant).await?;
    let now = reader.now();
    let value = depths.iter().map(|depth| QueueView::of(depth, now)).collect();
    answer::json(StatusCode::OK, &QueuesView { value })
}

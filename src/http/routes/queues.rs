//! How the tenant's queues stand, and what is set for them.

use axum::extract::{Extension, Path, Request, State};
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::Caller;
use crate::http::app::App;
use crate::http::error::ApiError;
use crate::http::schema::{ErrorBody, QueueRequest};
use crate::http::{answer, read};
use crate::limits;
use crate::operation::{Name, Timestamp};
use crate::store::QueueDepth;
use crate::tracker::entry::QueueOrder;

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
pub(super) struct QueueView<'a> {
    #[schema(value_type = String)]
    name: &'a Name,
    /// May be claimed, as far as the queue's own pause and limit let them.
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
    /// How many may run at a time; absent: any number.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_running: Option<u32>,
    /// How many may be `ready` and `delayed` together before new ones are refused; absent: any number.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_waiting: Option<u32>,
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
            oldest_ready_seconds: oldest_ready_seconds(depth, now),
            paused: depth.controls.paused,
            max_running: depth.controls.max_running,
            max_waiting: depth.controls.max_waiting,
        }
    }
}

/// What an autoscaler asks. Every field is always there.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Demand)]
pub(super) struct DemandView {
    /// May be claimed.
    ready: u64,
    /// May not start yet.
    delayed: u64,
    /// Under a lease.
    running: u64,
    /// How long the oldest ready one has waited; 0 when there is none.
    oldest_ready_seconds: u64,
    /// Whether claims pass it by.
    paused: bool,
}

fn oldest_ready_seconds(depth: &QueueDepth, now: Timestamp) -> u64 {
    depth.oldest_ready.map_or(0, |oldest| now.since(oldest).as_secs())
}

/// List the tenant's queues
///
/// Those that hold operations, and those that are paused or limited.
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
    let depths = reader.queues(&caller.tenant, None).await?;
    let now = reader.now();
    let value = depths.iter().map(|depth| QueueView::of(depth, now)).collect();
    answer::shown(&app, &caller.tenant, &QueuesView { value })
}

/// Pause or limit a queue
///
/// Absent fields stay as they are, `null` clears a limit. A queue need not hold anything yet.
#[utoipa::path(
    patch,
    path = "/v1.0/queues/{name}",
    operation_id = "patchQueue",
    tag = "queues",
    request_body = QueueRequest,
    params(("name" = String, Path)),
    responses(
        (status = 200, description = "As it is now", body = QueueView),
        (status = 400, description = "Not understood", body = ErrorBody),
    )
)]
pub(super) async fn patch(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    path: Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let name = read::queue::name(&path)?;
    let (head, body) = request.into_parts();
    let body = app.read_json(&caller, &head.headers, body, limits::BODY_BYTES_MAX).await?;
    let change = read::queue::read(&body)?;
    let depth = app.tracker.control(QueueOrder { tenant: caller.tenant.clone(), name, change }).await?;
    let (queue, controls) = (&depth.queue, &depth.controls);
    tracing::info!(tenant = %caller.tenant, %queue, by = ?caller.name, ?controls, "a queue's controls were set");
    answer::json(StatusCode::OK, &QueueView::of(&depth, app.tracker.reader().now()))
}

/// Tell how much a queue wants workers
///
/// For autoscalers. A queue that never was wants none.
#[utoipa::path(
    get,
    path = "/v1.0/queues/{name}/demand",
    operation_id = "getDemand",
    tag = "queues",
    params(("name" = String, Path)),
    responses(
        (status = 200, description = "At this moment", body = DemandView),
        (status = 400, description = "No name of a queue", body = ErrorBody),
    )
)]
pub(super) async fn demand(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    path: Path<String>,
) -> Result<Response, ApiError> {
    let depth = app.tracker.queue(&caller.tenant, &read::queue::name(&path)?).await?;
    let demand = DemandView {
        ready: depth.ready,
        delayed: depth.held,
        running: depth.running,
        oldest_ready_seconds: oldest_ready_seconds(&depth, app.tracker.reader().now()),
        paused: depth.controls.paused,
    };
    answer::json(StatusCode::OK, &demand)
}

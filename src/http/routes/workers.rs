//! Which workers are there, and what each holds.

use std::net::IpAddr;

use axum::extract::{Extension, State};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::Caller;
use crate::http::answer;
use crate::http::app::App;
use crate::http::error::ApiError;
use crate::limits;
use crate::operation::{Name, OperationId, Timestamp};
use crate::store::Held;
use crate::tracker::Present;

/// The tenant's workers.
#[derive(Serialize, ToSchema)]
#[schema(as = Workers)]
pub(super) struct WorkersView<'a> {
    /// Those first that asked last; at most 1000.
    value: Vec<WorkerView<'a>>,
}

/// One worker process.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Worker)]
struct WorkerView<'a> {
    worker_id: &'a str,
    /// When it last asked for work; absent: over an hour ago.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    last_asked_date_time: Option<Timestamp>,
    /// From where: perhaps a proxy. Absent for the server's own tasks, and for a Unix socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    address: Option<IpAddr>,
    /// Of which queues; absent: every one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    queues: Option<&'a [Name]>,
    /// Of which types; absent: every one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    operation_types: Option<&'a [Name]>,
    /// How many operations it holds.
    running: usize,
    /// The first 100 of those.
    operations: Vec<HeldView<'a>>,
}

/// An operation that a worker holds.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = HeldOperation)]
struct HeldView<'a> {
    #[schema(value_type = uuid::Uuid)]
    id: OperationId,
    #[schema(value_type = String)]
    queue: &'a Name,
    #[schema(value_type = String)]
    operation_type: &'a Name,
    lease_token: i64,
    /// What is left of its lease.
    lease_seconds: f64,
}

impl<'a> WorkerView<'a> {
    fn of(present: &'a Present, now: Timestamp) -> Self {
        let seen = present.seen.as_ref();
        let shown = present.held.iter().take(limits::WORKER_OPERATIONS_SHOWN_MAX);
        Self {
            worker_id: present.worker.as_str(),
            last_asked_date_time: seen.map(|seen| seen.at),
            address: seen.and_then(|seen| seen.address),
            queues: seen.and_then(|seen| seen.queues.as_deref()),
            operation_types: seen.and_then(|seen| seen.operation_types.as_deref()),
            running: present.held.len(),
            operations: shown.map(|held| HeldView::of(held, now)).collect(),
        }
    }
}

impl<'a> HeldView<'a> {
    fn of(held: &'a Held, now: Timestamp) -> Self {
        Self {
            id: held.id,
            queue: &held.lane.queue,
            operation_type: &held.lane.operation_type,
            lease_token: held.token.0,
            lease_seconds: held.until.since(now).as_secs_f64(),
        }
    }
}

/// List the tenant's workers
///
/// Those that asked for work within the last hour, and those that hold operations.
#[utoipa::path(
    get,
    path = "/v1.0/workers",
    operation_id = "listWorkers",
    tag = "workers",
    responses(
        (status = 200, description = "Those first that asked last", body = WorkersView),
    )
)]
pub(super) async fn workers(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, ApiError> {
    let present = app.tracker.workers(&caller.tenant).await?;
    let now = app.tracker.reader().now();
    let shown = present.iter().take(limits::WORKERS_SHOWN_MAX);
    let value = shown.map(|it| WorkerView::of(it, now)).collect();
    answer::shown(&app, &caller.tenant, &WorkersView { value })
}

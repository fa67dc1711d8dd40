//! Whether the server lives, whether it may be sent work, and what it understands.

use std::sync::{Arc, OnceLock};

use axum::extract::{Extension, State};
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::answer;
use crate::http::app::App;
use crate::http::docs::Pages;
use crate::http::error::ApiError;
use crate::operation::Timestamp;
use crate::store::clock::ClockState;

/// That the process lives.
#[derive(Serialize, ToSchema)]
pub(super) struct Health {
    /// `ok`.
    status: &'static str,
}

/// That the server may be sent work, and how its clock stands.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Readiness {
    /// `ready`, `shuttingDown` or `storeFailed`.
    status: &'static str,
    clock: ClockView,
    /// Turns of the intake loop since the start, each of which may have read the store.
    turns: u64,
    /// Those among them that were made durable, with one sync each.
    commits: u64,
}

/// How the store's clock stands to the machine's.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ClockView {
    /// Whether it follows the wall clock. If not, that stepped by more than an hour and is not believed yet.
    follows_wall_clock: bool,
    #[schema(value_type = String, format = DateTime)]
    now: Timestamp,
}

/// Whether the process lives
#[utoipa::path(
    get,
    path = "/healthz",
    operation_id = "health",
    tag = "server",
    responses((status = 200, description = "It does", body = Health))
)]
pub(super) async fn healthz() -> Result<Response, ApiError> {
    answer::json(StatusCode::OK, &Health { status: "ok" })
}

/// Whether the server may be sent work
#[utoipa::path(
    get,
    path = "/readyz",
    operation_id = "readiness",
    tag = "server",
    responses(
        (status = 200, description = "It may", body = Readiness),
        (status = 503, description = "It may not", body = Readiness),
    )
)]
pub(super) async fn readyz(State(app): State<App>) -> Result<Response, ApiError> {
    let (status, word) = if app.tracker.has_failed() {
        (StatusCode::SERVICE_UNAVAILABLE, "storeFailed")
    } else if app.tracker.is_away() {
        (StatusCode::SERVICE_UNAVAILABLE, "storeAway")
    } else if app.tracker.is_draining() {
        (StatusCode::SERVICE_UNAVAILABLE, "shuttingDown")
    } else {
        (StatusCode::OK, "ready")
    };
    let reader = app.tracker.reader();
    let follows_wall_clock = reader.clock() == ClockState::Following;
    let (turns, commits) = app.tracker.turns_and_commits();
    let clock = ClockView { follows_wall_clock, now: reader.now() };
    answer::json(status, &Readiness { status: word, clock, turns, commits })
}

/// The description of this API, as it is served, and the pages that are made with it once somebody reads one.
#[derive(Debug, Clone)]
pub(in crate::http) struct Described(Bytes, Arc<OnceLock<Pages>>);

impl Described {
    pub(in crate::http) fn new(document: Bytes) -> Self {
        Self(document, Arc::default())
    }

    pub(super) fn pages(&self) -> &Pages {
        self.1.get_or_init(|| Pages::new(&self.0))
    }
}

/// What the server understands: this document
#[utoipa::path(
    get,
    path = "/openapi.json",
    operation_id = "describe",
    tag = "server",
    responses(
        (status = 200, description = "OpenAPI 3.1", body = serde_json::Value),
    )
)]
pub(super) async fn openapi(Extension(described): Extension<Described>) -> Response {
    let mut response = Response::new(described.0.into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

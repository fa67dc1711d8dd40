//! What became of each attempt.

use axum::extract::{Extension, Path, State};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::id;
use crate::auth::Caller;
use crate::http::answer;
use crate::http::app::App;
use crate::http::error::ApiError;
use crate::http::schema::ErrorBody;
use crate::http::view::{FailureSchema, FailureView};
use crate::operation::{Attempt, Operation, Timestamp};

/// The attempts of an operation.
#[derive(Serialize, ToSchema)]
#[schema(as = Attempts)]
pub(super) struct AttemptsView<'a> {
    /// Oldest first.
    value: Vec<AttemptView<'a>>,
}

/// One try.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Attempt)]
struct AttemptView<'a> {
    /// Its fencing token; of one operation it only grows.
    lease_token: i64,
    /// Who carries it out, or did.
    worker_id: &'a str,
    #[schema(value_type = String, format = DateTime)]
    started_date_time: Timestamp,
    /// Absent while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_date_time: Option<Timestamp>,
    /// `failed`, `timedOut`, `leaseExpired`, `released` or `canceled`; absent while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<FailureSchema>)]
    error: Option<FailureView<'a>>,
}

impl<'a> AttemptView<'a> {
    fn ended(attempt: &'a Attempt) -> Self {
        Self {
            lease_token: attempt.token.0,
            worker_id: attempt.worker.as_str(),
            started_date_time: attempt.started,
            ended_date_time: Some(attempt.ended),
            outcome: Some(attempt.outcome.as_str()),
            error: attempt.failure.as_deref().map(FailureView),
        }
    }

    fn running(operation: &'a Operation) -> Option<Self> {
        let lease = operation.lease()?;
        Some(Self {
            lease_token: lease.token.0,
            worker_id: lease.worker.as_str(),
            started_date_time: operation.started?,
            ended_date_time: None,
            outcome: None,
            error: None,
        })
    }
}

/// List an operation's attempts
///
/// Those that did not end well, and the one that runs.
#[utoipa::path(
    get,
    path = "/v1.0/operations/{id}/attempts",
    operation_id = "listAttempts",
    tag = "operations",
    params(("id" = uuid::Uuid, Path)),
    responses(
        (status = 200, description = "Oldest first", body = AttemptsView),
        (status = 404, description = "There is none", body = ErrorBody),
    )
)]
pub(super) async fn attempts(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    path: Path<String>,
) -> Result<Response, ApiError> {
    let operation = app.tracker.get(&caller.tenant, id(&path)?).await?;
    let ended = app.tracker.reader().attempts(operation.seq).await?;
    let ended = ended.iter().map(AttemptView::ended);
    let value = ended.chain(AttemptView::running(&operation)).collect();
    answer::shown(&app, &caller.tenant, &AttemptsView { value })
}

//! A worker's call: reports up, claims down.

use axum::extract::{Extension, Request, State};
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::{Caller, Denied};
use crate::http::app::App;
use crate::http::arrival::Arrival;
use crate::http::error::ApiError;
use crate::http::quota::Visitor;
use crate::http::read::work::BadReport;
use crate::http::schema::{ErrorBody, WorkRequest};
use crate::http::view::OperationView;
use crate::http::{answer, read};
use crate::limits;
use crate::operation::{Json, OperationId, Traceparent};
use crate::tracker::Handed;
use crate::tracker::entry::{Exchange, Notice, NoticeKind, ReportOutcome};

/// What a call brings.
#[derive(Serialize, ToSchema)]
#[schema(as = WorkAnswer)]
pub(super) struct WorkAnswer<'a> {
    /// One for each report, in their order.
    outcomes: Vec<OutcomeView>,
    /// What the worker now holds under its claim.
    operations: Vec<ClaimedView<'a>>,
    /// What it should know of others it holds.
    notices: Vec<NoticeView>,
}

/// What became of a report.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ReportOutcome)]
struct OutcomeView {
    /// The operation; absent where the report did not name one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<uuid::Uuid>)]
    id: Option<OperationId>,
    /// It had been said before, and the first time stands; shown when true.
    #[serde(skip_serializing_if = "Option::is_none")]
    repeated: Option<bool>,
    /// What is left of the lease of an attempt that runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    lease_seconds: Option<f64>,
    /// The end of the operation was asked for; shown when true.
    #[serde(skip_serializing_if = "Option::is_none")]
    cancel_requested: Option<bool>,
    /// Why the report changed nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<OutcomeError>,
}

/// Why a report changed nothing.
#[derive(Serialize, ToSchema)]
struct OutcomeError {
    /// `leaseLost`, `ended`, `invalidRequest`, `itemNotFound` or `internalError`.
    code: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
}

/// An operation that the worker holds.
#[derive(Serialize, ToSchema)]
#[schema(as = ClaimedOperation)]
struct ClaimedView<'a> {
    #[serde(flatten)]
    operation: OperationView<'a>,
    lease: LeaseView,
    /// What the last attempt left.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    checkpoint: Option<&'a Json>,
    /// The `traceparent` that it was submitted with.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    traceparent: Option<Traceparent>,
}

/// The right to carry one attempt out.
#[derive(Serialize, ToSchema)]
#[schema(as = Lease)]
struct LeaseView {
    /// Its fencing token.
    token: i64,
    /// How long it lasts from now on unless a report extends it.
    seconds: f64,
}

/// What a worker should know of an operation it holds.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Notice)]
struct NoticeView {
    #[schema(value_type = uuid::Uuid)]
    id: OperationId,
    lease_token: i64,
    /// `cancel`: its end was asked for; `lost`: the lease is over.
    kind: &'static str,
}

/// Report on operations and claim others
///
/// With reports in it the call answers as soon as they are durable, with whatever can be claimed at that moment;
/// without, it waits up to `claim.waitSeconds` for something to claim.
#[utoipa::path(
    post,
    path = "/v1.0/work",
    operation_id = "work",
    tag = "workers",
    request_body = WorkRequest,
    responses(
        (status = 200, description = "Outcomes of the reports, operations claimed, notices", body = WorkAnswer),
        (status = 400, description = "Not understood", body = ErrorBody),
    )
)]
pub(super) async fn work(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Extension(arrival): Extension<Arrival>,
    request: Request,
) -> Result<Response, ApiError> {
    let (head, body) = request.into_parts();
    let address = app.proxies.asked(arrival.peer, &head.headers).ip;
    let body = app.read_json(&caller, &head.headers, body, limits::WORK_BODY_BYTES_MAX).await?;
    let call = read::work::read(&body, &caller)?;
    drop(body);

    let mut said = Vec::with_capacity(call.reports.len());
    let mut reports = Vec::with_capacity(call.reports.len());
    for report in call.reports {
        match report {
            Ok(reported) => {
                said.push(Said::Reported(reported.id));
                reports.push(reported);
            }
            Err(bad) => said.push(Said::Bad(bad)),
        }
    }
    let exchange = Exchange {
        tenant: caller.tenant.clone(),
        worker: call.worker,
        address,
        own: false,
        within: caller.queues.clone(),
        reports,
        claim: call.claim,
    };
    // With reports it does not.
    let waits = exchange.reports.is_empty()
        && exchange.claim.as_ref().is_some_and(|claim| claim.wait_until.is_some());
    let _place = waits.then(|| app.quotas.wait(Visitor::of_caller(&caller))).transpose()?;
    let (exchanged, handed) = tokio::select! {
        biased;
        exchanged = app.tracker.exchange(exchange) => exchanged?,
        // What it may have taken at this moment goes back. Who reports is answered: what was taken in stays so.
        () = caller.lapsed(|| app.tracker.reader().now()), if waits => return Err(Denied::UnknownToken.into()),
    };
    let mut outcomes = exchanged.outcomes.into_iter();
    let outcomes = said.into_iter().filter_map(|said| match said {
        Said::Reported(id) => outcomes.next().map(|outcome| OutcomeView::of(id, &outcome)),
        Said::Bad(bad) => Some(OutcomeView::bad(&bad)),
    });
    let answer = WorkAnswer {
        outcomes: outcomes.collect(),
        operations: handed.iter().map(ClaimedView::of).collect(),
        notices: exchanged.notices.iter().map(NoticeView::of).collect(),
    };
    answer::json(StatusCode::OK, &answer)
}

/// A report of the call, in its place.
enum Said {
    Reported(OperationId),
    Bad(BadReport),
}

impl OutcomeView {
    fn new(id: Option<OperationId>) -> Self {
        Self { id, repeated: None, lease_seconds: None, cancel_requested: None, error: None }
    }

    fn of(id: OperationId, outcome: &ReportOutcome) -> Self {
        let mut view = Self::new(Some(id));
        view.error = outcome.refusal().map(|(code, message)| OutcomeError { code, message, target: None });
        match outcome {
            ReportOutcome::Accepted { lease, cancel_requested } => {
                view.lease_seconds = lease.map(|left| left.as_secs_f64());
                view.cancel_requested = cancel_requested.then_some(true);
            }
            ReportOutcome::Repeated => view.repeated = Some(true),
            ReportOutcome::Refused(_) | ReportOutcome::NotFound | ReportOutcome::Unreadable => {}
        }
        view
    }

    fn bad(bad: &BadReport) -> Self {
        let message = bad.error.message().to_owned();
        let target = bad.error.target_name().map(str::to_owned);
        Self { error: Some(OutcomeError { code: "invalidRequest", message, target }), ..Self::new(bad.id) }
    }
}

impl<'a> ClaimedView<'a> {
    fn of(handed: &'a Handed) -> Self {
        Self {
            operation: OperationView::of(&handed.claimed.operation).input(handed.input.as_ref()),
            lease: LeaseView { token: handed.claimed.token.0, seconds: handed.claimed.left.as_secs_f64() },
            checkpoint: handed.checkpoint.as_ref(),
            traceparent: handed.claimed.operation.spec.traceparent,
        }
    }
}

impl NoticeView {
    fn of(notice: &Notice) -> Self {
        let kind = match notice.kind {
            NoticeKind::Cancel => "cancel",
            NoticeKind::Lost => "lost",
        };
        Self { id: notice.id, lease_token: notice.token.0, kind }
    }
}

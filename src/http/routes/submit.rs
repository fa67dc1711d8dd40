//! Handing an operation in.

use std::sync::Arc;

use axum::extract::{Extension, Request, State};
use axum::response::Response;
use http::{HeaderName, HeaderValue, StatusCode, header};

use super::bulk;
use crate::auth::Caller;
use crate::http::app::App;
use crate::http::arrival::Arrival;
use crate::http::body::MediaType;
use crate::http::error::ApiError;
use crate::http::headers::{idempotency_key, traceparent};
use crate::http::opened::Opened;
use crate::http::prefer::Prefer;
use crate::http::quota::Visitor;
use crate::http::schema::{ErrorBody, SubmitRequest};
use crate::http::view::OperationView;
use crate::http::{answer, read, wait};
use crate::limits;
use crate::operation::Operation;

const OPERATION_LOCATION: HeaderName = HeaderName::from_static("operation-location");
const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Submit an operation
///
/// It is durable when this answers. Repeating the request with the same `Idempotency-Key` (or the same `id`) and the
/// same body answers with the same operation.
///
/// As `application/x-ndjson` there is one to a line, and the answer is a line for each of them, in their order, once it is
/// durable. With an `Idempotency-Key` K the key of line n is K/n.
#[utoipa::path(
    post,
    path = "/v1.0/operations",
    operation_id = "submitOperation",
    tag = "operations",
    request_body(content((SubmitRequest = "application/json"), (String = "application/x-ndjson"))),
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeat recognisable; up to 255 bytes"),
        ("Prefer" = Option<String>, Header, description = "`respond-async`, `wait=N`"),
        ("traceparent" = Option<String>, Header, description = "Of W3C Trace Context: kept, and handed to the worker"),
    ),
    responses(
        (status = 201, description = "Created, or of a repeat: as it is now", body = OperationView),
        (status = 202, description = "With `Prefer: respond-async`: taken in, not ended", body = OperationView),
        (status = 200, description = "A repeat with `respond-async` of one that has ended; of many: what became of each line",
            content((OperationView = "application/json"), (bulk::Outcome = "application/x-ndjson"))),
        (status = 400, description = "Not understood", body = ErrorBody),
        (status = 409, description = "Another operation has this id, or its key and its id differ", body = ErrorBody),
        (status = 422, description = "The key was used with another body", body = ErrorBody),
        (status = 429, description = "As many operations wait in the queue as may, or the token creates too many a second", body = ErrorBody),
    )
)]
pub(super) async fn submit(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Extension(arrival): Extension<Arrival>,
    request: Request,
) -> Result<Response, ApiError> {
    let (head, body) = request.into_parts();
    if MediaType::of(&head.headers) == Ok(MediaType::JsonLines) {
        return bulk::answer(app, caller, &head.headers, body);
    }
    let allowance = app.quotas.create(&caller)?;
    let prefer = Prefer::read(&head.headers);
    let body = app.read_json(&caller, &head.headers, body, limits::BODY_BYTES_MAX).await?;
    let key = idempotency_key(&head.headers)?;
    let mut submit = read::submission::read(&body, key.as_deref(), &caller, app.tracker.reader().now())?;
    submit.submission.spec.traceparent = traceparent(&head.headers);
    let base = app.base(arrival, &head.uri, &head.headers)?;

    // Before: who finds no place is refused, and what was taken in is never.
    let place = prefer.wait().map(|_| app.quotas.wait(Visitor::of_caller(&caller))).transpose()?;
    app.bulk_lines().heed_another();
    let submitted = app.tracker.submit(submit).await?;
    let (mut response, location) = match prefer.wait().zip(place) {
        Some((longest, place)) if !has_ended(&submitted.operation) => {
            let id = submitted.operation.spec.id;
            let opened = Opened::ByToken(caller, id);
            let waited = wait::until(&app, &opened, longest, place, has_ended).await;
            // It is durable, whatever came of the wait.
            let operation = waited.unwrap_or_else(|_| Arc::new(submitted.operation));
            let status = status(prefer, submitted.replayed, &operation);
            (answer::operation(&app, status, &operation)?, base.operation(id))
        }
        _ => {
            let operation = &submitted.operation;
            let status = status(prefer, submitted.replayed, operation);
            (answer::operation(&app, status, operation)?, base.operation(operation.spec.id))
        }
    };
    let headers = response.headers_mut();
    headers.insert(OPERATION_LOCATION, location.clone());
    headers.insert(header::LOCATION, location);
    if submitted.replayed {
        headers.insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    }
    if let Some(allowance) = allowance {
        allowance.tell(response.headers_mut());
    }
    answer::applied(prefer, &mut response);
    Ok(response)
}

fn has_ended(operation: &Operation) -> bool {
    operation.status().is_terminal()
}

/// A 202 never shows an operation that has ended: pollers of the family would take a failure for a success.
fn status(prefer: Prefer, replayed: bool, operation: &Operation) -> StatusCode {
    match (prefer.respond_async, has_ended(operation)) {
        (true, false) => StatusCode::ACCEPTED,
        (true, true) if replayed => StatusCode::OK,
        _ => StatusCode::CREATED,
    }
}

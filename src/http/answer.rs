//! Answers that show an operation, with the headers that pollers go by.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;

use super::app::App;
use super::error::ApiError;
use super::etag::ETag;
use super::headers::retry_after;
use super::opened::Opened;
use super::prefer::{PREFERENCE_APPLIED, Prefer};
use super::view::OperationView;
use crate::operation::{Operation, TenantId};

/// Headers of most answers about an operation, so that the map grows once.
const HEADERS: usize = 8;

/// An answer of this JSON.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Result<Response, ApiError> {
    Ok(of_json(status, text(value)?))
}

/// The same with 200 to somebody who reads, and of any size: what too many have asked for and not read is 429.
pub(super) fn shown(app: &App, tenant: &TenantId, value: &impl Serialize) -> Result<Response, ApiError> {
    Ok(of_json(StatusCode::OK, app.unread().hold(tenant, text(value)?)?))
}

fn text(value: &impl Serialize) -> Result<Vec<u8>, ApiError> {
    // Most answers are one operation without a payload.
    let mut text = Vec::with_capacity(1024);
    serde_json::to_writer(&mut text, value).map_err(|error| {
        tracing::error!(%error, "an answer cannot be written as JSON");
        ApiError::internal()
    })?;
    Ok(text)
}

fn of_json(status: StatusCode, text: impl Into<Body>) -> Response {
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.reserve(HEADERS);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// An answer that shows an operation: its version as `ETag`, and when to ask again until it has ended.
pub(super) fn operation(app: &App, status: StatusCode, operation: &Operation) -> Result<Response, ApiError> {
    let mut response = json(status, &OperationView::of(operation))?;
    poll_headers(app, operation, response.headers_mut());
    Ok(response)
}

/// The same for a reader of one, with why it has not started.
pub(super) async fn read(app: &App, opened: &Opened, operation: &Operation) -> Result<Response, ApiError> {
    let view = opened.view(operation).waiting(app.tracker.waiting(operation).await?);
    let mut response = shown(app, opened.tenant(), &view)?;
    poll_headers(app, operation, response.headers_mut());
    Ok(response)
}

/// 304: it is as the client knows it.
pub(super) fn not_modified(app: &App, operation: &Operation) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    poll_headers(app, operation, response.headers_mut());
    response
}

fn poll_headers(app: &App, operation: &Operation, headers: &mut HeaderMap) {
    headers.insert(header::ETAG, ETag::of(operation).header());
    if let Some(seconds) = retry_after(operation, app.tracker.reader().now()) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
}

/// Says which preferences were honoured.
pub(super) fn applied(prefer: Prefer, response: &mut Response) {
    if let Some(applied) = prefer.applied() {
        response.headers_mut().insert(PREFERENCE_APPLIED, applied);
    }
}

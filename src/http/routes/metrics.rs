//! What the server counts, and how things stand.

use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, header};

use crate::http::app::App;
use crate::http::error::ApiError;
use crate::http::standing::standing;
use crate::metrics::Format;

/// What an operator watches, as Prometheus and others collect it
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "metrics",
    tag = "server",
    responses(
        (status = 200, description = "Prometheus text; OpenMetrics for those that ask for it by `Accept`", content_type = "text/plain", body = String),
    )
)]
pub(in crate::http) async fn metrics(
    State(app): State<App>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let format = format(&headers);
    let standing = standing(&app).await;
    let text = app.tracker.metrics().write(&standing, format).map_err(|error| {
        tracing::error!(%error, "the metrics cannot be written");
        ApiError::internal()
    })?;
    let mut response = Response::new(text.into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
    Ok(response)
}

/// Whoever reads the newer standard says so; anybody reads the other.
fn format(headers: &HeaderMap) -> Format {
    let mut accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    if accepted.any(|value| value.contains("application/openmetrics-text")) {
        Format::OpenMetrics
    } else {
        Format::Prometheus
    }
}

//! A span of each request that says it belongs to a trace which is recorded.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;

use super::headers::traceparent;
use super::table::TakenBy;
use crate::operation::Traceparent;
use crate::traces::Traces;

/// Answers the request, and tells how long it took until the answer began.
pub(super) async fn request(State(traces): State<Arc<Traces>>, request: Request, next: Next) -> Response {
    let Some(parent) = traceparent(request.headers()).filter(Traceparent::is_sampled) else {
        return next.run(request).await;
    };
    let (began, method) = (Instant::now(), request.method().clone());
    let response = next.run(request).await;
    if let Some(TakenBy(route)) = response.extensions().get() {
        traces.request(parent, method.as_str(), route, response.status().as_u16(), began.elapsed());
    }
    response
}

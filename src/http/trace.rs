//! A span of each request that says it belongs to a trace which is recorded: of those that were let in, since strangers
//! decide neither what a collector gets nor how much.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;

use super::headers::traceparent;
use crate::metrics::word;
use crate::operation::Traceparent;
use crate::traces::Traces;

/// Where spans go, and the path of the route that they are of.
#[derive(Clone)]
pub(super) struct Traced {
    pub(super) traces: Arc<Traces>,
    pub(super) route: Arc<String>,
}

/// Answers the request, and tells how long it took until the answer began.
pub(super) async fn request(State(traced): State<Traced>, request: Request, next: Next) -> Response {
    let Some(parent) = traceparent(request.headers()).filter(Traceparent::is_sampled) else {
        return next.run(request).await;
    };
    let (began, method) = (Instant::now(), word(request.method()));
    let response = next.run(request).await;
    traced.traces.request(parent, method, &traced.route, response.status().as_u16(), began.elapsed());
    response
}

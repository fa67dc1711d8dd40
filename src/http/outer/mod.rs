//! What stands around every request: its identifier, that it is counted, the limits of its head, panics, and the one shape of errors.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use axum::body::Body;
use axum::response::IntoResponse;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use tower::{Service, ServiceExt};

use super::arrival::{Arrival, Peer, RequestId, RequestIds};
use super::error::{ApiError, Code};
use super::headers::{CLIENT_REQUEST_ID, REQUEST_ID, client_request_id};
use super::table::TakenBy;
use crate::limits;
use crate::metrics::Metrics;

/// The outermost service, around a router. Cheap to clone when the router is.
#[derive(Clone, Debug)]
pub struct Outer<S> {
    inner: S,
    ids: Arc<RequestIds>,
    metrics: Arc<Metrics>,
}

impl<S> Outer<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone,
{
    /// Puts itself around a router.
    pub fn new(inner: S, metrics: Arc<Metrics>) -> Self {
        Self { inner, ids: Arc::new(RequestIds::new()), metrics }
    }

    /// Where it is counted what is asked.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Answers one request, whatever happens.
    pub async fn answer<B>(self, peer: Peer, request: Request<B>) -> Response<Body>
    where
        B: hyper::body::Body<Data = Bytes, Error: Into<axum::BoxError>> + Send + 'static,
    {
        let began = Instant::now();
        let (id, metrics, method) = (self.ids.next(), self.metrics.clone(), request.method().clone());
        let client_id = client_request_id(request.headers()).cloned();
        let is_head = method == Method::HEAD;
        let response = match check_head(&request) {
            Err(error) => error.into_response(),
            Ok(()) => self.route(Arrival { id, peer }, request).await,
        };
        let mut response = complete(response, id, client_id, is_head);
        let route = response.extensions_mut().remove::<TakenBy>().map(|TakenBy(route)| route);
        metrics.requests.answered(&method, route, response.status(), began.elapsed());
        response
    }

    async fn route<B>(self, arrival: Arrival, request: Request<B>) -> Response<Body>
    where
        B: hyper::body::Body<Data = Bytes, Error: Into<axum::BoxError>> + Send + 'static,
    {
        // A body that is empty costs no box.
        let mut request =
            request.map(|body| if body.is_end_stream() { Body::empty() } else { Body::new(body) });
        request.extensions_mut().insert(arrival);
        let mut answer = std::pin::pin!(self.inner.oneshot(request));
        let caught = std::future::poll_fn(|context| {
            // Nothing of the request is looked at again after a panic.
            match catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(context))) {
                Ok(Poll::Pending) => Poll::Pending,
                Ok(Poll::Ready(Ok(response))) => Poll::Ready(Some(response)),
                Err(_) => Poll::Ready(None),
            }
        });
        caught.await.unwrap_or_else(|| {
            // The panic hook has said where.
            tracing::error!(request_id = %arrival.id, "a handler panicked");
            ApiError::internal().into_response()
        })
    }
}

/// The limits of a request's head. hyper has wider ones of its own, beyond which it answers without a body.
fn check_head<B>(request: &Request<B>) -> Result<(), ApiError> {
    let uri = request.uri();
    let length = uri.path().len() + uri.query().map_or(0, |query| query.len() + 1);
    if length > limits::URI_BYTES_MAX {
        let message = format!("the URI is {length} bytes long; at most {} are read", limits::URI_BYTES_MAX);
        return Err(ApiError::new(Code::UriTooLong, message));
    }
    let headers = request.headers();
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if headers.len() > limits::HEADERS_MAX || bytes > limits::HEADER_BYTES_MAX {
        let (count, most) = (limits::HEADERS_MAX, limits::HEADER_BYTES_MAX);
        let message = format!("at most {count} headers of together {most} bytes are read");
        return Err(ApiError::new(Code::HeadersTooLarge, message));
    }
    Ok(())
}

/// Gives an answer its identifiers and, where it is an error, its body.
fn complete(
    mut response: Response<Body>,
    id: RequestId,
    client_id: Option<HeaderValue>,
    is_head: bool,
) -> Response<Body> {
    if response.status().is_client_error() || response.status().is_server_error() {
        render(&mut response, id, client_id.as_ref(), is_head);
    }
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, id.header());
    if let Some(client_id) = client_id {
        headers.insert(CLIENT_REQUEST_ID, client_id);
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Writes the body of an error: that of the route which refused, or one made from the status where something before
/// any route did.
fn render(response: &mut Response<Body>, id: RequestId, client_id: Option<&HeaderValue>, is_head: bool) {
    let error = match response.extensions_mut().remove::<ApiError>() {
        Some(error) => error,
        None if has_body_of_its_own(response.headers()) => return,
        None => {
            let error = of_status(response.status());
            *response.status_mut() = error.code().status();
            error
        }
    };
    let client_id = client_id.and_then(|id| id.to_str().ok());
    let body = error.body(&id.to_string(), client_id);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    *response.body_mut() = if is_head { Body::empty() } else { Body::from(body) };
}

/// A route may answer a status of 400 and above with more than an error says, as `/readyz` does. What axum refuses by
/// itself is plain text or nothing.
fn has_body_of_its_own(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| !kind.as_bytes().starts_with(b"text/plain"))
}

/// The error of a status that no route of ours explained.
fn of_status(status: StatusCode) -> ApiError {
    let message = match status {
        StatusCode::NOT_FOUND => "no such path",
        StatusCode::METHOD_NOT_ALLOWED => "the path knows other methods, which the Allow header lists",
        StatusCode::PAYLOAD_TOO_LARGE => "the body is too large",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "the body's type is not read here",
        _ if status.is_client_error() => "the request's path, query or body cannot be read",
        _ => return ApiError::internal(),
    };
    ApiError::new(Code::of_status(status).unwrap_or(Code::InvalidRequest), message)
}

#[cfg(test)]
mod tests;

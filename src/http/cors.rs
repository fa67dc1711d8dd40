//! Web pages of other origins: which may ask, and what they may read (the Fetch standard, "HTTP extensions").

use std::time::Duration;

use http::{HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::headers::{
    CLIENT_REQUEST_ID, IDEMPOTENCY_KEY, IDEMPOTENCY_REPLAYED, OPERATION_LOCATION, REQUEST_ID, TRACEPARENT,
};
use super::prefer::PREFERENCE_APPLIED;

/// How long a browser may go by an answer to its question what is allowed.
const MAX_AGE: Duration = Duration::from_mins(10);

/// Lets pages of these origins ask; none: nothing is said to any page, and browsers keep answers from them.
pub(super) fn layer(origins: &[HeaderValue]) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let methods = [Method::GET, Method::POST, Method::PATCH, Method::DELETE];
    Some(speaking().allow_origin(AllowOrigin::list(origins.iter().cloned())).allow_methods(methods))
}

/// Lets any page ask what links open: whoever has one may show it anywhere.
pub(super) fn of_links() -> CorsLayer {
    speaking().allow_origin(AllowOrigin::any()).allow_methods([Method::GET])
}

/// The headers that a page may send and read.
fn speaking() -> CorsLayer {
    let last_event_id = header::HeaderName::from_static("last-event-id");
    let asked = [
        header::AUTHORIZATION,
        header::CONTENT_TYPE,
        header::IF_MATCH,
        header::IF_NONE_MATCH,
        header::HeaderName::from_static("prefer"),
        IDEMPOTENCY_KEY,
        CLIENT_REQUEST_ID,
        TRACEPARENT,
        last_event_id,
    ];
    let shown = [
        header::ETAG,
        header::LOCATION,
        header::RETRY_AFTER,
        OPERATION_LOCATION,
        IDEMPOTENCY_REPLAYED,
        PREFERENCE_APPLIED,
        REQUEST_ID,
        CLIENT_REQUEST_ID,
    ];
    CorsLayer::new().allow_headers(asked).expose_headers(shown).max_age(MAX_AGE)
}

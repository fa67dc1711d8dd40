//! The documentation, for a browser.

use axum::extract::{Extension, Path};
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, header};

use super::Described;
use crate::http::docs;
use crate::http::error::{ApiError, Code};
use crate::http::schema::ErrorBody;

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const CSS: HeaderValue = HeaderValue::from_static("text/css; charset=utf-8");
/// How all pages look.
const STYLE: &str = "style.css";

/// Nothing of anybody else's, nothing that runs, and nowhere in somebody else's page.
const HEADERS: [(HeaderName, HeaderValue); 3] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
    ),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
];

/// Read the documentation
#[utoipa::path(
    get,
    path = "/docs",
    operation_id = "readDocs",
    tag = "server",
    responses((status = 200, description = "What a newcomer reads first", body = String, content_type = "text/html"))
)]
pub(super) async fn home(Extension(described): Extension<Described>) -> Response {
    page(described.pages().home(), HTML)
}

/// Read a page of the documentation
#[utoipa::path(
    get,
    path = "/docs/{page}",
    operation_id = "readDocsPage",
    tag = "server",
    params(("page" = String, Path, example = "protocol", description = "Its name, as in `protocol` or `api`")),
    responses(
        (status = 200, description = "The page", body = String, content_type = "text/html"),
        (status = 404, description = "There is none", body = ErrorBody),
    )
)]
pub(super) async fn one(
    Extension(described): Extension<Described>,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    if name == STYLE {
        return Ok(page(docs::style(), CSS));
    }
    let found = described.pages().get(&name).filter(|_| !name.is_empty());
    match found {
        Some(found) => Ok(page(found, HTML)),
        None => Err(ApiError::new(Code::ItemNotFound, "no such page; /docs lists them all")),
    }
}

fn page(body: Bytes, kind: HeaderValue) -> Response {
    let mut response = Response::new(body.into());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, kind);
    for (name, value) in HEADERS {
        headers.insert(name, value);
    }
    response
}

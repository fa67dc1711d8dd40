//! Listing a tenant's operations, page by page, and counting them.

use axum::extract::{Extension, State};
use axum::response::Response;
use http::{HeaderMap, HeaderValue, Uri, header};
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::Caller;
use crate::http::answer;
use crate::http::app::App;
use crate::http::arrival::Arrival;
use crate::http::error::{ApiError, Code};
use crate::http::odata::Options;
use crate::http::odata::select::Selected;
use crate::http::schema::ErrorBody;
use crate::http::view::OperationView;
use crate::limits;
use crate::store::query::{Listing, Page, Query};

/// A page of operations.
#[derive(Serialize, ToSchema)]
#[schema(as = Operations)]
pub(super) struct PageView<'a> {
    /// How many there are on all pages, with `$count=true`.
    #[serde(rename = "@odata.count", skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    /// The URL of the next page; absent on the last.
    #[serde(rename = "@odata.nextLink", skip_serializing_if = "Option::is_none")]
    next_link: Option<String>,
    /// Without `input` and `result`, unless they are selected.
    #[schema(value_type = Vec<serde_json::Map<String, serde_json::Value>>)]
    value: Vec<Selected<'a>>,
}

/// List operations
///
/// The newest first, unless `$orderby` says otherwise. Pages hold still while operations are added, and cost the same
/// however deep they are.
#[utoipa::path(
    get,
    path = "/v1.0/operations",
    operation_id = "listOperations",
    tag = "operations",
    params(
        ("$filter" = Option<String>, Query, description = "Such as `status eq 'Failed' and labels/customer eq 'a'`: \
            `eq ne gt ge lt le in startswith and or not` on `status`, `queue`, `operationType`, `priority`, \
            `createdDateTime`, `lastActionDateTime`, `labels/NAME`"),
        ("$orderby" = Option<String>, Query, description = "`createdDateTime asc` or `createdDateTime desc`"),
        ("$top" = Option<usize>, Query, minimum = 1, maximum = 1000, description = "Operations of a page; 100 otherwise"),
        ("$select" = Option<String>, Query, description = "Names with commas between; `id` is always there"),
        ("$count" = Option<bool>, Query, description = "Whether to tell how many there are on all pages"),
        ("$skiptoken" = Option<String>, Query, description = "As in `@odata.nextLink`"),
    ),
    responses(
        (status = 200, description = "A page", body = PageView),
        (status = 400, description = "Not understood, or too broad", body = ErrorBody),
    )
)]
pub(super) async fn list(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Extension(arrival): Extension<Arrival>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let options = Options::of_list(uri.query())?;
    let base = app.base(arrival, &uri, &headers)?;
    let query = options.query(&caller.tenant);
    // Whoever waits for its turn holds nothing yet. It is never closed.
    let is_large = query.limit > limits::LIST_TOP_DEFAULT || query.payloads;
    let _turn = if is_large { app.pages().acquire().await.ok() } else { None };
    if is_large {
        app.unread().expect_page(&caller.tenant)?;
    }
    let Page { operations, next, count } = find(&app, &query).await?;
    let next_link = next.map(|after| format!("{base}/v1.0/operations?{}", options.next(uri.query(), after)));
    let show = |operation| Selected { view: OperationView::of(operation), select: &options.select };
    let value = operations.iter().map(show).collect();
    answer::shown(&app, &caller.tenant, &PageView { count, next_link, value })
}

/// Count operations
#[utoipa::path(
    get,
    path = "/v1.0/operations/$count",
    operation_id = "countOperations",
    tag = "operations",
    params(("$filter" = Option<String>, Query, description = "As of a list")),
    responses(
        (status = 200, description = "How many there are", body = String, content_type = "text/plain"),
        (status = 400, description = "Not understood, or too broad", body = ErrorBody),
    )
)]
pub(super) async fn count(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let options = Options::of_count(uri.query())?;
    let query = Query { limit: 0, count: true, ..options.query(&caller.tenant) };
    let counted = find(&app, &query).await?.count.unwrap_or_default();
    let mut response = Response::new(counted.to_string().into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Ok(response)
}

async fn find(app: &App, query: &Query) -> Result<Page, ApiError> {
    found(app.tracker.reader().list(query).await?)
}

fn found(listing: Listing) -> Result<Page, ApiError> {
    match listing {
        Listing::Found(page) => Ok(page),
        Listing::TooBroad => {
            let message = "$filter: nothing was found within a second, and no index narrows it. Bound createdDateTime, \
                           or ask for status 'Failed', 'Running' or 'NotStarted': those are found at once";
            Err(ApiError::new(Code::FilterTooBroad, message).target("$filter"))
        }
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    #[test]
    fn a_list_that_is_too_broad_is_the_clients_to_narrow() {
        let error = found(Listing::TooBroad).expect_err("no page");
        assert_eq!((error.code(), error.code().status()), (Code::FilterTooBroad, StatusCode::BAD_REQUEST));
        assert!(error.message().contains("createdDateTime"), "{error}");
        assert!(found(Listing::Found(Page::default())).is_ok());
    }
}

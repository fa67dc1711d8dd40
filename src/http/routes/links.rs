//! Links: made for one operation, and what they show.

use axum::extract::{Extension, Path, Request, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use super::{events, get, id, order};
use crate::auth::{Caller, Link};
use crate::http::app::App;
use crate::http::arrival::Arrival;
use crate::http::error::ApiError;
use crate::http::opened::Opened;
use crate::http::schema::{ErrorBody, LinkRequest, StreamEvent};
use crate::http::view::OperationView;
use crate::http::{answer, read};
use crate::limits;
use crate::operation::{Command, Timestamp};

/// A link to an operation, in an object of its own as the family has it.
#[derive(Serialize, ToSchema)]
#[schema(as = LinkMade)]
pub(super) struct LinkAnswer {
    link: LinkView,
}

/// What shows one operation to whoever has it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Link)]
struct LinkView {
    /// Always `view`.
    r#type: &'static str,
    /// Answers how the operation stands, as a `GET` of it does.
    status_url: String,
    /// A stream of its events.
    events_url: String,
    /// When both end.
    #[schema(value_type = String, format = DateTime)]
    expiration_date_time: Timestamp,
}

/// Make a link to an operation
///
/// Whoever has it, as a page in a browser, reads and watches this one operation without a token, but never its `input`.
/// It ends by its own time, with the operation, and with a `createLink` that says `"revoke": true`.
#[utoipa::path(
    post,
    path = "/v1.0/operations/{id}/createLink",
    operation_id = "createLink",
    tag = "links",
    request_body = LinkRequest,
    params(("id" = uuid::Uuid, Path)),
    responses(
        (status = 200, description = "It is shown here and nowhere else", body = LinkAnswer),
        (status = 400, description = "Not understood", body = ErrorBody),
        (status = 404, description = "There is no such operation", body = ErrorBody),
    )
)]
pub(super) async fn create(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Extension(arrival): Extension<Arrival>,
    path: Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let id = id(&path)?;
    let (head, body) = request.into_parts();
    let body = app.read_json(&caller, &head.headers, body, limits::BODY_BYTES_MAX).await?;
    let wish = read::link::read(&body, app.tracker.reader().now())?;
    let base = app.base(arrival, &head.uri, &head.headers)?;
    let link = if wish.revoke {
        let after = app.tracker.order(order(&caller, id, Command::EndLinks, None)).await?;
        Link::to(&after, wish.expires)
    } else {
        Link::to(&*app.tracker.get(&caller.tenant, id).await?, wish.expires)
    };
    let status_url = format!("{base}/v1.0/links/{}", app.links.write(&link));
    let events_url = format!("{status_url}/events");
    let link = LinkView { r#type: "view", status_url, events_url, expiration_date_time: link.expires };
    answer::json(StatusCode::OK, &LinkAnswer { link })
}

/// Read by a link
///
/// How the operation stands that the link was made for, as a `GET` of it: with `ETag`, `Retry-After`, `If-None-Match` and
/// `Prefer: wait=N`.
#[utoipa::path(
    get,
    path = "/v1.0/links/{link}",
    operation_id = "getByLink",
    tag = "links",
    params(
        ("link" = String, Path, description = "What `createLink` has made"),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` that is known"),
        ("Prefer" = Option<String>, Header, description = "`wait=N`, up to 60"),
    ),
    responses(
        (status = 200, description = "As it is now, without its `input`", body = OperationView),
        (status = 304, description = "As it is known"),
        (status = 404, description = "There is no such link, or it has ended", body = ErrorBody),
    )
)]
pub(super) async fn status(
    State(app): State<App>,
    Extension(opened): Extension<Opened>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    get::show(&app, &opened, &headers).await
}

/// Watch by a link
///
/// Follows the operation that the link was made for until it has ended, or the link has. `EventSource` of a browser
/// needs no more than this URL.
#[utoipa::path(
    get,
    path = "/v1.0/links/{link}/events",
    operation_id = "watchByLink",
    tag = "links",
    params(
        ("link" = String, Path, description = "What `createLink` has made"),
        ("Last-Event-ID" = Option<String>, Header, description = "Resumes after that event"),
    ),
    responses(
        (status = 200, description = "Server-sent events, until it has ended", content_type = "text/event-stream", body = StreamEvent),
        (status = 204, description = "It has ended, and its end was seen"),
        (status = 400, description = "Not understood", body = ErrorBody),
        (status = 404, description = "There is no such link, or it has ended", body = ErrorBody),
    )
)]
pub(super) async fn events(
    State(app): State<App>,
    Extension(opened): Extension<Opened>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    events::follow(app, opened, &headers).await
}

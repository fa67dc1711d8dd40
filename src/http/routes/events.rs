//! Watching: one operation, or the tenant's.

use std::collections::VecDeque;

use axum::body::Body;
use axum::extract::{Extension, Path, RawQuery, State};
use axum::response::Response;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{Stream, stream};
use http::{HeaderMap, StatusCode};
use tokio::time::Instant;

use super::id;
use crate::auth::Caller;
use crate::http::app::App;
use crate::http::error::ApiError;
use crate::http::opened::Opened;
use crate::http::quota::Visitor;
use crate::http::read::events::Filter;
use crate::http::schema::{ErrorBody, StreamEvent};
use crate::http::sse;
use crate::limits;
use crate::store::cursor::Cursor;
use crate::store::{History, StoreError, Whose};
use crate::tracker::recent::Told;
use crate::tracker::{Tracker, Watcher};

/// Where a stream begins.
enum Start {
    /// Its client has seen nothing.
    Fresh,
    /// Its client has seen everything up to this cursor.
    After(i64),
    /// What its client has not seen is not known any more.
    Reset,
}

impl Start {
    fn of(seen: Option<Cursor>, history: History) -> Self {
        match seen {
            None => Self::Fresh,
            Some(Cursor { epoch, n })
                if epoch == history.epoch && (history.whole_after..=history.last).contains(&n) =>
            {
                Self::After(n)
            }
            Some(_) => Self::Reset,
        }
    }
}

/// Follows one operation until it has ended.
#[utoipa::path(
    get,
    path = "/v1.0/operations/{id}/events",
    operation_id = "watchOperation",
    tag = "watching",
    params(
        ("id" = uuid::Uuid, Path),
        ("Last-Event-ID" = Option<String>, Header, description = "Resumes after that event"),
    ),
    responses(
        (status = 200, description = "Server-sent events, until it has ended", content_type = "text/event-stream", body = StreamEvent),
        (status = 204, description = "It has ended, and its end was seen"),
        (status = 400, description = "Not understood", body = ErrorBody),
        (status = 404, description = "There is none", body = ErrorBody),
    )
)]
pub(super) async fn of_one(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    path: Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let opened = Opened::ByToken(caller, id(&path)?);
    follow(app, opened, &headers).await
}

/// Follows what is opened, until it has ended or is closed.
pub(super) async fn follow(app: App, opened: Opened, headers: &HeaderMap) -> Result<Response, ApiError> {
    sse::accepted(headers)?;
    let seen = sse::last_event_id(headers)?;
    let visitor = Visitor::of(&opened);
    let mut watcher = app.tracker.watch(Whose::Operation(opened.tenant().clone(), opened.id()));
    let operation = opened.read(&app).await?;
    let history = app.tracker.reader().history().await?;
    let stands = history.cursor(operation.cursor);
    let has_ended = operation.status().is_terminal();
    let mut first = VecDeque::new();
    match Start::of(seen, history) {
        Start::After(n) if has_ended && n >= operation.cursor => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            return Ok(response);
        }
        Start::After(n) => watcher.place(n, operation.cursor),
        start => {
            if let Start::Reset = start {
                first.push_back(sse::reset(stands));
            }
            first.push_back(sse::snapshot(stands, &operation));
            watcher.place(operation.cursor, operation.cursor);
        }
    }
    let ended = has_ended && !first.is_empty();
    let (seat, clock) = (app.quotas.watch(visitor)?, app.clone());
    let lapsed = Box::pin(async move {
        let _seat = seat;
        opened.lapsed(&clock).await;
    });
    let feed = Feed { first, ended, ..Feed::new(&app.tracker, watcher, lapsed, history.epoch, None) };
    Ok(sse::response(feed.stream()))
}

/// Follows all of the tenant's operations, or those that are asked for.
#[utoipa::path(
    get,
    path = "/v1.0/events",
    operation_id = "watchOperations",
    tag = "watching",
    params(
        ("queue" = Option<String>, Query, description = "Names, with commas between them"),
        ("operationType" = Option<String>, Query, description = "Names, with commas between them"),
        ("status" = Option<String>, Query, description = "Statuses, before the event or after it"),
        ("ids" = Option<String>, Query, description = "Identifiers, with commas between them"),
        ("Last-Event-ID" = Option<String>, Header, description = "Resumes after that event"),
    ),
    responses(
        (status = 200, description = "Server-sent events", content_type = "text/event-stream", body = StreamEvent),
        (status = 400, description = "Not understood", body = ErrorBody),
    )
)]
pub(super) async fn of_many(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let filter = Filter::read(query.as_deref().unwrap_or_default())?;
    sse::accepted(&headers)?;
    let seen = sse::last_event_id(&headers)?;
    let mut watcher = app.tracker.watch(Whose::Tenant(caller.tenant.clone()));
    let history = app.tracker.reader().history().await?;
    let mut first = VecDeque::new();
    let from = match Start::of(seen, history) {
        Start::After(n) => n,
        Start::Fresh => history.last,
        Start::Reset => {
            first.push_back(sse::reset(history.cursor(history.last)));
            history.last
        }
    };
    // So that its client resumes here even before the first event, and proxies have something to hand on.
    first.push_back(sse::keep_alive(Some(history.cursor(from))));
    watcher.place(from, history.last);
    let (seat, clock) = (app.quotas.watch(Visitor::of_caller(&caller))?, app.clone());
    let lapsed = Box::pin(async move {
        let _seat = seat;
        caller.lapsed(|| clock.tracker.reader().now()).await;
    });
    let feed = Feed { first, ..Feed::new(&app.tracker, watcher, lapsed, history.epoch, Some(filter)) };
    Ok(sse::response(feed.stream()))
}

/// A moment that may never come; with it goes the place of the stream.
type Lapsed = BoxFuture<'static, ()>;

/// What one stream still has to say.
struct Feed {
    tracker: Tracker,
    watcher: Watcher,
    /// Resolves when its client may not watch any more.
    lapsed: Lapsed,
    epoch: u32,
    /// Which events, where it is a stream of many; one of a single operation ends with that.
    filter: Option<Filter>,
    first: VecDeque<Bytes>,
    ended: bool,
}

impl Feed {
    fn new(tracker: &Tracker, watcher: Watcher, lapsed: Lapsed, epoch: u32, filter: Option<Filter>) -> Self {
        Self {
            tracker: tracker.clone(),
            watcher,
            lapsed,
            epoch,
            filter,
            first: VecDeque::new(),
            ended: false,
        }
    }

    fn stream(self) -> impl Stream<Item = Bytes> + Send + 'static {
        stream::unfold(self, |mut feed| async move { Some((feed.next().await?, feed)) })
    }

    async fn next(&mut self) -> Option<Bytes> {
        let alive_until = Instant::now() + limits::STREAM_KEEP_ALIVE;
        loop {
            if let Some(bytes) = self.first.pop_front() {
                return Some(bytes);
            }
            if self.ended {
                return None;
            }
            tokio::select! {
                biased;
                () = self.tracker.drained() => {
                    self.ended = true;
                    return Some(sse::come_again());
                }
                // Its client comes again, and hears why there is no more.
                () = &mut self.lapsed => return None,
                told = self.watcher.next() => match told {
                    Ok(told) => told.iter().for_each(|told| self.take(told)),
                    Err(error) => return Some(self.broken(&error)),
                },
                () = tokio::time::sleep_until(alive_until) => {
                    let cursor = Cursor { epoch: self.epoch, n: self.watcher.cursor() };
                    return Some(sse::keep_alive(self.filter.is_some().then_some(cursor)));
                }
            }
        }
    }

    fn take(&mut self, told: &Told) {
        let shows = match &self.filter {
            Some(filter) => filter.covers(&told.event),
            None => !self.ended,
        };
        if shows {
            self.first.push_back(sse::event(self.epoch, told));
            self.ended = self.filter.is_none() && told.event.operation.status().is_terminal();
        }
    }

    /// The client comes again, where it was.
    fn broken(&mut self, error: &StoreError) -> Bytes {
        tracing::warn!(%error, "a stream of events ends: the store cannot be read");
        self.ended = true;
        sse::come_again()
    }
}

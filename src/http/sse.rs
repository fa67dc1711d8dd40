//! Server-sent events, as the HTML standard ("Server-sent events") has them: how one looks, and the answer that is a stream.

use std::convert::Infallible;
use std::fmt::Write as _;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::Stream;
use http::{HeaderValue, header};

use super::error::{ApiError, Code};
use super::view::OperationView;
use crate::limits;
use crate::operation::{EventKind, Operation};
use crate::store::cursor::Cursor;
use crate::tracker::recent::Told;

/// One event: the operation as it was after it, the result only where it completed.
pub(super) fn event(epoch: u32, told: &Told) -> Bytes {
    let render = || {
        let event = &told.event;
        let view = OperationView::of(&event.operation).input(None);
        let view = if event.kind == EventKind::Completed { view } else { view.without_result() };
        block(Cursor { epoch, n: event.cursor }, event.kind.as_str(), &json(&view))
    };
    told.shown.get_or_init(render).clone()
}

/// How it stands, at the beginning of a stream.
pub(super) fn snapshot(cursor: Cursor, operation: &Operation) -> Bytes {
    block(cursor, "snapshot", &json(&OperationView::of(operation).input(None)))
}

/// What lay before this cursor is not known any more.
pub(super) fn reset(cursor: Cursor) -> Bytes {
    block(cursor, "reset", "{}")
}

/// A sign of life. An `id` without data moves on where a client resumes, and is no event.
pub(super) fn keep_alive(cursor: Option<Cursor>) -> Bytes {
    cursor.map_or(Bytes::from_static(b":\n\n"), |cursor| Bytes::from(format!(":\nid: {cursor}\n\n")))
}

/// Come again, after as many milliseconds: each at another time, so that not all come at once.
pub(super) fn come_again() -> Bytes {
    Bytes::from(format!("retry: {}\n\n", fastrand::u64(limits::STREAM_RETRY_MILLIS)))
}

fn json(view: &OperationView<'_>) -> String {
    // Names, numbers and JSON always serialise.
    serde_json::to_string(view).unwrap_or_default()
}

fn block(cursor: Cursor, event: &str, json: &str) -> Bytes {
    let mut text = String::with_capacity(json.len() + 64);
    let _ = write!(text, "id: {cursor}\nevent: {event}\n");
    // What users sent may hold line ends between its tokens; a client puts the lines together again.
    for line in json.split(['\n', '\r']) {
        let _ = writeln!(text, "data: {line}");
    }
    text.push('\n');
    Bytes::from(text)
}

const STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");

/// Whether an answer with these headers is a stream of events.
pub(super) fn is_stream(headers: &http::HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE) == Some(&STREAM)
}

/// The answer that is a stream.
pub(super) fn response(events: impl Stream<Item = Bytes> + Send + 'static) -> Response {
    use futures_util::StreamExt;
    let mut response = Response::new(Body::from_stream(events.map(Ok::<_, Infallible>)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, STREAM);
    // Neither kept nor compressed on the way: a proxy that gathers bytes holds events back.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// Whether a client that says what it takes (RFC 9110, 12.5.1) takes a stream of events.
pub(super) fn accepted(headers: &http::HeaderMap) -> Result<(), ApiError> {
    let mut said = headers.get_all(header::ACCEPT).iter().peekable();
    let takes = |value: &HeaderValue| {
        let ranges = value.to_str().unwrap_or("*/*").split(',');
        ranges.map(|range| range.split(';').next().unwrap_or_default().trim()).any(|range| {
            ["*/*", "text/*", "text/event-stream"].iter().any(|known| range.eq_ignore_ascii_case(known))
        })
    };
    if said.peek().is_none() || said.any(takes) {
        return Ok(());
    }
    Err(ApiError::new(Code::NotAcceptable, "this is answered by text/event-stream only"))
}

/// Where a client resumes: the `Last-Event-ID` that it was shown last. An empty one is none.
pub(super) fn last_event_id(headers: &http::HeaderMap) -> Result<Option<Cursor>, ApiError> {
    let Some(value) = headers.get("last-event-id").filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let cursor = value.to_str().ok().and_then(|text| Cursor::parse(text).ok());
    cursor.map(Some).ok_or_else(|| {
        let message = "the Last-Event-ID is not one that this server has shown";
        ApiError::new(Code::InvalidCursor, message).target("Last-Event-ID")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_inside_json_begin_lines_of_data() {
        let cursor = Cursor { epoch: 1, n: 2 };
        assert_eq!(
            &block(cursor, "updated", "{\n1\r2 }")[..],
            b"id: 00000001-2\nevent: updated\ndata: {\ndata: 1\ndata: 2 }\n\n"
        );
    }

    #[test]
    fn what_is_no_operation_is_written_as_the_standard_has_it() {
        let cursor = Cursor { epoch: 1, n: 2 };
        assert_eq!(&keep_alive(Some(cursor))[..], b":\nid: 00000001-2\n\n");
        assert_eq!(&reset(cursor)[..], b"id: 00000001-2\nevent: reset\ndata: {}\n\n");
        let again = String::from_utf8(come_again().to_vec()).unwrap();
        let millis: u64 = again.trim().strip_prefix("retry: ").unwrap().parse().unwrap();
        assert!(limits::STREAM_RETRY_MILLIS.contains(&millis));
    }
}

//! One connection of a watch.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use sse_stream::{Sse, SseByteStream};
use tokio::time::{Instant, sleep_until, timeout};

use crate::client::transport::{Answer, Call, unreachable};
use crate::client::{Client, ClientError, header_value};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");

/// The server gives a sign of life every 15 s: after three that did not come, nobody is there.
const SILENCE_MAX: Duration = Duration::from_secs(45);
/// No event of the protocol comes near; it bounds what a broken server can make us hold.
const EVENT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The events of one connection.
pub(super) struct Source {
    blocks: Pin<Box<dyn Stream<Item = Result<Sse, sse_stream::Error>> + Send>>,
    /// Bytes since the last event.
    pending: Arc<AtomicUsize>,
    heard: bool,
}

/// What is to be connected to, and when.
pub(super) struct Opening {
    pub(super) client: Client,
    pub(super) path: String,
    pub(super) cursor: Option<String>,
    pub(super) at: Instant,
    pub(super) deadline: Instant,
}

impl Opening {
    /// Connects; none when the server has nothing more to tell.
    pub(super) async fn open(self) -> Result<Option<Source>, ClientError> {
        sleep_until(self.at).await;
        let mut headers = vec![(ACCEPT, EVENT_STREAM)];
        if let Some(cursor) = &self.cursor {
            headers.push((LAST_EVENT_ID, header_value(cursor, "the cursor")?));
        }
        let deadline = self.deadline;
        let call = Call { method: Method::GET, path: &self.path, headers, body: None, deadline };
        let response = self.client.transport.open(call).await?;
        if response.status() == StatusCode::NO_CONTENT {
            return Ok(None);
        }
        if response.status() == StatusCode::OK && is_event_stream(response.headers()) {
            return Ok(Some(Source::new(response.into_body())));
        }
        Answer::read(response, deadline).await?.success()?;
        Err(ClientError::InvalidAnswer { message: "it is no stream of events".to_owned() })
    }
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    let media = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    media.split(';').next().is_some_and(|media| media.trim().eq_ignore_ascii_case("text/event-stream"))
}

impl Source {
    fn new(body: Incoming) -> Self {
        let pending = Arc::new(AtomicUsize::new(0));
        let bytes = Box::pin(received(body, pending.clone()));
        Self { blocks: Box::pin(SseByteStream::new(bytes)), pending, heard: false }
    }

    /// Whether the server has sent anything at all, were it a sign of life.
    pub(super) fn was_heard(&self) -> bool {
        self.heard || self.pending.load(Ordering::Relaxed) > 0
    }

    /// The next event as it was sent. Nothing is lost when the future is dropped.
    pub(super) async fn next(&mut self) -> Result<Sse, ClientError> {
        let block = match self.blocks.next().await {
            Some(Ok(block)) => block,
            Some(Err(error)) => return Err(broken(error)),
            None => return Err(ClientError::Unreachable { message: "the stream has ended".to_owned() }),
        };
        self.heard = true;
        self.pending.store(0, Ordering::Relaxed);
        Ok(block)
    }
}

fn received(body: Incoming, pending: Arc<AtomicUsize>) -> impl Stream<Item = Result<Bytes, ClientError>> {
    stream::try_unfold((body, pending), |(mut body, pending)| async move {
        let frame = timeout(SILENCE_MAX, body.frame()).await.map_err(|_| ClientError::Unreachable {
            message: format!("nothing was heard for {} s", SILENCE_MAX.as_secs()),
        })?;
        let Some(frame) = frame else { return Ok(None) };
        let bytes = frame.map_err(|error| unreachable(&error))?.into_data().unwrap_or_default();
        if pending.fetch_add(bytes.len(), Ordering::Relaxed) > EVENT_BYTES_MAX {
            let message = format!("an event has more than {EVENT_BYTES_MAX} bytes");
            return Err(ClientError::InvalidAnswer { message });
        }
        Ok(Some((bytes, (body, pending))))
    })
}

fn broken(error: sse_stream::Error) -> ClientError {
    match error {
        sse_stream::Error::Body(error) => match error.downcast::<ClientError>() {
            Ok(error) => *error,
            Err(error) => ClientError::Unreachable { message: error.to_string() },
        },
        error => ClientError::InvalidAnswer { message: error.to_string() },
    }
}

//! Handing many operations in at once: a JSON document a line in, an outcome a line out, both as they come.
//!
//! Lines are taken in batches, and a batch is answered once all of it is durable. A task of its own does that, so that a
//! client which sends everything before it reads anything is served too, up to as many outcomes as are kept for it.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::join_all;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::BodyExt;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::auth::Caller;
use crate::http::app::App;
use crate::http::body;
use crate::http::error::{ApiError, Code, LineError};
use crate::http::headers::{idempotency_key, traceparent};
use crate::http::lines::{Line, Lines};
use crate::http::read;
use crate::limits;
use crate::operation::{OperationId, Status, Traceparent};
use crate::tracker::entry::Submitted;

const LINES: HeaderValue = HeaderValue::from_static("application/x-ndjson");
/// Between two tries of a line that there is no room for.
const PAUSE: Duration = Duration::from_millis(50);

/// What became of a line: as a line.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Outcome {
    /// Which line of the request, from 1.
    line: u64,
    /// The status that it would have been answered with by itself.
    status: u16,
    /// Whether it is a repeat.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    replayed: bool,
    /// What was made of it, or had been.
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<Summary>,
    /// Why nothing was.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<LineError>,
}

/// An operation in few words.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Summary {
    #[schema(value_type = uuid::Uuid)]
    id: OperationId,
    status: Status,
}

/// Begins to answer.
pub(super) fn answer(
    app: App,
    caller: Caller,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let key = idempotency_key(headers)?.map(Cow::into_owned);
    if key.as_ref().is_some_and(|key| key.len() > limits::BULK_KEY_BYTES_MAX) {
        let most =
            format_args!("of a bulk request may have {} bytes", limits::BULK_KEY_BYTES_MAX).to_string();
        return Err(ApiError::at("Idempotency-Key", most));
    }
    let place = app.quotas.bulk(&caller.tenant)?;
    let (sender, receiver) = mpsc::unbounded_channel();
    let room = Arc::new(Semaphore::new(limits::BULK_OUTCOMES_BYTES_MAX));
    let mut taking = Taking {
        submits: Submits { app, caller, key, traceparent: traceparent(headers) },
        body,
        lines: Lines::new(limits::BODY_BYTES_MAX),
        number: 0,
    };
    tokio::spawn(async move {
        let _place = place;
        let end = taking.all(&sender, &room).await;
        // Nobody may listen any more.
        let _ = sender.send(Told::End(end));
    });
    let told = stream::unfold(Some(receiver), |receiver| async {
        let mut receiver = receiver?;
        match receiver.recv().await {
            // Its place among those that are kept is free once it is on its way.
            Some(Told::Outcomes(outcomes, kept)) => {
                drop(kept);
                Some((Ok(outcomes), Some(receiver)))
            }
            Some(Told::End(Ok(()))) => None,
            // There is no status left to say so by: the answer breaks off.
            Some(Told::End(Err(error))) => Some((Err(error), None)),
            None => Some((Err(io::Error::other("the bulk request ended in a panic")), None)),
        }
    });
    let mut response = Response::new(Body::from_stream(told));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, LINES);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

enum Told {
    Outcomes(Bytes, OwnedSemaphorePermit),
    End(io::Result<()>),
}

/// A bulk request that is being taken in.
struct Taking {
    submits: Submits,
    body: Body,
    lines: Lines,
    number: u64,
}

/// For whom its lines are handed in.
struct Submits {
    app: App,
    caller: Caller,
    key: Option<String>,
    traceparent: Option<Traceparent>,
}

/// Some lines, with their numbers.
#[derive(Default)]
struct Batch {
    lines: Vec<(u64, Line)>,
    bytes: usize,
    /// There are no more.
    last: bool,
}

impl Batch {
    fn is_full(&self, lines: usize) -> bool {
        self.lines.len() >= lines || self.bytes >= limits::BODY_BYTES_MAX
    }
}

impl Taking {
    /// Takes all lines in, and tells what became of each.
    async fn all(&mut self, sender: &mpsc::UnboundedSender<Told>, room: &Arc<Semaphore>) -> io::Result<()> {
        let gone = || io::Error::other("nobody reads the outcomes");
        loop {
            let batch = self.batch().await?;
            let last = batch.last;
            self.submits.pace(batch.lines.len(), sender).await?;
            let outcomes = self.submits.outcomes(batch).await?;
            // A batch has no more than are kept.
            let bytes =
                u32::try_from(outcomes.len().min(limits::BULK_OUTCOMES_BYTES_MAX)).unwrap_or(u32::MAX);
            if bytes > 0 {
                let kept = room.clone().acquire_many_owned(bytes);
                let kept = tokio::select! {
                    kept = kept => kept.map_err(io::Error::other)?,
                    () = sender.closed() => return Err(gone()),
                };
                sender.send(Told::Outcomes(outcomes.into(), kept)).map_err(|_| gone())?;
            }
            if last {
                return Ok(());
            }
            if self.submits.app.tracker.is_draining() {
                return Err(io::Error::other("this server is shutting down"));
            }
        }
    }

    /// The lines that are there, or the first one that comes.
    async fn batch(&mut self) -> io::Result<Batch> {
        let mut batch = Batch::default();
        let most = self.submits.app.bulk_lines().at_once();
        // Each line has its time by itself, as a body has.
        let (mut began, mut bytes) = (Instant::now(), 0);
        loop {
            while !batch.is_full(most)
                && let Some(line) = self.lines.next()
            {
                self.add(&mut batch, line);
                (began, bytes) = (Instant::now(), 0);
            }
            if batch.is_full(most) {
                return Ok(batch);
            }
            let more = if batch.lines.is_empty() {
                tokio::select! {
                    more = tokio::time::timeout_at(began + body::patience(bytes), self.body.frame()) => {
                        more.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
                    }
                    () = self.submits.app.tracker.drained() => {
                        return Err(io::Error::other("this server is shutting down"));
                    }
                }
            } else {
                match self.body.frame().now_or_never() {
                    Some(more) => more,
                    None => return Ok(batch),
                }
            };
            let Some(frame) = more else {
                if let Some(line) = self.lines.last() {
                    self.add(&mut batch, line);
                }
                batch.last = true;
                return Ok(batch);
            };
            if let Ok(data) = frame.map_err(io::Error::other)?.into_data() {
                bytes += data.len();
                self.lines.feed(&data);
            }
        }
    }

    fn add(&mut self, batch: &mut Batch, line: Line) {
        self.number += 1;
        if let Line::Whole(text) = &line {
            if text.trim_ascii().is_empty() {
                return;
            }
            batch.bytes += text.len();
        }
        batch.lines.push((self.number, line));
    }
}

impl Submits {
    /// Waits until its token may create so many more, however long that takes; ends where it may nothing any more.
    async fn pace(&self, lines: usize, sender: &mpsc::UnboundedSender<Told>) -> io::Result<()> {
        for _ in 0..lines {
            while self.app.quotas.create(&self.caller).is_err() {
                tokio::time::sleep(PAUSE).await;
                if sender.is_closed() || self.app.tracker.is_draining() {
                    return Err(io::Error::other(
                        "nobody reads the outcomes, or this server is shutting down",
                    ));
                }
            }
        }
        self.may_go_on()
    }

    fn may_go_on(&self) -> io::Result<()> {
        if self.caller.has_lapsed(self.app.tracker.reader().now()) {
            return Err(io::Error::other("the token has ended"));
        }
        Ok(())
    }

    /// Makes a batch durable: what became of its lines, in their order.
    ///
    /// Those that find no place among the submits, where others of the tenant fill it, are tried again for a while. They hold
    /// nothing up meanwhile that lines of other requests need.
    async fn outcomes(&self, batch: Batch) -> io::Result<Vec<u8>> {
        let patience = Instant::now() + limits::BULK_PATIENCE;
        let mut made: Vec<Option<Outcome>> = batch.lines.iter().map(|_| None).collect();
        loop {
            let missing: Vec<usize> = (0..made.len()).filter(|&place| made[place].is_none()).collect();
            if missing.is_empty() {
                break;
            }
            let is_last = Instant::now() >= patience;
            for (place, outcome) in missing.iter().zip(self.tries(&batch, &missing, is_last).await?) {
                made[*place] = outcome;
            }
            if made.iter().any(Option::is_none) {
                tokio::time::sleep(PAUSE).await;
            }
        }
        let mut outcomes = Vec::with_capacity(made.len() * 128);
        for outcome in made.iter().flatten() {
            serde_json::to_writer(&mut outcomes, outcome)?;
            outcomes.push(b'\n');
        }
        Ok(outcomes)
    }

    /// Hands lines of a batch in, once; none for one that found no place, unless it is the last time.
    async fn tries(
        &self,
        batch: &Batch,
        places: &[usize],
        is_last: bool,
    ) -> io::Result<Vec<Option<Outcome>>> {
        let _turn = self.app.bulk_lines().places(places.len()).await;
        self.may_go_on()?;
        let tries = places.iter().map(async |&place| {
            let (number, line) = &batch.lines[place];
            match self.submit(*number, line).await {
                Ok(Submitted { operation, replayed }) => {
                    let operation = Summary { id: operation.spec.id, status: operation.status() };
                    let (line, status) = (*number, StatusCode::CREATED.as_u16());
                    Some(Outcome { line, status, replayed, operation: Some(operation), error: None })
                }
                Err(error) if error.code() == Code::Overloaded && !is_last => None,
                Err(error) => {
                    let (line, status) = (*number, error.code().status().as_u16());
                    Some(Outcome {
                        line,
                        status,
                        replayed: false,
                        operation: None,
                        error: Some(error.into()),
                    })
                }
            }
        });
        Ok(join_all(tries).await)
    }

    async fn submit(&self, number: u64, line: &Line) -> Result<Submitted, ApiError> {
        let Line::Whole(text) = line else {
            let message = format!("the line is longer than {} bytes", limits::BODY_BYTES_MAX);
            return Err(ApiError::new(Code::PayloadTooLarge, message));
        };
        let key = self.key.as_ref().map(|key| format!("{key}/{number}"));
        let now = self.app.tracker.reader().now();
        let mut submit = read::submission::read(text, key.as_deref(), &self.caller, now)?;
        submit.submission.spec.traceparent = self.traceparent;
        Ok(self.app.tracker.submit_bare(submit).await?)
    }
}

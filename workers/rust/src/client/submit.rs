//! Submitting, under a key that makes repetition safe.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderName};
use http::{HeaderValue, Method};
use tokio::time::Instant;
use uuid::Uuid;

use super::{Client, ClientError, Snapshot, header_value, json_body, snapshot};
use crate::client::wait::{PREFER, prefer_wait};
use crate::trace;
use crate::wire::{LineOutcome, Submit};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const TRACEPARENT: HeaderName = HeaderName::from_static(trace::TRACEPARENT);
const KEY_BYTES_MAX: usize = 255;
const BULK_KEY_BYTES_MAX: usize = 234;
const PATH: &str = "/v1.0/operations";
const LINES: HeaderValue = HeaderValue::from_static("application/x-ndjson");
/// What a large request may take beyond what any other may.
const BULK_WAIT: Duration = Duration::from_mins(1);

impl Client {
    /// Hands an operation in. Once this returns, the operation is durable.
    ///
    /// The request always carries an `Idempotency-Key`, the caller's or one made up for this call, and is
    /// repeated under it while answers are lost or the server asks to come back later.
    pub async fn submit(&self, submit: Submit) -> Result<Snapshot, ClientError> {
        self.submit_and_wait(submit, Duration::ZERO).await
    }

    /// The same, and the server answers only when the operation has ended, or after `wait` (whole seconds,
    /// at most 60 s). The status in the answer tells which.
    pub async fn submit_and_wait(&self, submit: Submit, wait: Duration) -> Result<Snapshot, ClientError> {
        let key = submit.idempotency_key.clone().unwrap_or_else(|| Uuid::new_v4().to_string());
        let mut headers = vec![(IDEMPOTENCY_KEY, key_header(&key, KEY_BYTES_MAX)?)];
        match &submit.traceparent {
            Some(traceparent) => headers.push((TRACEPARENT, header_value(traceparent, "the traceparent")?)),
            None => headers.extend(trace::headers()),
        }
        if !wait.is_zero() {
            headers.push((PREFER, prefer_wait(wait)));
        }
        let body = Some(json_body(&submit)?);
        let deadline = Instant::now() + self.deadline + wait;
        snapshot(&self.repeated(Method::POST, PATH, headers, body, wait, deadline).await?)
    }

    /// Hands operations in, a JSON document a line; what became of each line, in their order. Once this returns, what was
    /// accepted is durable.
    ///
    /// The request is repeated under the key while answers are lost, and makes nothing twice: the key of line n is `key/n`.
    /// A line that is refused harms no other. Keep it to some MiB, and give each part of a larger file a key of its own.
    pub async fn submit_lines(&self, key: &str, lines: Bytes) -> Result<Vec<LineOutcome>, ClientError> {
        let mut headers = vec![
            (IDEMPOTENCY_KEY, key_header(key, BULK_KEY_BYTES_MAX)?),
            (CONTENT_TYPE, LINES),
            (ACCEPT, LINES),
        ];
        headers.extend(trace::headers());
        let deadline = Instant::now() + self.deadline + BULK_WAIT;
        let answer = self.repeated(Method::POST, PATH, headers, Some(lines), BULK_WAIT, deadline).await?;
        let lines = answer.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let outcomes = lines.map(serde_json::from_slice).collect::<Result<_, _>>();
        outcomes.map_err(|error| ClientError::InvalidAnswer { message: error.to_string() })
    }
}

fn key_header(key: &str, bytes_max: usize) -> Result<HeaderValue, ClientError> {
    if key.is_empty() || key.len() > bytes_max {
        return Err(ClientError::InvalidRequest {
            message: format!("such an idempotency key has 1 to {bytes_max} bytes, this one {}", key.len()),
        });
    }
    header_value(key, "the idempotency key")
}

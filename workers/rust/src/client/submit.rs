//! Submitting, under a key that makes repetition safe.

use std::time::Duration;

use http::Method;
use http::header::HeaderName;
use tokio::time::Instant;
use uuid::Uuid;

use super::{Client, ClientError, Snapshot, header_value, json_body, snapshot};
use crate::client::wait::{PREFER, prefer_wait};
use crate::wire::Submit;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const KEY_BYTES_MAX: usize = 255;

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
        if key.is_empty() || key.len() > KEY_BYTES_MAX {
            return Err(ClientError::InvalidRequest {
                message: format!("an idempotency key has 1 to {KEY_BYTES_MAX} bytes, this one {}", key.len()),
            });
        }
        let mut headers = vec![(IDEMPOTENCY_KEY, header_value(&key, "the idempotency key")?)];
        if !wait.is_zero() {
            headers.push((PREFER, prefer_wait(wait)));
        }
        let body = Some(json_body(&submit)?);
        let deadline = Instant::now() + self.deadline + wait;
        snapshot(&self.repeated(Method::POST, "/v1.0/operations", headers, body, wait, deadline).await?)
    }
}

//! One call of a worker: reports up, claims down.
//!
//! The runtime knows the server only through [`Exchange`]. Over HTTP that is [`HttpExchange`]; inside the
//! server's own process it is a call of a function.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::Method;
use hyper::body::Body;
use tokio::time::Instant;

use crate::client::transport::{Answer, Call};
use crate::client::{Client, ClientError};
use crate::wire::{ExchangeAnswer, ExchangeRequest};

/// Bytes a second: what the slowest network carries on which a worker is of use. Large requests and answers get their
/// time by it.
const SLOWEST: u64 = 64 * 1024;
/// How large an answer is taken to be that does not say so: what a claim brings at most, and reports at most are answered.
const ANSWER_BYTES: u64 = 5 * 1024 * 1024;

/// Carries requests of a worker to the server.
#[async_trait]
pub trait Exchange: Send + Sync + 'static {
    /// Hands the reports in and takes what the claim gives.
    ///
    /// The answer means that the reports are durable. Dropping the future withdraws the call: a claim that
    /// still waits takes nothing.
    ///
    /// `patience` is how long the answer may take on a network, beyond the time that the server was asked to wait and
    /// that the size of the request takes; then the exchange is lost.
    ///
    /// # Errors
    ///
    /// [`ExchangeError::Lost`] when nothing certain is known and the same request may be sent again, the
    /// other variants when it is refused for good.
    async fn exchange(
        &self,
        request: ExchangeRequest,
        patience: Duration,
    ) -> Result<ExchangeAnswer, ExchangeError>;
}

/// Why an exchange came to nothing.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ExchangeError {
    /// No answer, or one that says "later": the request is to be repeated exactly as it is, since the
    /// server may have acted on it.
    #[error("the exchange is lost: {message}")]
    Lost {
        /// What is known of the reason.
        message: String,
        /// How long the server asks to wait before that.
        retry_after: Option<Duration>,
    },
    /// The server takes this request never; another may pass.
    #[error("the exchange is refused with {code}: {message}")]
    Refused {
        /// For programs.
        code: String,
        /// For people.
        message: String,
    },
    /// The server takes no request of this worker: it has no token, or not the right one.
    #[error("the worker is denied with {code}: {message}")]
    Denied {
        /// For programs.
        code: String,
        /// For people.
        message: String,
    },
}

#[async_trait]
impl<E: Exchange + ?Sized> Exchange for Arc<E> {
    async fn exchange(
        &self,
        request: ExchangeRequest,
        patience: Duration,
    ) -> Result<ExchangeAnswer, ExchangeError> {
        self.as_ref().exchange(request, patience).await
    }
}

/// Exchanges over HTTP: `POST /v1.0/work`.
#[derive(Clone, Debug)]
pub struct HttpExchange {
    client: Client,
    /// For heartbeats, on connections of their own: over HTTP/2 all else shares one.
    beating: Client,
}

impl HttpExchange {
    /// Exchanges with the server of this client, under its token.
    pub fn new(client: Client) -> Self {
        Self { beating: client.apart(), client }
    }
}

#[async_trait]
impl Exchange for HttpExchange {
    async fn exchange(
        &self,
        request: ExchangeRequest,
        patience: Duration,
    ) -> Result<ExchangeAnswer, ExchangeError> {
        let client = if request.is_heartbeat() { &self.beating } else { &self.client };
        let body = serde_json::to_vec(&request).map_err(|error| ExchangeError::Refused {
            code: "invalidRequest".to_owned(),
            message: format!("the request has no JSON form: {error}"),
        })?;
        let wait = Duration::from_secs(request.claim.map_or(0, |claim| claim.wait_seconds).into());
        let call = Call {
            method: Method::POST,
            path: "/v1.0/work",
            headers: Vec::new(),
            deadline: Instant::now() + wait + patience + on_its_way(body.len() as u64),
            body: Some(Bytes::from(body)),
        };
        let head = client.transport().open(call).await?;
        let bytes = head.size_hint().upper().unwrap_or(ANSWER_BYTES);
        let answer = Answer::read(head, Instant::now() + patience + on_its_way(bytes)).await?;
        Ok(answer.success()?.json()?)
    }
}

/// How long so many bytes may be on their way.
fn on_its_way(bytes: u64) -> Duration {
    Duration::from_millis(bytes.saturating_mul(1000) / SLOWEST)
}

impl From<ClientError> for ExchangeError {
    fn from(error: ClientError) -> Self {
        let (transient, retry_after) = (error.is_transient(), error.retry_after());
        match error {
            ClientError::Refused { status: 401 | 403, code, message, .. } => Self::Denied { code, message },
            ClientError::Refused { code, message, .. } if !transient => Self::Refused { code, message },
            ClientError::InvalidRequest { message } => {
                Self::Refused { code: "invalidRequest".to_owned(), message }
            }
            // An answer that is no JSON comes from a proxy, or was cut: what the server did is unknown.
            other => Self::Lost { message: other.to_string(), retry_after },
        }
    }
}

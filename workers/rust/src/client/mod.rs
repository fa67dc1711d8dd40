//! The client of submitters, pollers and watchers, over HTTP/1.1 and HTTP/2.
//!
//! Every call has an absolute deadline. A submit always carries an idempotency key, so it is repeated
//! under that key when its answer is lost or the server asks to come back later; reads are repeated
//! likewise. Calls that are not safe to repeat are sent once.

mod builder;
mod connect;
mod error;
mod links;
mod list;
mod queues;
mod submit;
pub(crate) mod transport;
mod wait;
mod watch;

use std::time::Duration;

use bytes::Bytes;
use http::header::{ETAG, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH, LOCATION};
use http::{Method, StatusCode};
use serde::Deserialize;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::backoff::Backoff;
use crate::wire::{Attempt, Operation, Patch};
use transport::{Answer, Call, Transport};

pub use builder::ClientBuilder;
pub use error::ClientError;
pub use list::{Filter, ListQuery, Page, Pages};
pub use watch::{Watch, WatchFilter};

/// An answer that takes so long may never come; a call that may be repeated is, then, on another connection.
const TRY: Duration = Duration::from_secs(10);
const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// A client of one server. Cheap to clone; clones share their connections.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use longrun_sdk::{Client, wire::Submit};
///
/// let client = Client::builder("http://127.0.0.1:8470").build()?;
/// let submitted = client.submit(Submit::new("thumbnail")).await?;
/// let ended = client.wait(submitted.operation.id, Duration::from_secs(300)).await?;
/// println!("{}", ended.operation.status);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Client {
    transport: Transport,
    deadline: Duration,
}

/// An operation as it was when the server answered.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The operation.
    pub operation: Operation,
    /// For [`Client::get_if_changed`] and `If-Match`.
    pub etag: Option<String>,
    /// When to ask again; absent once the operation is terminal.
    pub retry_after: Option<Duration>,
    /// The operation's absolute URL; in answers to a submit only.
    pub location: Option<String>,
    /// The submit repeated an earlier one; the operation is that one's.
    pub replayed: bool,
}

impl Client {
    /// Begins a client of the server at `url`, such as `http://127.0.0.1:8470`.
    pub fn builder(url: impl Into<String>) -> ClientBuilder {
        ClientBuilder::new(url.into())
    }

    /// The operation as it is now.
    pub async fn get(&self, id: Uuid) -> Result<Snapshot, ClientError> {
        snapshot(&self.read(&operation_path(id, ""), Vec::new()).await?.success()?)
    }

    /// The operation if it is no longer the one of this `ETag`, else `None`.
    pub async fn get_if_changed(&self, id: Uuid, etag: &str) -> Result<Option<Snapshot>, ClientError> {
        let headers = vec![(IF_NONE_MATCH, header_value(etag, "the ETag")?)];
        let answer = self.read(&operation_path(id, ""), headers).await?;
        if answer.status == StatusCode::NOT_MODIFIED {
            return Ok(None);
        }
        snapshot(&answer).map(Some)
    }

    /// The attempts that ended badly, and the one that runs.
    pub async fn attempts(&self, id: Uuid) -> Result<Vec<Attempt>, ClientError> {
        let answer = self.read(&operation_path(id, "/attempts"), Vec::new()).await?.success()?;
        answer.json::<Values<Attempt>>().map(|page| page.value)
    }

    /// Asks for the operation to be canceled. One that runs goes on until its worker has heard of it.
    pub async fn cancel(&self, id: Uuid) -> Result<Snapshot, ClientError> {
        snapshot(&self.once(Method::POST, &operation_path(id, "/cancel"), Vec::new(), None).await?)
    }

    /// Gives a failed operation its attempts back.
    pub async fn retry(&self, id: Uuid) -> Result<Snapshot, ClientError> {
        snapshot(&self.once(Method::POST, &operation_path(id, "/retry"), Vec::new(), None).await?)
    }

    /// Advances an external operation.
    pub async fn patch(&self, id: Uuid, patch: &Patch) -> Result<Snapshot, ClientError> {
        let mut headers = Vec::new();
        if let Some(etag) = &patch.if_match {
            headers.push((IF_MATCH, header_value(etag, "the ETag")?));
        }
        let body = Some(json_body(patch)?);
        snapshot(&self.once(Method::PATCH, &operation_path(id, ""), headers, body).await?)
    }

    /// Deletes a terminal operation.
    pub async fn delete(&self, id: Uuid) -> Result<(), ClientError> {
        self.once(Method::DELETE, &operation_path(id, ""), Vec::new(), None).await.map(drop)
    }

    /// Whether the server is ready to serve.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`] with the server's reason while it is not.
    pub async fn health(&self) -> Result<(), ClientError> {
        self.once(Method::GET, "/readyz", Vec::new(), None).await.map(drop)
    }

    /// What the server counts and how things stand, as Prometheus' text. Needs the scope `Server.Manage`.
    pub async fn metrics(&self) -> Result<String, ClientError> {
        let answer = self.read("/metrics", Vec::new()).await?.success()?;
        Ok(String::from_utf8_lossy(&answer.body).into_owned())
    }

    /// The same client with connections of its own.
    pub(crate) fn apart(&self) -> Self {
        Self { transport: self.transport.apart(), ..self.clone() }
    }

    /// Sets the clock of a server for tests (`longrun dev --test-clock`) ahead, and tells its new time.
    ///
    /// When this returns, everything that fell due on the way has happened, in its order: delayed starts, retries,
    /// ends of leases, timeouts, expirations.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`] with the code `itemNotFound` by a server that has no such clock.
    pub async fn advance_clock(&self, by: Duration) -> Result<String, ClientError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Advanced {
            current_date_time: String,
        }
        let body = json_body(&serde_json::json!({ "seconds": by.as_secs_f64() }))?;
        let answer = self.once(Method::POST, "/v1.0/test/advance", Vec::new(), Some(body)).await?;
        answer.json::<Advanced>().map(|advanced| advanced.current_date_time)
    }

    pub(crate) fn transport(&self) -> &Transport {
        &self.transport
    }

    /// A read: repeated within the client's deadline.
    async fn read(&self, path: &str, headers: Vec<(HeaderName, HeaderValue)>) -> Result<Answer, ClientError> {
        self.repeated(Method::GET, path, headers, None, Duration::ZERO, Instant::now() + self.deadline).await
    }

    /// A call that is not safe to repeat.
    async fn once(
        &self,
        method: Method,
        path: &str,
        headers: Vec<(HeaderName, HeaderValue)>,
        body: Option<Bytes>,
    ) -> Result<Answer, ClientError> {
        let deadline = Instant::now() + self.deadline;
        self.transport.send(Call { method, path, headers, body, deadline }).await?.success()
    }

    /// Sends the same call until it succeeds, is refused for good, or the deadline is over; the server was asked to wait
    /// `wait` before it answers. A 304 counts as success: only a call with `If-None-Match` is answered so.
    async fn repeated(
        &self,
        method: Method,
        path: &str,
        headers: Vec<(HeaderName, HeaderValue)>,
        body: Option<Bytes>,
        wait: Duration,
        deadline: Instant,
    ) -> Result<Answer, ClientError> {
        let mut backoff = Backoff::new();
        let each_try = TRY.min(self.deadline / 3);
        loop {
            let call = Call {
                method: method.clone(),
                path,
                headers: headers.clone(),
                body: body.clone(),
                deadline: deadline.min(Instant::now() + wait + each_try),
            };
            let error = match self.transport.send(call).await {
                Ok(answer) if answer.status == StatusCode::NOT_MODIFIED => return Ok(answer),
                Ok(answer) if answer.status.is_success() => return Ok(answer),
                Ok(answer) => answer.success().err().unwrap_or(ClientError::Deadline),
                Err(error) => error,
            };
            let delay = backoff.delay(error.retry_after());
            // The last error says more than "the time is over" would.
            let again = error.is_transient() || matches!(error, ClientError::Deadline);
            if !again || Instant::now() + delay >= deadline {
                return Err(error);
            }
            sleep(delay).await;
        }
    }
}

#[derive(Deserialize)]
struct Values<T> {
    value: Vec<T>,
}

fn operation_path(id: Uuid, verb: &str) -> String {
    format!("/v1.0/operations/{id}{verb}")
}

fn snapshot(answer: &Answer) -> Result<Snapshot, ClientError> {
    Ok(Snapshot {
        operation: answer.json()?,
        etag: answer.header(&ETAG),
        retry_after: answer.retry_after(),
        location: answer.header(&LOCATION),
        replayed: answer.header(&IDEMPOTENCY_REPLAYED).is_some_and(|value| value == "true"),
    })
}

fn header_value(text: &str, what: &str) -> Result<HeaderValue, ClientError> {
    HeaderValue::from_str(text).map_err(|_| ClientError::InvalidRequest {
        message: format!("{what} holds characters that no header can carry"),
    })
}

fn json_body<T: serde::Serialize>(value: &T) -> Result<Bytes, ClientError> {
    serde_json::to_vec(value).map(Bytes::from).map_err(|error| ClientError::InvalidRequest {
        message: format!("the body has no JSON form: {error}"),
    })
}

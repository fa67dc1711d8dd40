//! One HTTP call: pooled keep-alive connections, an absolute deadline, a bounded answer.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use http::uri::Scheme;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};

use super::ClientError;
use super::connect::{Connector, Pool, connector, distrust, pool};
use crate::wire::ErrorBody;

/// No answer of the protocol comes near; it bounds what a broken server can make us hold.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Where the server is, and the connections to it.
#[derive(Clone, Debug)]
pub(crate) struct Transport {
    pool: Pool,
    connector: Connector,
    only_http2: bool,
    base: String,
    authorization: Option<HeaderValue>,
}

/// One call, to be sent by [`Transport::send`].
pub(crate) struct Call<'a> {
    pub(crate) method: Method,
    /// Below the base, with its leading slash.
    pub(crate) path: &'a str,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Option<Bytes>,
    pub(crate) deadline: Instant,
}

/// What came back, whatever its status.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Transport {
    /// With `prior_http2` it is known that the server speaks HTTP/2; without, TLS may find it out.
    pub(crate) fn new(
        url: &str,
        token: Option<&str>,
        prior_http2: bool,
        authorities: Option<&[u8]>,
    ) -> Result<Self, ClientError> {
        let base = url.trim_end_matches('/').to_owned();
        let uri: Uri = base.parse().map_err(|error| bad_url(url, &format!("{error}")))?;
        let tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(scheme) if *scheme == Scheme::HTTPS && cfg!(feature = "tls") => true,
            Some(scheme) if *scheme == Scheme::HTTPS => {
                return Err(bad_url(url, "https needs the feature 'tls' of longrun-sdk"));
            }
            _ => return Err(bad_url(url, "it must begin with http:// or https://")),
        };
        if uri.query().is_some() {
            return Err(bad_url(url, "it must not have a query"));
        }
        let authorization = token.map(bearer).transpose()?;
        let connector = connector(tls, authorities).map_err(|error| bad_url(url, &error.to_string()))?;
        let only_http2 = prior_http2 && !tls;
        Ok(Self { pool: pool(connector.clone(), only_http2), connector, only_http2, base, authorization })
    }

    /// The same with connections of its own.
    pub(crate) fn apart(&self) -> Self {
        Self { pool: pool(self.connector.clone(), self.only_http2), ..self.clone() }
    }

    /// Sends the call once and reads the whole answer.
    pub(crate) async fn send(&self, call: Call<'_>) -> Result<Answer, ClientError> {
        let deadline = call.deadline;
        Answer::read(self.open(call).await?, deadline).await
    }

    /// Sends the call once and reads the head of the answer, for which the call's deadline is.
    pub(crate) async fn open(&self, call: Call<'_>) -> Result<Response<Incoming>, ClientError> {
        let deadline = call.deadline;
        let head = self.pool.request(self.request(call)?);
        let head = timeout_at(deadline, head).await.map_err(|_| ClientError::Deadline)?;
        head.map_err(|error| unreachable(&error))
    }

    fn request(&self, call: Call<'_>) -> Result<Request<Full<Bytes>>, ClientError> {
        let mut request = Request::builder().method(call.method).uri(format!("{}{}", self.base, call.path));
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        if !call.headers.iter().any(|(name, _)| name == ACCEPT) {
            request = request.header(ACCEPT, HeaderValue::from_static("application/json"));
        }
        if call.body.is_some() && !call.headers.iter().any(|(name, _)| name == CONTENT_TYPE) {
            request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        for (name, value) in call.headers {
            request = request.header(name, value);
        }
        request
            .body(Full::new(call.body.unwrap_or_default()))
            .map_err(|error| ClientError::InvalidRequest { message: error.to_string() })
    }
}

impl Answer {
    /// Reads the rest of an answer.
    pub(crate) async fn read(response: Response<Incoming>, deadline: Instant) -> Result<Self, ClientError> {
        let (parts, body) = response.into_parts();
        let body = timeout_at(deadline, Limited::new(body, ANSWER_BYTES_MAX).collect());
        let body = body.await.map_err(|_| ClientError::Deadline)?;
        let body = body.map_err(|error| unreachable(error.as_ref()))?.to_bytes();
        Ok(Self { status: parts.status, headers: parts.headers, body })
    }

    /// The answer itself when it is one of success, else the server's refusal.
    pub(crate) fn success(self) -> Result<Self, ClientError> {
        if self.status.is_success() {
            return Ok(self);
        }
        // A proxy between us and the server answers in its own words: those are no reason to fail otherwise.
        let error = serde_json::from_slice::<ErrorBody>(&self.body).unwrap_or_default().error;
        Err(ClientError::Refused {
            status: self.status.as_u16(),
            retry_after: self.retry_after(),
            code: if error.code.is_empty() { "unknown".to_owned() } else { error.code },
            message: if error.message.is_empty() { self.status.to_string() } else { error.message },
            target: error.target,
        })
    }

    /// `Retry-After` in its form of whole seconds; the server of the protocol sends no other.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        let seconds = self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
        Some(Duration::from_secs(seconds))
    }

    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, ClientError> {
        serde_json::from_slice(&self.body)
            .map_err(|error| ClientError::InvalidAnswer { message: error.to_string() })
    }

    pub(crate) fn header(&self, name: &HeaderName) -> Option<String> {
        self.headers.get(name)?.to_str().ok().map(str::to_owned)
    }
}

fn bearer(token: &str) -> Result<HeaderValue, ClientError> {
    let mut value = HeaderValue::try_from(format!("Bearer {}", token.trim())).map_err(|_| {
        // The token itself stays out of the message: it is a secret.
        ClientError::InvalidRequest { message: "the token holds characters that no token has".to_owned() }
    })?;
    value.set_sensitive(true);
    Ok(value)
}

fn bad_url(url: &str, why: &str) -> ClientError {
    ClientError::InvalidRequest { message: format!("the server's URL '{url}' cannot be used: {why}") }
}

/// The outermost error of hyper says little; what went wrong stands at the end of the chain.
pub(super) fn unreachable(error: &(dyn std::error::Error + 'static)) -> ClientError {
    if let Some(message) = distrust(error) {
        return ClientError::Untrusted { message };
    }
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        message = format!("{message}: {inner}");
        cause = inner.source();
    }
    ClientError::Unreachable { message }
}

//! The other headers that a request may bring and an answer about an operation has.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};

use super::error::ApiError;
use super::forwarded::Asked;
use crate::limits;
use crate::operation::{Hold, Operation, OperationId, State, Timestamp, Traceparent};

/// `idempotency-key`.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// `idempotency-replayed`.
pub const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// `operation-location`.
pub const OPERATION_LOCATION: HeaderName = HeaderName::from_static("operation-location");
/// `client-request-id`.
pub const CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("client-request-id");
/// `traceparent`, of W3C Trace Context.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// `request-id`.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");

fn key_error(what: &str) -> ApiError {
    ApiError::at("Idempotency-Key", what)
}

/// The request's `Idempotency-Key`: a quoted string (RFC 8941, 3.3.3) or bare, printable ASCII. Quoted and bare, the same
/// characters are the same key.
pub fn idempotency_key(headers: &HeaderMap) -> Result<Option<Cow<'_, str>>, ApiError> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(key_error("must be sent once"));
    }
    // `to_str` takes printable ASCII and the tab.
    let text = value.to_str().ok().filter(|text| !text.contains('\t'));
    let text = text.ok_or_else(|| key_error("must be printable ASCII"))?.trim_matches(' ');
    let key = match text.strip_prefix('"') {
        None => Cow::Borrowed(text),
        Some(opened) => quoted_key(opened)?,
    };
    if key.is_empty() {
        return Err(key_error("must not be empty"));
    }
    if key.len() > limits::KEY_BYTES_MAX {
        return Err(key_error(&format!("must be at most {} bytes", limits::KEY_BYTES_MAX)));
    }
    Ok(Some(key))
}

/// What a quoted string says, from behind its first quotation mark.
fn quoted_key(opened: &str) -> Result<Cow<'_, str>, ApiError> {
    let malformed = || key_error("begins with a quotation mark and is not a quoted string");
    let inside = opened.strip_suffix('"').ok_or_else(malformed)?;
    if !inside.contains(['"', '\\']) {
        return Ok(Cow::Borrowed(inside));
    }
    let mut said = String::with_capacity(inside.len());
    let mut characters = inside.chars();
    while let Some(character) = characters.next() {
        said.push(match character {
            '"' => return Err(malformed()),
            '\\' => characters.next().filter(|next| matches!(next, '"' | '\\')).ok_or_else(malformed)?,
            plain => plain,
        });
    }
    Ok(Cow::Owned(said))
}

/// The client's own name for its request, to be echoed: up to 128 printable ASCII characters; anything else is as if
/// it had not been sent, since nothing depends on it.
pub fn client_request_id(headers: &HeaderMap) -> Option<&HeaderValue> {
    let value = headers.get(CLIENT_REQUEST_ID)?;
    let bytes = value.as_bytes();
    let fits = !bytes.is_empty() && bytes.len() <= limits::CLIENT_REQUEST_ID_BYTES_MAX;
    (fits && bytes.iter().all(|byte| (b' '..=b'~').contains(byte))).then_some(value)
}

/// Where in a trace the request was made. A value that is none is as if it had not been sent (Trace Context, 3.2.2.2), and
/// so are several.
pub fn traceparent(headers: &HeaderMap) -> Option<Traceparent> {
    let mut values = headers.get_all(TRACEPARENT).iter();
    let value = values.next().filter(|_| values.next().is_none())?;
    Traceparent::parse(value.to_str().ok()?)
}

/// What the absolute URLs of an answer begin with.
#[derive(Clone, Debug)]
pub enum Base<'a> {
    /// `--public-url`, without a slash at its end.
    Public(&'a str),
    /// The host that the request named.
    Host {
        /// `http` or `https`.
        scheme: &'a str,
        /// The host, with its port.
        authority: Cow<'a, str>,
    },
}

impl<'a> Base<'a> {
    /// The configured URL, else the host that a proxy of ours tells, else the request's own `:authority` or `Host`. A host is
    /// taken only where it is one, since it comes back in links; without any, 400.
    pub(super) fn of_request(
        public_url: Option<&'a str>,
        asked: Asked<'a>,
        uri: &'a Uri,
        headers: &'a HeaderMap,
    ) -> Result<Self, ApiError> {
        if let Some(url) = public_url {
            return Ok(Self::Public(url.trim_end_matches('/')));
        }
        let scheme = asked.scheme;
        let is_valid = |host: &str| host.parse().is_ok_and(|authority| is_host(&authority));
        if let Some(authority) = asked.host.filter(|host| is_valid(host)) {
            return Ok(Self::Host { scheme, authority });
        }
        if let Some(authority) = uri.authority().filter(|authority| is_host(authority)) {
            return Ok(Self::Host { scheme, authority: authority.as_str().into() });
        }
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let authority =
            host.filter(|host| is_valid(host)).ok_or_else(|| ApiError::at("Host", "must name a host"))?;
        Ok(Self::Host { scheme, authority: authority.into() })
    }

    /// The URL of an operation, for `Location` and `Operation-Location`.
    pub fn operation(&self, id: OperationId) -> HeaderValue {
        let mut buffer = uuid::Uuid::encode_buffer();
        let id = id.0.as_hyphenated().encode_lower(&mut buffer);
        let parts = match self {
            Self::Public(url) => [url, "", "", "/v1.0/operations/", id],
            Self::Host { scheme, authority } => [scheme, "://", authority, "/v1.0/operations/", id],
        };
        let url = parts.concat();
        // A host and a configured URL that were checked are fit for a header.
        HeaderValue::try_from(url).unwrap_or(HeaderValue::from_static("/v1.0/operations"))
    }
}

impl fmt::Display for Base<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Public(url) => out.write_str(url),
            Self::Host { scheme, authority } => write!(out, "{scheme}://{authority}"),
        }
    }
}

/// Whether there is a host and nobody's name before it.
fn is_host(authority: &Authority) -> bool {
    !authority.host().is_empty() && !authority.as_str().contains('@')
}

/// The seconds after which to ask again for an operation that has not ended; none for one that has. A tenth of the time
/// since the server received it, and for a start that lies ahead the time until it: 1 to 30.
pub fn retry_after(operation: &Operation, now: Timestamp) -> Option<u32> {
    let wait = match operation.state {
        State::Completed { .. } | State::Failed { .. } => return None,
        State::Waiting { hold: Some(Hold::Delayed | Hold::RetryBackoff), ready_at } if ready_at > now => {
            // The part of a second that is left counts as one: a poll just before the start finds nothing.
            ready_at.since(now) + Duration::from_nanos(999_999_999)
        }
        _ => now.since(operation.spec.received) / 10,
    };
    Some(u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).clamp(1, limits::RETRY_AFTER_SECONDS_MAX))
}

#[cfg(test)]
mod tests;

//! The one shape of every error: a code for programs, a sentence for people, the field at fault.
//!
//! A route answers with an [`ApiError`]; its response carries the error as an extension and no body yet. The outermost
//! service ([`super::outer`]) completes it, since only there the request's identifiers are at hand, and it gives the
//! same shape to what was refused before any route was reached.

use std::borrow::Cow;
use std::fmt;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

use super::quota::Allowance;
use crate::limits;
use crate::operation::{Refusal, Timestamp};
use crate::store::StoreError;

/// The codes of the wire, each with its one status.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Code {
    /// The request contradicts the contract or itself.
    InvalidRequest,
    /// A `$filter`, `$orderby` or another `$option` does not parse.
    InvalidFilter,
    /// A filter that no index narrows.
    FilterTooBroad,
    /// A cursor or page token that is none.
    InvalidCursor,
    /// No credential, or one that is none.
    Unauthenticated,
    /// The credential does not allow it.
    AccessDenied,
    /// No such path, or nothing there for this tenant.
    ItemNotFound,
    /// The path knows other methods.
    MethodNotAllowed,
    /// Nothing that the client accepts can be sent.
    NotAcceptable,
    /// The body is of another type than the route reads.
    UnsupportedMediaType,
    /// The body came too slowly.
    RequestTimeout,
    /// The body is too large.
    PayloadTooLarge,
    /// The URI is too long.
    UriTooLong,
    /// The headers are too large.
    HeadersTooLarge,
    /// The state does not allow it.
    Conflict,
    /// An operation of this id exists, made from another body.
    IdExists,
    /// `If-Match` names another version.
    PreconditionFailed,
    /// The key was used with another body.
    IdempotencyKeyReused,
    /// Over a quota.
    TooManyRequests,
    /// The queue is at its limit.
    QueueFull,
    /// Our fault.
    InternalError,
    /// More work than can be taken right now.
    Overloaded,
    /// The store does not answer as it should.
    StoreUnavailable,
    /// This server ends.
    ShuttingDown,
    /// No room for new work.
    StorageFull,
}

impl Code {
    /// All of them, in the order of their statuses.
    pub const ALL: [Self; 25] = [
        Self::InvalidRequest,
        Self::InvalidFilter,
        Self::FilterTooBroad,
        Self::InvalidCursor,
        Self::Unauthenticated,
        Self::AccessDenied,
        Self::ItemNotFound,
        Self::MethodNotAllowed,
        Self::NotAcceptable,
        Self::RequestTimeout,
        Self::Conflict,
        Self::IdExists,
        Self::PreconditionFailed,
        Self::PayloadTooLarge,
        Self::UriTooLong,
        Self::UnsupportedMediaType,
        Self::IdempotencyKeyReused,
        Self::TooManyRequests,
        Self::QueueFull,
        Self::HeadersTooLarge,
        Self::InternalError,
        Self::Overloaded,
        Self::StoreUnavailable,
        Self::ShuttingDown,
        Self::StorageFull,
    ];

    /// The word of the wire and its HTTP status.
    fn both(self) -> (&'static str, StatusCode) {
        match self {
            Self::InvalidRequest => ("invalidRequest", StatusCode::BAD_REQUEST),
            Self::InvalidFilter => ("invalidFilter", StatusCode::BAD_REQUEST),
            Self::FilterTooBroad => ("filterTooBroad", StatusCode::BAD_REQUEST),
            Self::InvalidCursor => ("invalidCursor", StatusCode::BAD_REQUEST),
            Self::Unauthenticated => ("unauthenticated", StatusCode::UNAUTHORIZED),
            Self::AccessDenied => ("accessDenied", StatusCode::FORBIDDEN),
            Self::ItemNotFound => ("itemNotFound", StatusCode::NOT_FOUND),
            Self::MethodNotAllowed => ("methodNotAllowed", StatusCode::METHOD_NOT_ALLOWED),
            Self::NotAcceptable => ("notAcceptable", StatusCode::NOT_ACCEPTABLE),
            Self::UnsupportedMediaType => ("unsupportedMediaType", StatusCode::UNSUPPORTED_MEDIA_TYPE),
            Self::RequestTimeout => ("requestTimeout", StatusCode::REQUEST_TIMEOUT),
            Self::PayloadTooLarge => ("payloadTooLarge", StatusCode::PAYLOAD_TOO_LARGE),
            Self::UriTooLong => ("uriTooLong", StatusCode::URI_TOO_LONG),
            Self::HeadersTooLarge => ("headersTooLarge", StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
            Self::Conflict => ("conflict", StatusCode::CONFLICT),
            Self::IdExists => ("idExists", StatusCode::CONFLICT),
            Self::PreconditionFailed => ("preconditionFailed", StatusCode::PRECONDITION_FAILED),
            Self::IdempotencyKeyReused => ("idempotencyKeyReused", StatusCode::UNPROCESSABLE_ENTITY),
            Self::TooManyRequests => ("tooManyRequests", StatusCode::TOO_MANY_REQUESTS),
            Self::QueueFull => ("queueFull", StatusCode::TOO_MANY_REQUESTS),
            Self::InternalError => ("internalError", StatusCode::INTERNAL_SERVER_ERROR),
            Self::Overloaded => ("overloaded", StatusCode::SERVICE_UNAVAILABLE),
            Self::StoreUnavailable => ("storeUnavailable", StatusCode::SERVICE_UNAVAILABLE),
            Self::ShuttingDown => ("shuttingDown", StatusCode::SERVICE_UNAVAILABLE),
            Self::StorageFull => ("storageFull", StatusCode::INSUFFICIENT_STORAGE),
        }
    }

    /// The word of the wire.
    pub fn as_str(self) -> &'static str {
        self.both().0
    }

    /// Its HTTP status.
    pub fn status(self) -> StatusCode {
        self.both().1
    }

    /// The general code of a status; none where we never answer with it.
    pub fn of_status(status: StatusCode) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.status() == status)
    }
}

/// An error as a client sees it. One pointer, so that the results which carry it stay small.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApiError(Box<Parts>);

#[derive(Clone, PartialEq, Eq, Debug)]
struct Parts {
    code: Code,
    message: Cow<'static, str>,
    target: Option<Cow<'static, str>>,
    retry_after: Option<u32>,
    allow: Option<&'static str>,
    allowance: Option<Allowance>,
}

impl ApiError {
    /// An error of a code, with a sentence for people. Those of our own fault say nothing of what is inside.
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        let message = message.into();
        Self(Box::new(Parts { code, message, target: None, retry_after: None, allow: None, allowance: None }))
    }

    /// 400 `invalidRequest`.
    pub fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::InvalidRequest, message)
    }

    /// 400 `invalidRequest` about one field or header, which the message begins with.
    pub fn at(target: impl Into<Cow<'static, str>>, what: impl fmt::Display) -> Self {
        let target = target.into();
        Self::invalid(format!("{target}: {what}")).target(target)
    }

    /// 404 `itemNotFound`: the same for another tenant's operation and for one that never was.
    pub fn no_such_operation() -> Self {
        Self::new(Code::ItemNotFound, "no such operation")
    }

    /// 500 `internalError`.
    pub fn internal() -> Self {
        Self::new(Code::InternalError, "something went wrong on our side; the request may be repeated")
    }

    /// 503 `shuttingDown`.
    pub fn shutting_down() -> Self {
        Self::new(Code::ShuttingDown, "this server is shutting down").retry_after(1)
    }

    /// 503 `overloaded`.
    pub fn overloaded() -> Self {
        Self::new(Code::Overloaded, "more work is waiting than can be taken right now").retry_after(1)
    }

    /// 429 `tooManyRequests`: there is no place now.
    pub(super) fn too_many(message: &'static str) -> Self {
        Self::new(Code::TooManyRequests, message).retry_after(limits::CROWDED_RETRY_SECONDS)
    }

    /// 429 `tooManyRequests`: sooner than is allowed.
    pub(super) fn too_fast(allowance: Allowance) -> Self {
        let message = "this token creates more operations a second than it may";
        let mut error = Self::new(Code::TooManyRequests, message).retry_after(allowance.retry_after());
        error.0.allowance = Some(allowance);
        error
    }

    /// 429 `queueFull`.
    pub fn queue_full() -> Self {
        let message = "as many operations wait in the queue as may";
        Self::new(Code::QueueFull, message).retry_after(limits::QUEUE_FULL_RETRY_SECONDS)
    }

    /// Names the field, header or parameter at fault.
    #[must_use]
    pub fn target(mut self, target: impl Into<Cow<'static, str>>) -> Self {
        self.0.target = Some(target.into());
        self
    }

    /// Asks the client to come again after so many seconds.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.0.retry_after = Some(seconds);
        self
    }

    /// Lists the methods that the path knows, for the `Allow` header.
    #[must_use]
    pub fn allow(mut self, methods: &'static str) -> Self {
        self.0.allow = Some(methods);
        self
    }

    /// Its code.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// Its sentence for people.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The field, header or parameter at fault.
    pub fn target_name(&self) -> Option<&str> {
        self.0.target.as_deref()
    }

    /// The error object of the wire, `innerError` included.
    pub(super) fn body(&self, request: &str, client_request: Option<&str>) -> Vec<u8> {
        let document = Document {
            error: Wire {
                code: self.code().as_str(),
                message: self.message(),
                target: self.target_name(),
                inner: Inner { date: Timestamp::wall(), request, client_request },
            },
        };
        // Strings and a timestamp have no way to fail; should they ever, an empty object is still an answer.
        serde_json::to_vec(&document).unwrap_or_else(|_| b"{}".to_vec())
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.code().as_str(), self.message())
    }
}

impl std::error::Error for ApiError {}

/// An error that is a part of an answer to something else.
#[derive(Serialize, ToSchema)]
pub(super) struct LineError {
    code: &'static str,
    message: Cow<'static, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<Cow<'static, str>>,
}

impl From<ApiError> for LineError {
    fn from(error: ApiError) -> Self {
        let code = error.code().as_str();
        Self { code, message: error.0.message, target: error.0.target }
    }
}

#[derive(Serialize)]
struct Document<'a> {
    error: Wire<'a>,
}

#[derive(Serialize)]
struct Wire<'a> {
    code: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'a str>,
    #[serde(rename = "innerError")]
    inner: Inner<'a>,
}

#[derive(Serialize)]
struct Inner<'a> {
    date: Timestamp,
    #[serde(rename = "request-id")]
    request: &'a str,
    #[serde(rename = "client-request-id", skip_serializing_if = "Option::is_none")]
    client_request: Option<&'a str>,
}

impl IntoResponse for ApiError {
    /// The status, the headers and the error itself; the outermost service adds the body.
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.code().status();
        let headers = response.headers_mut();
        if let Some(seconds) = self.0.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(allowance) = self.0.allowance {
            allowance.tell(headers);
        }
        if let Some(methods) = self.0.allow {
            headers.insert(header::ALLOW, HeaderValue::from_static(methods));
        }
        if self.code() == Code::Unauthenticated {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Busy(_) => {
                Self::new(Code::StoreUnavailable, "the store is busy; nothing was written").retry_after(1)
            }
            StoreError::Unknown(_) => Self::new(
                Code::StoreUnavailable,
                "the store was lost in the middle of this; whether anything was written is not known",
            )
            .retry_after(1),
            StoreError::Full => Self::new(Code::StorageFull, "there is no room for new work"),
            StoreError::Damaged => Self::new(Code::InternalError, StoreError::Damaged.to_string()),
            StoreError::Failed(_) => Self::new(
                Code::StoreUnavailable,
                "the store failed; whether anything was written is not known",
            ),
        }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Conflict(rule) => Self::new(Code::Conflict, rule),
            Refusal::Invalid { target, message } => Self::at(target, message),
            // Only reports meet these, and their outcomes have codes of their own.
            lost @ (Refusal::LeaseLost | Refusal::Ended) => Self::new(Code::Conflict, lost.to_string()),
        }
    }
}

/// At most 64 characters of a name that a user sent, fit to stand in a message: control characters escaped.
pub fn shown(text: &str) -> String {
    const CHARS_SHOWN: usize = 64;
    let mut shown = String::with_capacity(text.len().min(CHARS_SHOWN));
    for (n, character) in text.chars().enumerate() {
        if n == CHARS_SHOWN {
            shown.push('…');
            break;
        }
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

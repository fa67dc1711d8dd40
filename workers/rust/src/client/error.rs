//! What can go wrong between a client and the server.

use std::time::Duration;

/// Why a call came to nothing.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// No answer came, or only a part of one. Whether the server acted on the request is unknown.
    #[error("the server cannot be reached: {message}")]
    Unreachable {
        /// The chain of causes.
        message: String,
    },
    /// The server's certificate is not to be trusted, so nothing was sent to it.
    #[error("the server is not trusted: {message}")]
    Untrusted {
        /// What is wrong with the certificate.
        message: String,
    },
    /// The server answered with an error.
    #[error("the server refused with {status} {code}: {message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The code of the error, for programs.
        code: String,
        /// The message of the error, for people.
        message: String,
        /// The field it is about.
        target: Option<String>,
        /// How long the server asks to wait before another try.
        retry_after: Option<Duration>,
    },
    /// The server answered with something that is not of the protocol.
    #[error("the server's answer is not of the protocol: {message}")]
    InvalidAnswer {
        /// What is wrong with it.
        message: String,
    },
    /// The time for the call was over. Whether the server acted on the request is unknown.
    #[error("the time for the call is over")]
    Deadline,
    /// The request cannot be made: a URL, token, key or value that has no form on the wire.
    #[error("{message}")]
    InvalidRequest {
        /// What is wrong with it.
        message: String,
    },
}

impl ClientError {
    /// Whether the same request may succeed later: nothing was heard, or the server was not able to.
    /// A 5xx to a write means *unknown*, so only a request that is safe to repeat may be repeated.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { status, .. } => matches!(status, 408 | 429 | 500..=599),
            _ => false,
        }
    }

    /// How long the server asks to wait before another try.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

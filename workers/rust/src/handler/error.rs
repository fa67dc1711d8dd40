//! How an attempt fails.

/// Codes that only the server gives; a report with one of them would be refused.
const RESERVED: [&str; 5] = ["canceled", "expired", "timeout", "leaseExpired", "invalidRequest"];
/// The code where a handler gives none of its own.
const UNNAMED: &str = "handlerError";

/// Why an attempt came to nothing, and whether another may help.
///
/// Any [`std::error::Error`] becomes a retryable one by `?`, with the chain of its causes as the message:
///
/// ```
/// # use longrun_sdk::handler::{Context, HandlerError};
/// async fn count(path: String, _: Context) -> Result<usize, HandlerError> {
///     let text = std::fs::read_to_string(path)?; // an I/O error: retryable
///     if text.is_empty() {
///         return Err(HandlerError::permanent("empty", "the file has no lines"));
///     }
///     Ok(text.lines().count())
/// }
/// ```
#[derive(Clone, Debug)]
pub struct HandlerError {
    pub(crate) kind: Kind,
    pub(crate) code: String,
    pub(crate) message: String,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Retryable { after_seconds: Option<f64> },
    Permanent,
    Released,
}

impl HandlerError {
    /// Another attempt may help; the operation's retry policy says when it comes.
    ///
    /// The code is for programs (`upstream`, `notReady`), the message for people. The codes `canceled`,
    /// `expired`, `timeout`, `leaseExpired` and `invalidRequest` belong to the server; one of them becomes
    /// `handlerError`, with the code in the message.
    pub fn retryable(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Kind::Retryable { after_seconds: None }, code.into(), message.into())
    }

    /// No other attempt would help: the operation is `Failed`. Codes as for [`retryable`](Self::retryable).
    pub fn permanent(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Kind::Permanent, code.into(), message.into())
    }

    /// Hands the operation back for another worker, with its latest checkpoint. The attempt is not
    /// counted. Meant for a worker that shuts down, see [`Context::draining`](super::Context::draining).
    pub fn released() -> Self {
        Self { kind: Kind::Released, code: String::new(), message: String::new() }
    }

    /// Sets the seconds before which no other attempt makes sense, rounded up to whole ones. A permanent
    /// error stays permanent.
    #[must_use]
    pub fn after(mut self, seconds: impl Into<f64>) -> Self {
        if let Kind::Retryable { after_seconds } = &mut self.kind {
            *after_seconds =
                Some(seconds.into().ceil()).filter(|seconds| seconds.is_finite() && *seconds >= 0.0);
        }
        self
    }

    /// The code, for programs; empty for [`released`](Self::released).
    pub fn code(&self) -> &str {
        &self.code
    }

    /// The message, for people; empty for [`released`](Self::released).
    pub fn message(&self) -> &str {
        &self.message
    }

    fn new(kind: Kind, code: String, message: String) -> Self {
        if code.is_empty() {
            return Self { kind, code: UNNAMED.to_owned(), message };
        }
        if RESERVED.contains(&code.as_str()) {
            return Self { kind, code: UNNAMED.to_owned(), message: format!("{code}: {message}") };
        }
        Self { kind, code, message }
    }
}

impl<E: std::error::Error> From<E> for HandlerError {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(inner) = cause {
            message = format!("{message}: {inner}");
            cause = inner.source();
        }
        Self::retryable(UNNAMED, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_another_library_is_retryable_and_tells_its_causes() {
        let error = HandlerError::from(std::io::Error::other("disk on fire"));
        assert_eq!(error.kind, Kind::Retryable { after_seconds: None });
        assert_eq!(error.message(), "disk on fire");
    }

    #[test]
    fn the_codes_of_the_server_are_not_a_handlers_to_give() {
        let error = HandlerError::permanent("canceled", "by me");
        assert_eq!((error.code(), error.message()), ("handlerError", "canceled: by me"));
    }

    #[test]
    fn only_a_retryable_error_has_a_time_to_wait() {
        let later = HandlerError::retryable("upstream", "busy").after(30);
        assert_eq!(later.kind, Kind::Retryable { after_seconds: Some(30.0) });
        assert_eq!(HandlerError::permanent("no", "never").after(30).kind, Kind::Permanent);
    }
}

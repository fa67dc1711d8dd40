//! What a client would rather have (RFC 7240): an answer at once, or one that waits.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::limits;

/// `prefer`.
pub const PREFER: HeaderName = HeaderName::from_static("prefer");
/// `preference-applied`.
pub const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// The two preferences that we honour; all others are ignored, as the standard asks.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Prefer {
    /// `respond-async`: 202 rather than 201.
    pub respond_async: bool,
    /// `wait=N`: hold the answer so many seconds, 60 at most.
    pub wait_seconds: Option<u32>,
}

impl Prefer {
    /// Reads all `Prefer` headers. Of a preference that stands there twice the first counts; one that is malformed
    /// is ignored.
    pub fn read(headers: &HeaderMap) -> Self {
        let mut prefer = Self::default();
        let mut waits = false;
        for value in headers.get_all(PREFER) {
            let Ok(text) = value.to_str() else { continue };
            for preference in split_unquoted(text, ',') {
                // What follows a semicolon are parameters of the preference; ours have none.
                let said = split_unquoted(preference, ';').next().unwrap_or_default();
                let (name, value) = said.split_once('=').map_or((said, ""), |(name, value)| (name, value));
                let (name, value) = (name.trim(), unquoted(value.trim()));
                if name.eq_ignore_ascii_case("respond-async") && value.is_empty() {
                    prefer.respond_async = true;
                } else if name.eq_ignore_ascii_case("wait") && !waits {
                    waits = true;
                    prefer.wait_seconds = seconds(value);
                }
            }
        }
        prefer
    }

    /// How long to wait, if at all.
    pub fn wait(self) -> Option<Duration> {
        self.wait_seconds
            .filter(|seconds| *seconds > 0)
            .map(|seconds| Duration::from_secs(u64::from(seconds)))
    }

    /// The value of `Preference-Applied` for these; none where nothing was preferred.
    pub fn applied(self) -> Option<HeaderValue> {
        let text = match (self.respond_async, self.wait_seconds) {
            (false, None) => return None,
            (true, None) => return Some(HeaderValue::from_static("respond-async")),
            (false, Some(seconds)) => format!("wait={seconds}"),
            (true, Some(seconds)) => format!("respond-async, wait={seconds}"),
        };
        HeaderValue::try_from(text).ok()
    }
}

fn seconds(text: &str) -> Option<u32> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // More digits than fit are a longer wait than any that is granted.
    Some(text.parse().unwrap_or(u32::MAX).min(limits::WAIT_SECONDS_MAX))
}

fn unquoted(text: &str) -> &str {
    text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text)
}

/// Splits at a separator, but not within a quoted string.
fn split_unquoted(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |character| {
        if escaped {
            escaped = false;
        } else if quoted && character == '\\' {
            escaped = true;
        } else if character == '"' {
            quoted = !quoted;
        }
        !quoted && character == separator
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str]) -> Prefer {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(PREFER, HeaderValue::from_str(value).unwrap());
        }
        Prefer::read(&headers)
    }

    #[test]
    fn the_two_preferences_are_found_in_every_spelling() {
        let (none, most) = (Prefer::default(), limits::WAIT_SECONDS_MAX);
        let respond = Prefer { respond_async: true, wait_seconds: None };
        let wait = |seconds| Prefer { respond_async: false, wait_seconds: Some(seconds) };
        let both = |seconds| Prefer { respond_async: true, wait_seconds: Some(seconds) };
        for (values, expected) in [
            (&[][..], none),
            (&["respond-async"], respond),
            (&["Respond-Async"], respond),
            (&["respond-async=\"\""], respond),
            (&["respond-async; x=1"], respond),
            (&["wait=10"], wait(10)),
            (&["Wait = 10"], wait(10)),
            (&["wait=\"10\""], wait(10)),
            (&["wait=0"], wait(0)),
            (&[&*format!("wait={}", most - 1)], wait(most - 1)),
            (&[&*format!("wait={most}")], wait(most)),
            (&[&*format!("wait={}", most + 1)], wait(most)),
            (&["wait=99999999999999999999"], wait(60)),
            (&["respond-async, wait=10"], both(10)),
            (&["respond-async", "wait=10"], both(10)),
            (&["return=minimal, , wait=7;a=b,respond-async"], both(7)),
            (&["odata.continue-on-error, x=\"a, wait=3; \\\" wait=4\", wait=5"], wait(5)),
            (&["wait=3, wait=4"], wait(3)),
            (&["wait=x, wait=4"], none),
            (&["wait=-1"], none),
            (&["wait=1.5"], none),
            (&["wait"], none),
            (&["wait="], none),
            (&["waiting=3, respond-asynchronously"], none),
            (&["x=\"unclosed, wait=3"], none),
        ] {
            assert_eq!(read(values), expected, "{values:?}");
        }
    }

    #[test]
    fn what_was_applied_is_said() {
        assert_eq!(read(&[]).applied(), None);
        assert_eq!(read(&["respond-async"]).applied().unwrap(), "respond-async");
        assert_eq!(read(&["wait=70"]).applied().unwrap(), "wait=60");
        assert_eq!(read(&["wait=5", "respond-async"]).applied().unwrap(), "respond-async, wait=5");
        assert_eq!(read(&["wait=0"]).wait(), None);
        assert_eq!(read(&["wait=5"]).wait(), Some(Duration::from_secs(5)));
    }
}

//! Entity tags (RFC 9110, 8.8.3): `"<seq>-<version>"`. The number within the store, and not the id, stands in it, so that
//! an operation made again under an id of old never matches an old tag.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use smallvec::SmallVec;

use crate::operation::{Operation, Seq};

/// The tag of one version of one operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ETag {
    /// The operation's number in the store.
    pub seq: Seq,
    /// Its version.
    pub version: i64,
}

impl ETag {
    /// The tag of an operation as it is.
    pub fn of(operation: &Operation) -> Self {
        Self { seq: operation.seq, version: operation.version }
    }

    /// As a header's value.
    pub fn header(self) -> HeaderValue {
        // Digits, a hyphen and quotation marks are fit for a header.
        HeaderValue::try_from(self.to_string()).unwrap_or(HeaderValue::from_static("\"\""))
    }

    /// Reads what stands between the quotation marks; only our own spelling is read.
    fn parse(opaque: &str) -> Option<Self> {
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let plain = text == "0" || !text.starts_with('0');
            (digits && plain).then(|| text.parse().ok()).flatten()
        };
        let (seq, version) = opaque.split_once('-')?;
        Some(Self { seq: Seq(number(seq)?), version: number(version)? })
    }
}

impl fmt::Display for ETag {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "\"{}-{}\"", self.seq.0, self.version)
    }
}

/// How two tags are compared: RFC 9110, 8.8.3.2.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Strong,
    Weak,
}

/// What `If-Match` or `If-None-Match` names. A tag that is not ours matches nothing, and so does a malformed header.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Tags {
    /// `*`: whatever is there.
    Any,
    /// These.
    List(SmallVec<[ETag; 1]>),
}

impl Tags {
    /// Reads `If-None-Match`, with weak comparison; none where the request has no such header.
    pub fn if_none_match(headers: &HeaderMap) -> Option<Self> {
        Self::read(headers, &header::IF_NONE_MATCH, Comparison::Weak)
    }

    /// Reads `If-Match`, with strong comparison; none where the request has no such header.
    pub fn if_match(headers: &HeaderMap) -> Option<Self> {
        Self::read(headers, &header::IF_MATCH, Comparison::Strong)
    }

    /// Whether what is there now is among them.
    pub fn match_tag(&self, current: ETag) -> bool {
        match self {
            Self::Any => true,
            Self::List(tags) => tags.contains(&current),
        }
    }

    fn read(headers: &HeaderMap, name: &HeaderName, comparison: Comparison) -> Option<Self> {
        if !headers.contains_key(name) {
            return None;
        }
        let mut tags = SmallVec::new();
        for value in headers.get_all(name) {
            // An opaque tag may hold bytes that are no text; one of ours never does.
            let Ok(text) = value.to_str() else { continue };
            if text.trim() == "*" {
                return Some(Self::Any);
            }
            read_list(text, comparison, &mut tags);
        }
        Some(Self::List(tags))
    }
}

/// Reads a list of tags up to its first malformed element.
fn read_list(text: &str, comparison: Comparison, tags: &mut SmallVec<[ETag; 1]>) {
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let weak = rest.strip_prefix("W/");
        let Some(opened) = weak.unwrap_or(rest).strip_prefix('"') else { return };
        let Some((opaque, after)) = opened.split_once('"') else { return };
        if weak.is_none() || comparison == Comparison::Weak {
            tags.extend(ETag::parse(opaque));
        }
        rest = after.trim_start_matches([' ', '\t']);
        if !rest.starts_with(',') {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CURRENT: ETag = ETag { seq: Seq(12), version: 3 };

    fn headers(name: &HeaderName, values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn a_tag_is_written_and_read_again() {
        assert_eq!(CURRENT.header(), "\"12-3\"");
        assert_eq!(ETag::parse("12-3"), Some(CURRENT));
        for other in [
            "",
            "-",
            "12",
            "12-",
            "-3",
            "+12-3",
            "012-3",
            "12-03",
            "12-3-4",
            "12-3 ",
            "99999999999999999999-1",
        ] {
            assert_eq!(ETag::parse(other), None, "{other}");
        }
    }

    #[test]
    fn conditions_match_by_the_comparison_that_each_header_has() {
        for (values, weak, strong) in [
            (&["\"12-3\""][..], true, true),
            (&["W/\"12-3\""], true, false),
            (&["\"12-4\""], false, false),
            (&["\"1-1\", \"12-3\""], true, true),
            (&["\"1-1\" ,, W/\"12-3\""], true, false),
            (&["\"1-1\"", "\"12-3\""], true, true),
            (&["\"a, b\",\"12-3\""], true, true),
            (&["*"], true, true),
            (&[" * "], true, true),
            (&["12-3"], false, false),
            (&["\"12-3"], false, false),
            (&["w/\"12-3\""], false, false),
            (&["\"1-1\" \"12-3\""], false, false),
            (&[""], false, false),
        ] {
            let none_match = Tags::if_none_match(&headers(&header::IF_NONE_MATCH, values)).unwrap();
            assert_eq!(none_match.match_tag(CURRENT), weak, "If-None-Match {values:?}");
            let matches = Tags::if_match(&headers(&header::IF_MATCH, values)).unwrap();
            assert_eq!(matches.match_tag(CURRENT), strong, "If-Match {values:?}");
        }
        assert_eq!(Tags::if_match(&HeaderMap::new()), None);
        assert_eq!(Tags::if_none_match(&headers(&header::IF_MATCH, &["*"])), None);
    }
}

//! What the scan refuses, and where.

use std::fmt;

use super::scan::Checked;
use crate::http::error::{ApiError, shown};
use crate::limits;

/// What is wrong with a text that should be JSON.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FlawKind {
    /// Its bytes are not UTF-8.
    NotUtf8,
    /// It ends in the middle.
    Truncated,
    /// The grammar asks for something else.
    Expected(&'static str),
    /// More arrays and objects in each other than a person writes.
    TooDeep,
    /// Parsers disagree on which of the two counts.
    TwiceTheKey,
    /// Half of a character, which no text can hold.
    LoneSurrogate,
}

/// One flaw: what, at which byte (counted from 0), and within which field of the outermost object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Flaw {
    /// The byte.
    pub at: usize,
    /// What is wrong.
    pub kind: FlawKind,
    /// The outermost field, as written.
    pub field: Option<String>,
}

impl fmt::Display for Flaw {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at;
        match self.kind {
            FlawKind::NotUtf8 => write!(out, "the body is not UTF-8 at byte {at}"),
            FlawKind::Truncated => write!(out, "the JSON ends too early, at byte {at}"),
            FlawKind::Expected(what) => write!(out, "the JSON is malformed at byte {at}: expected {what}"),
            FlawKind::TooDeep => {
                let most = limits::JSON_DEPTH_MAX;
                write!(out, "the JSON is nested more than {most} deep at byte {at}")
            }
            FlawKind::TwiceTheKey => write!(out, "the key at byte {at} stands twice in its object"),
            FlawKind::LoneSurrogate => {
                write!(out, "the escape at byte {at} is half of a character, a surrogate without the other")
            }
        }
    }
}

impl From<Flaw> for ApiError {
    fn from(flaw: Flaw) -> Self {
        let error = Self::invalid(flaw.to_string());
        match &flaw.field {
            Some(field) => error.target(shown(field)),
            None => error,
        }
    }
}

/// The flaws that were noted inside parts that stand for themselves.
#[derive(Debug)]
pub struct Flaws {
    /// The address of the document's first byte, which the flaws count from.
    start: usize,
    noted: Vec<Flaw>,
}

impl Flaws {
    pub(super) fn new(body: &[u8], noted: Vec<Flaw>) -> Self {
        Self { start: body.as_ptr().addr(), noted }
    }

    /// The first flaw within a part of the same document.
    pub(super) fn within(&self, part: Checked<'_>) -> Option<&Flaw> {
        let first = part.text().as_ptr().addr().checked_sub(self.start)?;
        let after = self.noted.partition_point(|flaw| flaw.at < first);
        self.noted.get(after).filter(|flaw| flaw.at < first + part.text().len())
    }
}

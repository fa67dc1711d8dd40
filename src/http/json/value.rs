//! One value of a request, read as exactly one type.

use std::borrow::Cow;
use std::fmt::Display;
use std::ops::RangeInclusive;

use serde_json::value::RawValue;

use super::fields::Fields;
use super::flaw::Flaws;
use super::path::Path;
use super::scan::Checked;
use super::text::unescape;
use super::walk::Walker;
use crate::http::error::{ApiError, shown};
use crate::limits;
use crate::operation::{Json, Name, OperationId, Timestamp, WorkerId};

/// A value of a request and the place where it stands.
#[derive(Clone, Copy, Debug)]
pub struct Value<'a> {
    pub(super) checked: Checked<'a>,
    pub(super) path: Path<'a>,
}

impl<'a> Value<'a> {
    /// The value as written.
    pub fn raw(self) -> &'a str {
        self.checked.text()
    }

    /// Whether it is `null`.
    pub fn is_null(self) -> bool {
        self.raw() == "null"
    }

    /// The error that this value is not what it should be; `target` is its place.
    pub fn refuse(self, what: impl Display) -> ApiError {
        self.path.refuse(what)
    }

    /// What the scan noted inside this value, if it was read as one of the parts that stand for themselves.
    pub fn check(self, flaws: &Flaws) -> Result<(), ApiError> {
        flaws.within(self.checked).map_or(Ok(()), |flaw| Err(self.refuse(flaw)))
    }

    /// A string of whatever content; U+0000, which no text of ours may hold, is refused.
    pub fn string(self) -> Result<Cow<'a, str>, ApiError> {
        let inside = self.raw().strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let text = unescape(inside.ok_or_else(|| self.refuse("must be a string"))?);
        if text.contains('\0') {
            return Err(self.refuse("must not contain U+0000"));
        }
        Ok(text)
    }

    /// A string of at most so many characters.
    pub fn text(self, chars_max: usize) -> Result<Cow<'a, str>, ApiError> {
        let text = self.string()?;
        if text.len() > chars_max && text.chars().count() > chars_max {
            return Err(self.refuse(format_args!("must be at most {chars_max} characters")));
        }
        Ok(text)
    }

    /// A name of the wire.
    pub fn name(self) -> Result<Name, ApiError> {
        let text = self.string()?;
        Name::parse(&text).map_err(|error| self.refuse(format_args!("'{}' {error}", shown(&text))))
    }

    /// What a worker calls itself or its claim.
    pub fn tag(self) -> Result<WorkerId, ApiError> {
        WorkerId::parse(&self.string()?).map_err(|error| self.refuse(error))
    }

    /// An operation's identifier.
    pub fn id(self) -> Result<OperationId, ApiError> {
        let text = self.string()?;
        OperationId::parse(&text).map_err(|error| self.refuse(format_args!("'{}' is {error}", shown(&text))))
    }

    /// An instant.
    pub fn timestamp(self) -> Result<Timestamp, ApiError> {
        let text = self.string()?;
        Timestamp::parse(&text).map_err(|error| self.refuse(format_args!("'{}' is {error}", shown(&text))))
    }

    /// One of a few words, spelled exactly; `words` lists them for the error.
    pub fn word<T>(self, parse: impl FnOnce(&str) -> Option<T>, words: &str) -> Result<T, ApiError> {
        let text = self.string()?;
        parse(&text).ok_or_else(|| self.refuse(format_args!("'{}' is not one of {words}", shown(&text))))
    }

    /// A whole number within bounds, written without fraction and exponent.
    pub fn integer<T>(self, within: RangeInclusive<T>) -> Result<T, ApiError>
    where
        T: Copy + Into<i64> + TryFrom<i64>,
    {
        let (least, most): (i64, i64) = ((*within.start()).into(), (*within.end()).into());
        let number = self.raw().parse().ok().filter(|number| (least..=most).contains(number));
        number
            .and_then(|number| T::try_from(number).ok())
            .ok_or_else(|| self.refuse(format_args!("must be a whole number from {least} to {most}")))
    }

    /// A number within bounds.
    pub fn number(self, within: RangeInclusive<f64>) -> Result<f64, ApiError> {
        let (least, most) = (*within.start(), *within.end());
        let is_number = matches!(self.raw().as_bytes().first(), Some(b'-' | b'0'..=b'9'));
        let number = self.raw().parse().ok().filter(|number| is_number && within.contains(number));
        number.ok_or_else(|| self.refuse(format_args!("must be a number from {least} to {most}")))
    }

    /// `true` or `false`.
    pub fn boolean(self) -> Result<bool, ApiError> {
        match self.raw() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(self.refuse("must be true or false")),
        }
    }

    /// An absolute URL, kept as written.
    pub fn url(self) -> Result<Cow<'a, str>, ApiError> {
        let text = self.string()?;
        if text.len() > limits::URL_BYTES_MAX {
            return Err(self.refuse(format_args!("must be at most {} bytes", limits::URL_BYTES_MAX)));
        }
        if is_absolute_url(&text) { Ok(text) } else { Err(self.refuse("must be an absolute URL")) }
    }

    /// Whatever JSON, `null` too, of at most so many bytes as written; kept as written.
    pub fn json(self, bytes_max: usize) -> Result<Json, ApiError> {
        let raw = self.raw();
        if raw.len() > bytes_max {
            return Err(
                self.refuse(format_args!("is {} bytes of JSON; at most {bytes_max} are kept", raw.len()))
            );
        }
        // The scan accepted it, so this is the way to a `RawValue` rather than a check.
        let value: &RawValue = serde_json::from_str(raw).map_err(|_| self.refuse("must be JSON"))?;
        Ok(Json::from(value.to_owned()))
    }

    /// An object, to be read field by field.
    pub fn object(self) -> Result<Fields<'a>, ApiError> {
        Fields::of(self)
    }

    /// The elements of an array.
    pub fn items(self, most: usize) -> Result<Vec<Value<'a>>, ApiError> {
        if !self.raw().starts_with('[') {
            return Err(self.refuse("must be an array"));
        }
        let mut walker = Walker::new(self.checked);
        let mut items = Vec::new();
        let mut more = walker.enter();
        while more {
            if items.len() == most {
                return Err(self.refuse(format_args!("must have at most {most} elements")));
            }
            items.push(Value { checked: walker.value(), path: self.path.item(items.len()) });
            more = walker.another();
        }
        Ok(items)
    }

    /// A list of one to so many names.
    pub fn names(self, most: usize) -> Result<Vec<Name>, ApiError> {
        let items = self.items(most)?;
        if items.is_empty() {
            return Err(self.refuse("must not be empty; leave it out instead"));
        }
        items.into_iter().map(Value::name).collect()
    }
}

/// `scheme://rest` of printable ASCII (RFC 3986). Schemes that a browser runs as a program are no places.
fn is_absolute_url(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let scheme_is_one = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let runs = ["javascript", "vbscript", "data"].iter().any(|word| scheme.eq_ignore_ascii_case(word));
    let printable = |byte: u8| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte);
    scheme_is_one && !runs && !rest.is_empty() && rest.bytes().all(printable)
}

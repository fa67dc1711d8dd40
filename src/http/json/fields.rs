//! A request object, read field by field. What nobody asked for by the end is refused by name.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use smallvec::SmallVec;

use super::canonical;
use super::flaw::Flaws;
use super::path::Path;
use super::scan::{Checked, scan, scan_parts};
use super::text::unescape;
use super::value::Value;
use super::walk::Walker;
use crate::http::error::{ApiError, shown};
use crate::operation::{Json, Name, OperationId, Timestamp, WorkerId};

/// The fields of one object of a request.
///
/// Each reader takes its field away and answers `None` where it is absent; `null` is no value of any field but those
/// read by [`Fields::json`] and [`Fields::clearable`]. [`Fields::finish`] refuses what is left.
#[derive(Debug)]
pub struct Fields<'a> {
    whole: Value<'a>,
    left: SmallVec<[Member<'a>; 16]>,
}

#[derive(Debug)]
struct Member<'a> {
    key: Cow<'a, str>,
    /// The key as written.
    written: &'a str,
    value: Checked<'a>,
}

impl<'a> Fields<'a> {
    /// Scans a body and reads the object that it must be.
    pub fn read(body: &'a [u8]) -> Result<Self, ApiError> {
        Self::of(Value { checked: scan(body)?, path: Path::ROOT })
    }

    /// The same for an object of which one field is an array of parts that stand for themselves: each part has to be
    /// asked by [`Value::check`] whether the scan noted anything in it.
    pub fn read_parts(body: &'a [u8], parts: &str) -> Result<(Self, Flaws), ApiError> {
        let (checked, noted) = scan_parts(body, Some(parts))?;
        Ok((Self::of(Value { checked, path: Path::ROOT })?, Flaws::new(body, noted)))
    }

    pub(super) fn of(whole: Value<'a>) -> Result<Self, ApiError> {
        if !whole.raw().starts_with('{') {
            let what =
                if whole.path.is_root() { "the body must be a JSON object" } else { "must be an object" };
            return Err(whole.refuse(what));
        }
        let mut walker = Walker::new(whole.checked);
        let mut left = SmallVec::new();
        let mut more = walker.enter();
        while more {
            let written = walker.key();
            left.push(Member { key: unescape(written), written, value: walker.value() });
            more = walker.another();
        }
        Ok(Self { whole, left })
    }

    /// SHA-256 of the object in its canonical form: by it the same body is recognised.
    pub fn fingerprint(&self) -> [u8; 32] {
        canonical::fingerprint(self.whole.checked)
    }

    /// Whether a field is there and not yet taken.
    pub fn has(&self, name: &str) -> bool {
        self.left.iter().any(|member| member.key == name)
    }

    /// Takes a field, whatever it holds.
    pub fn take_any(&mut self, name: &'a str) -> Option<Value<'a>> {
        let at = self.left.iter().position(|member| member.key == name)?;
        let member = self.left.swap_remove(at);
        Some(Value { checked: member.value, path: self.whole.path.field(name) })
    }

    /// Takes a field; `null` is refused.
    pub fn take(&mut self, name: &'a str) -> Result<Option<Value<'a>>, ApiError> {
        match self.take_any(name) {
            Some(value) if value.is_null() => Err(value.refuse("must not be null; leave it out instead")),
            taken => Ok(taken),
        }
    }

    /// Takes a field and reads it.
    pub fn get<T>(
        &mut self,
        name: &'a str,
        read: impl FnOnce(Value<'a>) -> Result<T, ApiError>,
    ) -> Result<Option<T>, ApiError> {
        self.take(name)?.map(read).transpose()
    }

    /// Takes a field that `null` clears: absent, cleared, or read.
    pub fn clearable<T>(
        &mut self,
        name: &'a str,
        read: impl FnOnce(Value<'a>) -> Result<T, ApiError>,
    ) -> Result<Option<Option<T>>, ApiError> {
        match self.take_any(name) {
            None => Ok(None),
            Some(value) if value.is_null() => Ok(Some(None)),
            Some(value) => read(value).map(|read| Some(Some(read))),
        }
    }

    /// A text of at most so many characters.
    pub fn text(&mut self, name: &'a str, chars_max: usize) -> Result<Option<Cow<'a, str>>, ApiError> {
        self.get(name, |value| value.text(chars_max))
    }

    /// A name of the wire.
    pub fn name(&mut self, name: &'a str) -> Result<Option<Name>, ApiError> {
        self.get(name, Value::name)
    }

    /// A list of one to so many names.
    pub fn names(&mut self, name: &'a str, most: usize) -> Result<Option<Vec<Name>>, ApiError> {
        self.get(name, |value| value.names(most))
    }

    /// What a worker calls itself or its claim.
    pub fn tag(&mut self, name: &'a str) -> Result<Option<WorkerId>, ApiError> {
        self.get(name, Value::tag)
    }

    /// An operation's identifier.
    pub fn id(&mut self, name: &'a str) -> Result<Option<OperationId>, ApiError> {
        self.get(name, Value::id)
    }

    /// An instant.
    pub fn timestamp(&mut self, name: &'a str) -> Result<Option<Timestamp>, ApiError> {
        self.get(name, Value::timestamp)
    }

    /// One of a few words, spelled exactly; `words` lists them for the error.
    pub fn word<T>(
        &mut self,
        name: &'a str,
        parse: impl FnOnce(&str) -> Option<T>,
        words: &str,
    ) -> Result<Option<T>, ApiError> {
        self.get(name, |value| value.word(parse, words))
    }

    /// A field that, where it is there, can say one thing only.
    pub fn constant(&mut self, name: &'a str, only: &str) -> Result<(), ApiError> {
        let same = |text: &str| (text == only).then_some(());
        let refusal = |value: Value<'a>| value.string().map(|text| (value, text));
        match self.get(name, refusal)? {
            Some((value, text)) if same(&text).is_none() => {
                Err(value.refuse(format_args!("'{}' is not '{only}'", shown(&text))))
            }
            _ => Ok(()),
        }
    }

    /// A whole number within bounds.
    pub fn integer<T>(&mut self, name: &'a str, within: RangeInclusive<T>) -> Result<Option<T>, ApiError>
    where
        T: Copy + Into<i64> + TryFrom<i64>,
    {
        self.get(name, |value| value.integer(within))
    }

    /// A number within bounds.
    pub fn number(&mut self, name: &'a str, within: RangeInclusive<f64>) -> Result<Option<f64>, ApiError> {
        self.get(name, |value| value.number(within))
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, name: &'a str) -> Result<Option<bool>, ApiError> {
        self.get(name, Value::boolean)
    }

    /// An absolute URL.
    pub fn url(&mut self, name: &'a str) -> Result<Option<Cow<'a, str>>, ApiError> {
        self.get(name, Value::url)
    }

    /// Whatever JSON, `null` too, of at most so many bytes.
    pub fn json(&mut self, name: &'a str, bytes_max: usize) -> Result<Option<Json>, ApiError> {
        self.take_any(name).map(|value| value.json(bytes_max)).transpose()
    }

    /// An object within this one.
    pub fn object(&mut self, name: &'a str) -> Result<Option<Fields<'a>>, ApiError> {
        self.get(name, Value::object)
    }

    /// The elements of an array.
    pub fn items(&mut self, name: &'a str, most: usize) -> Result<Option<Vec<Value<'a>>>, ApiError> {
        self.get(name, |value| value.items(most))
    }

    /// Every field that is left, for an object whose keys are the sender's own.
    pub fn entries(self) -> impl Iterator<Item = (Cow<'a, str>, Value<'a>)> {
        let path = self.whole.path;
        self.left.into_iter().map(move |Member { key, written, value }| {
            (key, Value { checked: value, path: path.field(written) })
        })
    }

    /// The error that a field which must be there is not.
    pub fn missing(&self, name: &str) -> ApiError {
        self.place(name).refuse("is missing")
    }

    /// The error that a field, taken already, does not go with the others.
    pub fn refuse(&self, name: &str, what: impl std::fmt::Display) -> ApiError {
        self.place(name).refuse(what)
    }

    fn place<'b>(&self, name: &'b str) -> Path<'b>
    where
        'a: 'b,
    {
        self.whole.path.field(name)
    }

    /// Refuses what nobody asked for, annotations of the family (`@odata.…`, `odata.…`, `field@odata.…`) aside.
    pub fn finish(self) -> Result<(), ApiError> {
        let is_annotation = |key: &str| key.starts_with("odata.") || key.contains("@odata.");
        match self.left.iter().find(|member| !is_annotation(&member.key)) {
            None => Ok(()),
            Some(member) => Err(self
                .whole
                .path
                .field(member.written)
                .refuse("is not a field that is known here or that the sender may set")),
        }
    }
}

//! The columns of a row, and the values for one: one after the other, by position, without a name to look up.

use std::borrow::Cow;

use super::{Damaged, Result, codes, text};
use crate::operation::{Hold, Payload, Status, Timestamp};

/// The columns of a row, in their order. Each call is for the next one.
pub(in crate::store) trait Columns<'r> {
    /// A number, or null.
    fn int(&mut self) -> Result<Option<i64>>;
    /// A text, or null.
    fn text(&mut self) -> Result<Option<&'r str>>;
    /// Bytes, or null.
    fn blob(&mut self) -> Result<Option<&'r [u8]>>;
}

/// Reads the columns of a row one after the other.
pub(in crate::store) struct Fields<C>(C);

impl<'r, C: Columns<'r>> Fields<C> {
    pub(in crate::store) fn new(columns: C) -> Self {
        Self(columns)
    }

    pub(in crate::store) fn maybe_int(&mut self) -> Result<Option<i64>> {
        self.0.int()
    }

    pub(in crate::store) fn int(&mut self) -> Result<i64> {
        self.0.int()?.ok_or(Damaged("a number is missing"))
    }

    pub(in crate::store) fn flag(&mut self) -> Result<bool> {
        Ok(self.0.int()?.unwrap_or(0) != 0)
    }

    pub(in crate::store) fn maybe_text(&mut self) -> Result<Option<&'r str>> {
        self.0.text()
    }

    pub(in crate::store) fn text(&mut self) -> Result<&'r str> {
        self.0.text()?.ok_or(Damaged("a text is missing"))
    }

    pub(in crate::store) fn maybe_blob(&mut self) -> Result<Option<&'r [u8]>> {
        self.0.blob()
    }

    pub(in crate::store) fn blob(&mut self) -> Result<&'r [u8]> {
        self.0.blob()?.ok_or(Damaged("bytes are missing"))
    }

    pub(in crate::store) fn time(&mut self) -> Result<Timestamp> {
        Ok(Timestamp::from_ticks(self.int()?))
    }

    pub(in crate::store) fn maybe_time(&mut self) -> Result<Option<Timestamp>> {
        Ok(self.maybe_int()?.map(Timestamp::from_ticks))
    }

    /// A number that fits what it is kept in.
    pub(in crate::store) fn small<T: TryFrom<i64>>(&mut self) -> Result<T> {
        narrow(self.int()?)
    }

    pub(in crate::store) fn maybe_small<T: TryFrom<i64>>(&mut self) -> Result<Option<T>> {
        self.maybe_int()?.map(narrow).transpose()
    }

    pub(in crate::store) fn status(&mut self) -> Result<Status> {
        codes::status_of(self.int()?).ok_or(Damaged("a status has no word"))
    }

    pub(in crate::store) fn hold(&mut self) -> Result<Option<Hold>> {
        codes::hold_of(self.int()?)
    }

    /// Its text, or where it is kept apart its length.
    pub(in crate::store) fn payload(&mut self) -> Result<Option<Payload>> {
        let inline = self.maybe_blob()?.map(text::json).transpose()?.map(Payload::Inline);
        let stored = self.maybe_small()?.map(|bytes| Payload::Stored { bytes });
        Ok(inline.or(stored))
    }
}

/// A number in what it is kept in.
pub(in crate::store) fn narrow<T: TryFrom<i64>>(value: i64) -> Result<T> {
    T::try_from(value).map_err(|_| Damaged("a number is out of its range"))
}

/// Takes the values of a row in the order of its columns. What may go wrong shows when the row is written.
pub(in crate::store) trait Bind<'v> {
    /// A number, or null.
    fn int(&mut self, value: Option<i64>);
    /// A text, or null.
    fn text(&mut self, value: Option<Cow<'v, str>>);
    /// Bytes, or null.
    fn blob(&mut self, value: Option<&'v [u8]>);

    /// A number.
    fn put(&mut self, value: impl Into<i64>)
    where
        Self: Sized,
    {
        self.int(Some(value.into()));
    }

    /// A text that is there as long as the row is.
    fn put_text(&mut self, value: &'v str)
    where
        Self: Sized,
    {
        self.text(Some(Cow::Borrowed(value)));
    }

    /// A moment, or null.
    fn time(&mut self, value: Option<Timestamp>) {
        self.int(value.map(Timestamp::ticks));
    }
}

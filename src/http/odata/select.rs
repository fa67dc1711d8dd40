//! `$select`: which properties of each operation a list shows.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::http::view::{OperationView, SELECTABLE};

/// Shown whatever is selected: what a thing is and how to ask for it.
const ALWAYS: [&str; 2] = ["@odata.type", "id"];

/// What a list shows of each operation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Select(Option<Vec<&'static str>>);

impl Select {
    /// Reads names with commas between them; fails with the first that is none.
    pub fn parse(text: &str) -> Result<Self, &str> {
        let known = |name| SELECTABLE.into_iter().find(|known| *known == name).ok_or(name);
        text.split(',').map(str::trim).map(known).collect::<Result<_, _>>().map(|names| Self(Some(names)))
    }

    /// Whether a property is named.
    pub fn names(&self, property: &str) -> bool {
        self.0.as_ref().is_some_and(|names| names.contains(&property))
    }
}

/// An operation with what is selected of it.
#[derive(Debug)]
pub struct Selected<'a> {
    /// The operation.
    pub view: OperationView<'a>,
    /// What of it.
    pub select: &'a Select,
}

impl Serialize for Selected<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some(names) = &self.select.0 else { return self.view.serialize(serializer) };
        let failed = |error: serde_json::Error| serde::ser::Error::custom(error);
        let whole = serde_json::to_vec(&self.view).map_err(failed)?;
        // Each value as the bytes it was written in, users' own JSON included.
        let mut fields: BTreeMap<&str, &RawValue> = serde_json::from_slice(&whole).map_err(failed)?;
        fields.retain(|name, _| ALWAYS.contains(name) || names.contains(name));
        fields.serialize(serializer)
    }
}

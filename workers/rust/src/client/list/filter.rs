//! The condition of a list, put together without quoting by hand.

use std::fmt;

use crate::wire::Status;

/// Which operations a list has: a `$filter` of the wire.
///
/// ```
/// use longrun_sdk::{client::Filter, wire::Status};
///
/// let filter = Filter::status(Status::Failed).and(Filter::queue("media").or(Filter::label("of", "O'Hara")));
/// let text = "(status eq 'Failed') and ((queue eq 'media') or (labels/of eq 'O''Hara'))";
/// assert_eq!(filter.to_string(), text);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter(String);

impl Filter {
    /// A filter as it is written on the wire, such as `priority gt 0 and startswith(queue,'media')`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Those that stand there.
    pub fn status(status: Status) -> Self {
        Self::equal("status", status.as_str())
    }

    /// Those of this queue.
    pub fn queue(name: &str) -> Self {
        Self::equal("queue", name)
    }

    /// Those of this type.
    pub fn operation_type(name: &str) -> Self {
        Self::equal("operationType", name)
    }

    /// Those with this label.
    pub fn label(name: &str, value: &str) -> Self {
        Self::equal(&format!("labels/{name}"), value)
    }

    fn equal(property: &str, text: &str) -> Self {
        Self(format!("{property} eq '{}'", text.replace('\'', "''")))
    }

    /// Those that both let through.
    #[must_use]
    #[allow(clippy::needless_pass_by_value)] // A chain of calls reads better without borrows.
    pub fn and(self, other: Self) -> Self {
        Self(format!("({self}) and ({other})"))
    }

    /// Those that one of them lets through.
    #[must_use]
    #[allow(clippy::needless_pass_by_value)] // A chain of calls reads better without borrows.
    pub fn or(self, other: Self) -> Self {
        Self(format!("({self}) or ({other})"))
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

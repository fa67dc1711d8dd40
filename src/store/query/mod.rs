//! What a list asks a store for, and what it gets: the same for every store.
//!
//! [`filter`] is the condition as a tree. A store may narrow by it what it looks at; whether an operation belongs into
//! the list, [`Filter::holds`] says.

pub mod filter;
pub(in crate::store) mod plan;
#[cfg(test)]
mod tests;

use crate::limits;
use crate::operation::{Labels, Operation, Payload, Seq, TenantId, Timestamp};
pub use filter::{Filter, Known, Relation, Rest, Test, TextField, TimeField};

/// By `createdDateTime`, then by number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Order {
    /// Descending.
    #[default]
    NewestFirst,
    /// Ascending.
    OldestFirst,
}

/// The place of an operation in a list. It never changes, so pages hold still while operations come and go.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Position {
    /// Its `createdDateTime`.
    pub created: Timestamp,
    /// Its number.
    pub seq: Seq,
}

impl Position {
    /// That of an operation.
    pub fn of(operation: &Operation) -> Self {
        Self { created: operation.spec.created, seq: operation.seq }
    }
}

impl Order {
    /// Whether the one comes before the other.
    pub fn is_before(self, one: Position, other: Position) -> bool {
        match self {
            Self::NewestFirst => one > other,
            Self::OldestFirst => one < other,
        }
    }

    /// Puts positions in order.
    pub fn sort(self, positions: &mut [Position]) {
        match self {
            Self::NewestFirst => positions.sort_unstable_by(|one, other| other.cmp(one)),
            Self::OldestFirst => positions.sort_unstable(),
        }
    }
}

/// One page of a list.
#[derive(Clone, Debug)]
pub struct Query {
    /// Whose operations.
    pub tenant: TenantId,
    /// Which of them; none: all.
    pub filter: Option<Filter>,
    /// In which order.
    pub order: Order,
    /// Those that come after this place.
    pub after: Option<Position>,
    /// At most so many; 0: none is read, only counted.
    pub limit: usize,
    /// With inputs and results at hand.
    pub payloads: bool,
    /// Whether to tell how many there are on all pages together.
    pub count: bool,
}

/// What came of a [`Query`].
#[derive(Clone, Debug)]
pub enum Listing {
    /// These.
    Found(Page),
    /// No index narrows the filter, and nothing was found in the time that a scan may take.
    TooBroad,
}

/// A page of operations.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// In the order asked for. Fewer than the limit when they are large, or rare and far apart.
    pub operations: Vec<Operation>,
    /// What the next page comes after; none: this is the last.
    pub next: Option<Position>,
    /// How many there are on all pages, where that was asked for.
    pub count: Option<u64>,
}

/// A page while it is filled: full at its limit, or once it is large.
#[derive(Debug)]
pub(in crate::store) struct Filling {
    limit: usize,
    bytes: usize,
    pub(in crate::store) operations: Vec<Operation>,
}

impl Filling {
    pub(in crate::store) fn new(limit: usize) -> Self {
        Self { limit, bytes: 0, operations: Vec::new() }
    }

    pub(in crate::store) fn is_full(&self) -> bool {
        self.operations.len() >= self.limit || self.bytes >= limits::LIST_BYTES_MAX
    }

    /// For how many more there is room, as far as that is known; none: it is full.
    pub(in crate::store) fn room(&self) -> Option<usize> {
        (!self.is_full()).then(|| self.limit - self.operations.len())
    }

    pub(in crate::store) fn add(&mut self, operation: Operation) {
        self.bytes += bytes(&operation);
        self.operations.push(operation);
    }

    /// The place of the last one.
    pub(in crate::store) fn last(&self) -> Option<Position> {
        self.operations.last().map(Position::of)
    }
}

/// Bytes of what in an operation can be large.
fn bytes(operation: &Operation) -> usize {
    let payload =
        |payload: Option<&Payload>| payload.and_then(Payload::inline).map_or(0, |json| json.get().len());
    let failure = operation.failure().map_or(0, |failure| {
        failure.full.as_ref().map_or(failure.code.len() + failure.message.len(), |full| full.len())
    });
    let labels = operation.spec.labels.iter().flat_map(Labels::iter);
    let labels: usize = labels.map(|(name, value)| name.as_str().len() + value.len()).sum();
    let texts = [operation.progress.detail.as_ref(), operation.resource_location()];
    let texts: usize = texts.into_iter().flatten().map(|text| text.len()).sum();
    payload(operation.spec.input.as_ref()) + payload(operation.result()) + failure + labels + texts
}

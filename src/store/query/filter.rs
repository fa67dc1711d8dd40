//! The condition of a list, as a tree. It can be asked of a whole operation, and of the little that is known of many.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::operation::{Labels, Name, Operation, Status, Timestamp};

/// Which operations a list has. Text compares by bytes; of a label that is not there only `Ne` holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// Every one of these.
    All(Vec<Filter>),
    /// At least one of these.
    Any(Vec<Filter>),
    /// Not this.
    Not(Box<Filter>),
    /// The status is one of these words.
    Status(Vec<Status>),
    /// A text compares so.
    Text(TextField, Test<Arc<str>>),
    /// A text begins so.
    StartsWith(TextField, Arc<str>),
    /// The priority compares so.
    Priority(Test<i64>),
    /// An instant compares so.
    Time(TimeField, Test<Timestamp>),
}

/// A text of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextField {
    /// `queue`.
    Queue,
    /// `operationType`.
    OperationType,
    /// `labels/NAME`.
    Label(Name),
}

/// An instant of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeField {
    /// `createdDateTime`.
    Created,
    /// `lastActionDateTime`.
    LastAction,
}

/// What a value is held against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test<T> {
    /// One other.
    Is(Relation, T),
    /// Several; it must be one of them.
    In(Vec<T>),
}

/// How two values compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// Equal.
    Eq,
    /// Not equal.
    Ne,
    /// Greater.
    Gt,
    /// Greater or equal.
    Ge,
    /// Less.
    Lt,
    /// Less or equal.
    Le,
}

impl Relation {
    /// Whether values that compare so stand in this relation.
    pub fn holds(self, ordering: Ordering) -> bool {
        match self {
            Self::Eq => ordering.is_eq(),
            Self::Ne => ordering.is_ne(),
            Self::Gt => ordering.is_gt(),
            Self::Ge => ordering.is_ge(),
            Self::Lt => ordering.is_lt(),
            Self::Le => ordering.is_le(),
        }
    }
}

impl<T> Test<T> {
    /// Whether a value passes.
    pub fn holds<V: Ord + ?Sized>(&self, value: &V) -> bool
    where
        T: Borrow<V>,
    {
        match self {
            Self::Is(relation, other) => relation.holds(value.cmp(other.borrow())),
            Self::In(others) => others.iter().any(|other| value == other.borrow()),
        }
    }

    /// Whether a value that is not there passes.
    fn holds_for_none(&self) -> bool {
        matches!(self, Self::Is(Relation::Ne, _))
    }
}

/// What is known of an operation, or of many that stand in the same place.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// Where it stands.
    pub status: Status,
    /// Its queue, where that is known.
    pub queue: Option<&'a str>,
    /// All else.
    pub rest: Option<Rest<'a>>,
}

/// What is known of one operation only.
#[derive(Clone, Copy, Debug)]
pub struct Rest<'a> {
    /// `operationType`.
    pub operation_type: &'a str,
    /// `priority`.
    pub priority: i8,
    /// `createdDateTime`.
    pub created: Timestamp,
    /// `lastActionDateTime`.
    pub last_action: Timestamp,
    /// `labels`.
    pub labels: Option<&'a Labels>,
}

impl<'a> Known<'a> {
    /// Everything.
    pub fn of(operation: &'a Operation) -> Self {
        let spec = &operation.spec;
        let rest = Rest {
            operation_type: spec.lane.operation_type.as_str(),
            priority: spec.priority,
            created: spec.created,
            last_action: operation.last_action,
            labels: spec.labels.as_ref(),
        };
        Self { status: operation.status(), queue: Some(spec.lane.queue.as_str()), rest: Some(rest) }
    }

    /// Whether a text is so; a label may be none.
    fn is_text(&self, field: &TextField, so: impl FnOnce(Option<&'a str>) -> bool) -> Option<bool> {
        match field {
            TextField::Queue => self.queue.map(|queue| so(Some(queue))),
            TextField::OperationType => self.rest.map(|rest| so(Some(rest.operation_type))),
            TextField::Label(name) => {
                self.rest.map(|rest| so(rest.labels.and_then(|labels| labels.get(name.as_str()))))
            }
        }
    }
}

impl Filter {
    /// Whether it holds; none: what is known does not tell.
    pub fn holds(&self, known: &Known<'_>) -> Option<bool> {
        match self {
            Self::All(parts) => decided(parts, known, false),
            Self::Any(parts) => decided(parts, known, true),
            Self::Not(part) => part.holds(known).map(|holds| !holds),
            Self::Status(words) => Some(words.contains(&known.status)),
            Self::Text(field, test) => {
                known.is_text(field, |text| text.map_or(test.holds_for_none(), |text| test.holds(text)))
            }
            Self::StartsWith(field, start) => {
                known.is_text(field, |text| text.is_some_and(|text| text.starts_with(&**start)))
            }
            Self::Priority(test) => known.rest.map(|rest| test.holds(&i64::from(rest.priority))),
            Self::Time(TimeField::Created, test) => known.rest.map(|rest| test.holds(&rest.created)),
            Self::Time(TimeField::LastAction, test) => known.rest.map(|rest| test.holds(&rest.last_action)),
        }
    }

    /// Outside of these bounds of `createdDateTime` it never holds.
    pub fn created(&self) -> RangeInclusive<i64> {
        const EVER: RangeInclusive<i64> = i64::MIN..=i64::MAX;
        match self {
            Self::All(parts) => parts
                .iter()
                .map(Self::created)
                .fold(EVER, |one, other| *one.start().max(other.start())..=*one.end().min(other.end())),
            Self::Any(parts) => {
                let either = |one: RangeInclusive<i64>, other: RangeInclusive<i64>| {
                    *one.start().min(other.start())..=*one.end().max(other.end())
                };
                parts.iter().map(Self::created).reduce(either).unwrap_or(EVER)
            }
            Self::Time(TimeField::Created, Test::Is(relation, at)) => match (relation, at.ticks()) {
                (Relation::Eq, at) => at..=at,
                (Relation::Ne, _) => EVER,
                (Relation::Gt, at) => at + 1..=i64::MAX,
                (Relation::Ge, at) => at..=i64::MAX,
                (Relation::Lt, at) => i64::MIN..=at - 1,
                (Relation::Le, at) => i64::MIN..=at,
            },
            _ => EVER,
        }
    }

    /// Whether it asks for a label.
    pub fn reads_labels(&self) -> bool {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().any(Self::reads_labels),
            Self::Not(part) => part.reads_labels(),
            Self::Text(field, _) | Self::StartsWith(field, _) => matches!(field, TextField::Label(_)),
            Self::Status(_) | Self::Priority(_) | Self::Time(..) => false,
        }
    }
}

/// What any one of the parts decides by being so; what they decide together by all being otherwise.
fn decided(parts: &[Filter], known: &Known<'_>, so: bool) -> Option<bool> {
    let mut together = Some(!so);
    for part in parts {
        match part.holds(known) {
            Some(holds) if holds == so => return Some(so),
            Some(_) => {}
            None => together = None,
        }
    }
    together
}

//! What a bulk request is answered with.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{OperationError, Status};

/// What became of one line of a bulk request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LineOutcome {
    /// Which line, from 1.
    pub line: u64,
    /// The status that it would have been answered with by itself: 201 where there is an operation.
    pub status: u16,
    /// Whether it is a repeat.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replayed: bool,
    /// The operation, as it was made, or, of a repeat, as it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<LineOperation>,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<OperationError>,
}

/// An operation, in an outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineOperation {
    /// Its id.
    pub id: Uuid,
    /// Its status.
    pub status: Status,
}

impl LineOutcome {
    /// Whether the same line may go through later.
    pub fn is_transient(&self) -> bool {
        matches!(self.status, 429 | 500..=599)
    }
}

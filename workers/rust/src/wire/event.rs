//! What a watcher is told.

use serde::{Deserialize, Serialize};

use super::Operation;

/// One event of a stream.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Its place in the order of events, opaque; a watch can go on after it.
    pub cursor: String,
    /// What happened.
    pub event: EventKind,
    /// The operation as it was after that, without `input`; `result` only when it was completed or in a snapshot.
    /// Absent in a `reset`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
}

/// What happened to an operation, or to the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum EventKind {
    /// Nothing yet: how the operation stands where its stream begins.
    Snapshot,
    /// Submitted.
    Created,
    /// Taken up by a worker, or patched to `Running`.
    Started,
    /// Further on.
    Progress,
    /// Back in its queue for another attempt.
    Retrying,
    /// Given back by its worker.
    Released,
    /// Its end was asked for.
    Canceling,
    /// Ended well.
    Completed,
    /// Ended otherwise.
    Failed,
    /// Patched with the status it had.
    Updated,
    /// Removed.
    Deleted,
    /// Events were missed: those asked for are no longer kept. What follows has no further gap.
    Reset,
    /// Something that this version does not know.
    #[serde(other)]
    Unknown,
}

impl EventKind {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Created => "created",
            Self::Started => "started",
            Self::Progress => "progress",
            Self::Retrying => "retrying",
            Self::Released => "released",
            Self::Canceling => "canceling",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
            Self::Reset => "reset",
            Self::Unknown => "unknown",
        }
    }
}

impl std::fmt::Display for EventKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

//! What is recorded of each change.

use std::sync::Arc;

use super::model::{Failure, Operation};
use super::names::{LeaseToken, Seq, WorkerId};
use super::status::{Outcome, Status};
use super::time::Timestamp;

/// What happened to an operation, by the word that a stream shows as `event:`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum EventKind {
    /// Submitted.
    Created,
    /// Claimed, or patched to `Running`.
    Started,
    /// Progress of a running attempt.
    Progress,
    /// Back in its queue for another attempt, a person's retry included.
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
}

impl EventKind {
    /// All kinds, in the order of their codes.
    pub const ALL: [Self; 10] = [
        Self::Created,
        Self::Started,
        Self::Progress,
        Self::Retrying,
        Self::Released,
        Self::Canceling,
        Self::Completed,
        Self::Failed,
        Self::Updated,
        Self::Deleted,
    ];

    /// The word of the wire.
    pub fn as_str(self) -> &'static str {
        match self {
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
        }
    }
}

/// The door that a command came through.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Via {
    /// A client's request.
    Http,
    /// A worker's exchange.
    Work,
    /// The command line, on the machine itself.
    Cli,
    /// Time.
    Tick,
    /// A transaction of a user's own, in the database that several nodes share.
    Database,
}

impl Via {
    /// All doors, in the order of their codes.
    pub const ALL: [Self; 5] = [Self::Http, Self::Work, Self::Cli, Self::Tick, Self::Database];

    /// The word of the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Work => "work",
            Self::Cli => "cli",
            Self::Tick => "tick",
            Self::Database => "database",
        }
    }
}

/// Who made a change, and through which door.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Actor {
    /// Name of the token, the worker, or `system`.
    pub name: Arc<str>,
    /// The door.
    pub via: Via,
}

/// One recorded change of one operation.
#[derive(Clone, Debug)]
pub struct Event {
    /// Its place in the order of commits.
    pub cursor: i64,
    /// Cursor of the operation's event before this one; 0 for its first.
    pub previous: i64,
    /// The server's time of it.
    pub at: Timestamp,
    /// What happened.
    pub kind: EventKind,
    /// Who did it.
    pub actor: Actor,
    /// The status before; none for the first event.
    pub status_before: Option<Status>,
    /// The operation as it was after it.
    pub operation: Operation,
}

/// An attempt that ended badly.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// The operation.
    pub seq: Seq,
    /// Its token.
    pub token: LeaseToken,
    /// Who carried it out.
    pub worker: WorkerId,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// How.
    pub outcome: Outcome,
    /// Why.
    pub failure: Option<Arc<Failure>>,
}

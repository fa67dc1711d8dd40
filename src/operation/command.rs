//! What can be asked of an operation. Every change of one, by whomever, is one of these.

use std::sync::Arc;
use std::time::Duration;

use super::model::{Failure, Json, Progress};
use super::names::{ClaimId, LeaseToken, WorkerId};
use super::status::Status;
use super::time::Timestamp;

/// What [`super::apply`] takes besides the operation and the command: time and chance are arguments.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    /// The store's clock.
    pub now: Timestamp,
    /// Drawn from 0 to 1.
    pub jitter: f64,
}

/// What can be asked of an operation that exists.
#[derive(Clone, Debug)]
pub enum Command {
    /// A worker takes it.
    Claim {
        /// Who.
        worker: WorkerId,
        /// Under which claim.
        claim: ClaimId,
        /// Whether the worker is one of this server's own tasks.
        own: bool,
        /// For how long.
        lease_seconds: u32,
    },
    /// A worker says something of an attempt.
    Report {
        /// The attempt's token.
        token: LeaseToken,
        /// What it says.
        report: Report,
    },
    /// A claim's answer found nobody: what it took goes back, as if it had never been taken.
    Return {
        /// The attempt's token.
        token: LeaseToken,
    },
    /// Somebody asks for its end.
    Cancel,
    /// A person wants a failed one tried again.
    Retry,
    /// The owner of an external one advances it.
    Patch(Patch),
    /// Every link to it that was made so far opens nothing any more.
    EndLinks,
    /// Somebody removes the record of an ended one.
    Delete,
    /// It ended so long ago that nobody asks for it any more: it goes without an event.
    Prune {
        /// What ended before this moment may go.
        ended_before: Timestamp,
    },
    /// Time acts: due starts, expiries, timeouts, ends of leases and of progress windows.
    Tick,
}

/// What a worker says of an operation it holds.
#[derive(Clone, Debug)]
pub struct Report {
    /// `Running`: alive; `NotStarted`: given back; or how the attempt ended.
    pub kind: ReportKind,
    /// What the next attempt shall get.
    pub checkpoint: Option<Json>,
    /// How far it is; none where the report says nothing of it.
    pub progress: Option<Progress>,
}

/// The four statuses a report may have.
#[derive(Clone, Debug)]
pub enum ReportKind {
    /// A heartbeat, with or without progress.
    Running,
    /// The attempt ended well.
    Completed {
        /// What it made.
        result: Option<Json>,
        /// Where that is.
        resource_location: Option<Arc<str>>,
    },
    /// The attempt ended badly.
    Failed {
        /// Why.
        failure: Arc<Failure>,
        /// Whether another attempt may help.
        retryable: bool,
        /// The soonest moment for it.
        retry_after: Option<Duration>,
    },
    /// The worker shuts down and gives it back.
    Released,
}

impl ReportKind {
    /// The word of the wire.
    pub fn status(&self) -> Status {
        match self {
            Self::Running => Status::Running,
            Self::Completed { .. } => Status::Completed,
            Self::Failed { .. } => Status::Failed,
            Self::Released => Status::NotStarted,
        }
    }
}

/// What the owner of an external operation says of it; absent fields stay as they are.
#[derive(Clone, Debug, Default)]
pub struct Patch {
    /// The same or a later status.
    pub status: Option<Status>,
    /// 0 to 100.
    pub percent: Option<u8>,
    /// One line for a person.
    pub detail: Option<Arc<str>>,
    /// With `Completed` only.
    pub result: Option<Json>,
    /// With `Completed` only.
    pub resource_location: Option<Arc<str>>,
    /// With `Failed`, which needs it.
    pub failure: Option<Arc<Failure>>,
}

/// Why a command changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The report's token is not that of the running attempt.
    #[error("the lease of this attempt is over, and its report changes nothing")]
    LeaseLost,
    /// A heartbeat with the token of an attempt that a report has ended.
    #[error("this attempt has already been reported as ended")]
    Ended,
    /// The state does not allow it.
    #[error("{0}")]
    Conflict(&'static str),
    /// The command contradicts itself.
    #[error("{message}")]
    Invalid {
        /// The field at fault.
        target: &'static str,
        /// What is wrong with it.
        message: &'static str,
    },
}

//! What comes through the door: each entry carries the way back to whoever waits for it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::oneshot;

use crate::operation::{
    Actor, ClaimId, Command, ControlsChange, LeaseToken, Operation, OperationId, QueueName, Refusal, Report,
    Seq, Submission, TenantId, WorkerId,
};
use crate::store::StoreError;
use crate::store::credential::Noted;
use crate::store::turn::DepositNumber;
pub use crate::store::turn::Want;

/// Why the tracker did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Denied {
    /// There is no such operation in this tenant.
    #[error("there is no such operation")]
    NotFound,
    /// The state of the operation does not allow it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// `If-Match` names another version.
    #[error("the operation has changed since")]
    PreconditionFailed,
    /// The key came before, with another body.
    #[error("the Idempotency-Key was used for another request")]
    KeyReused,
    /// The id is taken, by another body.
    #[error("an operation with this id exists already")]
    IdExists,
    /// The key and the id name different operations.
    #[error("the Idempotency-Key and the id name different operations")]
    KeyAndIdDiffer,
    /// It would be a new pair of queue and operation type, and the tenant has as many as it may.
    #[error("the tenant has as many pairs of queue and operation type in use as it may")]
    TooManyLanes,
    /// As many operations wait in the queue as may.
    #[error("as many operations wait in the queue as may")]
    QueueFull,
    /// As many queues of the tenant are paused or limited as may be.
    #[error("as many queues of the tenant are paused or limited as may be")]
    TooManyQueues,
    /// What it was to be made of is another node's, or was taken in before.
    #[error("another node takes it in")]
    Elsewhere,
    /// Too many submits wait already.
    #[error("too many submits are waiting")]
    Overloaded,
    /// The server is about to end.
    #[error("the server is shutting down")]
    ShuttingDown,
    /// The store could not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The way back.
pub type Reply<T> = oneshot::Sender<Result<T, Denied>>;

/// One thing to do, in the lane that its kind belongs to.
#[derive(Debug)]
pub enum Entry {
    /// A worker's call.
    Exchange(Exchange, Reply<Exchanged>),
    /// A command on one operation.
    Command(Order, Reply<Operation>),
    /// A change of what is set for a queue.
    Queue(QueueOrder, Reply<()>),
    /// A new operation.
    Submit(Box<Submit>, Reply<Submitted>),
    /// What is to be kept of tokens.
    Token(Noted, Reply<()>),
    /// What a claim took for somebody who is gone.
    Return(Vec<(TenantId, OperationId, LeaseToken)>),
}

/// A new operation, and what makes it recognisable as a repeat.
#[derive(Debug)]
pub struct Submit {
    /// What was handed in.
    pub submission: Submission,
    /// Whether the client chose the id, so that it may exist already.
    pub id_chosen: bool,
    /// Who submits it.
    pub actor: Actor,
    /// What it is made of, where it was handed in without a node: that goes with the commit that makes it.
    pub deposit: Option<DepositNumber>,
}

/// What became of a submit.
#[derive(Debug)]
pub struct Submitted {
    /// The operation: as it was made, or, of a repeat, as it is now.
    pub operation: Operation,
    /// Whether it existed already.
    pub replayed: bool,
}

/// A command on one operation, by its public name.
#[derive(Debug)]
pub struct Order {
    /// Whose.
    pub tenant: TenantId,
    /// Which.
    pub id: OperationId,
    /// What.
    pub command: Command,
    /// Only if it is still at one of these versions (`seq`, `version`).
    pub expected: Option<Vec<(Seq, i64)>>,
    /// Who.
    pub actor: Actor,
}

/// A change of what is set for a queue.
#[derive(Debug)]
pub struct QueueOrder {
    /// Whose.
    pub tenant: TenantId,
    /// Which.
    pub name: QueueName,
    /// What.
    pub change: ControlsChange,
}

/// A worker's call: reports up, claims down.
#[derive(Debug)]
pub struct Exchange {
    /// Whose operations.
    pub tenant: TenantId,
    /// Who calls.
    pub worker: WorkerId,
    /// From where; none: from this machine's own tasks or socket.
    pub address: Option<IpAddr>,
    /// Whether it is one of this server's own tasks.
    pub own: bool,
    /// The queues it is kept to; none: every queue.
    pub within: Option<Arc<[QueueName]>>,
    /// What it says.
    pub reports: Vec<Reported>,
    /// What it asks for.
    pub claim: Option<Claim>,
}

/// One report of an exchange.
#[derive(Debug)]
pub struct Reported {
    /// The operation.
    pub id: OperationId,
    /// The attempt's token.
    pub token: LeaseToken,
    /// What the worker says of it.
    pub report: Report,
}

/// A wish for operations.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Its name, to ask for a lost answer by.
    pub id: ClaimId,
    /// Of which lanes, how many.
    pub want: Want,
    /// For how long.
    pub lease_seconds: u32,
    /// Until when it waits, if there is nothing; none: not at all.
    pub wait_until: Option<Instant>,
}

/// What a worker's call brought.
#[derive(Debug, Default)]
pub struct Exchanged {
    /// One for each report, in their order.
    pub outcomes: Vec<ReportOutcome>,
    /// What it now holds under its claim.
    pub operations: Vec<Claimed>,
    /// What it should know of others it holds.
    pub notices: Vec<Notice>,
}

/// What became of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReportOutcome {
    /// It stands; of a running attempt with what is left of its lease.
    Accepted {
        /// 100 ns left of the lease; none when the attempt is over.
        lease: Option<std::time::Duration>,
        /// Whether the end of the operation was asked for.
        cancel_requested: bool,
    },
    /// It had been said before.
    Repeated,
    /// It changes nothing.
    Refused(Refusal),
    /// There is no such operation for this worker.
    NotFound,
    /// What is stored of the operation cannot be read.
    Unreadable,
}

impl ReportOutcome {
    /// Why the report was not taken: the wire's word, and a sentence.
    pub fn refusal(&self) -> Option<(&'static str, String)> {
        match self {
            Self::Accepted { .. } | Self::Repeated => None,
            Self::Refused(refusal) => {
                let code = match refusal {
                    Refusal::LeaseLost => "leaseLost",
                    Refusal::Ended => "ended",
                    Refusal::Conflict(_) | Refusal::Invalid { .. } => "invalidRequest",
                };
                Some((code, refusal.to_string()))
            }
            Self::NotFound => Some(("itemNotFound", Denied::NotFound.to_string())),
            Self::Unreadable => Some(("internalError", StoreError::Damaged.to_string())),
        }
    }
}

/// One operation of a claim's answer.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// As it is, `Running` under the lease.
    pub operation: Arc<Operation>,
    /// The attempt's token.
    pub token: LeaseToken,
    /// What is left of the lease.
    pub left: std::time::Duration,
}

/// What a worker should know of an operation it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The operation.
    pub id: OperationId,
    /// The attempt's token.
    pub token: LeaseToken,
    /// What happened.
    pub kind: NoticeKind,
}

/// What a notice says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoticeKind {
    /// Its end was asked for.
    Cancel,
    /// The lease ended without the worker's doing.
    Lost,
}

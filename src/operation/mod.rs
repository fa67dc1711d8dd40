//! The domain: what an operation is and what may become of it. No I/O, no clock, no async: time and chance are arguments.
//!
//! [`submit`] makes an operation, [`apply`] takes it from one state to the next; both stores and every caller go through
//! these two. [`model`] says what an operation is, [`command`] what can be asked of it, [`event`] what is recorded.

pub mod command;
mod ending;
pub mod event;
mod heartbeat;
pub mod labels;
pub mod model;
pub mod names;
mod patch;
pub mod queue;
pub mod retry;
pub mod status;
mod submit;
#[cfg(test)]
mod tests;
pub mod time;
mod traceparent;
mod transition;

pub use command::{Command, Context, Patch, Refusal, Report, ReportKind};
pub use event::{Actor, Attempt, Event, EventKind, Via};
pub use labels::Labels;
pub use model::{
    Carrier, EndedBy, Failure, Hold, Json, Lease, Operation, Payload, Progress, Rank, Spec, State,
};
pub use names::{
    ClaimId, Lane, LeaseToken, Name, OperationId, OperationType, QueueName, Seq, TenantId, WorkerId,
};
pub use queue::{Controls, ControlsChange, Gate};
pub use retry::RetryPolicy;
pub use status::{Outcome, Status};
pub use submit::{Opening, Submission, submit};
pub use time::Timestamp;
pub use traceparent::Traceparent;
pub use transition::{Step, apply};

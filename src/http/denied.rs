//! What the tracker denies, in the words of the wire.

use super::error::{ApiError, Code};
use crate::tracker::entry::Denied;

impl From<Denied> for ApiError {
    fn from(denied: Denied) -> Self {
        let code = match denied {
            Denied::NotFound => return Self::no_such_operation(),
            Denied::Refused(refusal) => return refusal.into(),
            Denied::Store(error) => return error.into(),
            Denied::Overloaded => return Self::overloaded(),
            Denied::ShuttingDown => return Self::shutting_down(),
            Denied::PreconditionFailed => Code::PreconditionFailed,
            Denied::KeyReused => Code::IdempotencyKeyReused,
            Denied::IdExists => Code::IdExists,
            // No request is made of a deposit.
            Denied::KeyAndIdDiffer | Denied::Elsewhere => Code::Conflict,
            Denied::TooManyLanes | Denied::TooManyQueues => Code::InvalidRequest,
            Denied::QueueFull => return Self::queue_full(),
        };
        Self::new(code, denied.to_string())
    }
}

//! The JSON of the wire protocol, read leniently.
//!
//! What the server sends is read with unknown fields ignored and everything optional that it may leave
//! out, so that an older worker goes on working with a newer server. What is sent to it is strict:
//! absent fields are left out, never `null`, and whole numbers are written without a fraction.
//!
//! Payloads of users (`input`, `result`, `checkpoint`, …) are kept as the bytes that were sent, behind an
//! [`Arc`]: a clone costs a counter, over HTTP they are copied once, in one process never.

mod bulk;
mod event;
mod link;
mod number;
mod operation;
mod queue;
mod submit;
mod work;

use std::sync::Arc;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

pub use bulk::{LineOperation, LineOutcome};
pub use event::{Event, EventKind};
pub use link::{Link, LinkRequest};
pub use operation::{Attempt, ErrorBody, Operation, OperationError, Retry, Status, Waiting};
pub use queue::{Demand, HeldOperation, Queue, QueueChange, WorkerInfo};
pub use submit::{Patch, Submit};
pub use work::{
    Claim, ClaimedOperation, ExchangeAnswer, ExchangeRequest, Lease, Notice, NoticeKind, Outcome, Report,
};

/// A piece of JSON exactly as it was sent, cheap to clone.
pub type Json = Arc<RawValue>;

/// Writes `value` as [`Json`].
///
/// # Errors
///
/// When the value has no JSON form, for example a map whose keys are not strings.
pub fn to_json<T: Serialize + ?Sized>(value: &T) -> Result<Json, serde_json::Error> {
    to_raw_value(value).map(Arc::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLAIMED: &str = r##"{"@odata.type":"#microsoft.graph.operation",
        "id":"00000000-0000-0000-0000-000000000001","status":"Running","input":{"a": 1.50},"timeoutSeconds":30,"unheardOf":[1],
        "lease":{"token":4,"seconds":29.6,"more":1},"checkpoint":{"page":5}}"##;

    #[test]
    fn a_claimed_operation_is_read_with_its_payloads_as_they_were_sent() {
        let claimed: ClaimedOperation = serde_json::from_str(CLAIMED).unwrap();
        assert_eq!(claimed.operation.input.as_ref().unwrap().get(), r#"{"a": 1.50}"#);
        assert_eq!(claimed.operation.checkpoint.as_ref().unwrap().get(), r#"{"page":5}"#);
        assert_eq!(claimed.lease, Lease { token: 4, seconds: 29.6 });
        assert_eq!(
            serde_json::to_string(&claimed).unwrap(),
            r##"{"@odata.type":"#microsoft.graph.operation","id":"00000000-0000-0000-0000-000000000001","##
                .to_owned()
                + r#""status":"Running","input":{"a": 1.50},"timeoutSeconds":30,"#
                + r#""checkpoint":{"page":5},"lease":{"token":4,"seconds":29.6}}"#
        );
    }

    #[test]
    fn a_claimed_operation_has_a_lease() {
        let bare = r#"{"id":"00000000-0000-0000-0000-000000000001","status":"Running"}"#;
        assert!(serde_json::from_str::<ClaimedOperation>(bare).is_err());
    }

    #[test]
    fn the_spelling_of_a_status_is_exact() {
        for status in ["NotStarted", "Running", "Completed", "Failed"] {
            let read: Status = serde_json::from_value(status.into()).unwrap();
            assert_eq!((read.as_str(), serde_json::to_value(read).unwrap()), (status, status.into()));
        }
        assert!(serde_json::from_str::<Status>("\"notStarted\"").is_err());
    }

    #[test]
    fn a_heartbeat_is_bare_and_whole_numbers_stay_whole() {
        let report =
            Report { percent_complete: Some(40.0), ..Report::new(uuid::Uuid::nil(), 3, Status::Running) };
        assert_eq!(
            serde_json::to_string(&report).unwrap(),
            r#"{"id":"00000000-0000-0000-0000-000000000000","leaseToken":3,"status":"Running","percentComplete":40}"#
        );
    }

    #[test]
    fn an_answer_may_leave_out_and_add_what_it_likes() {
        let answer = r#"{"outcomes":[{"id":"00000000-0000-0000-0000-000000000001","leaseSeconds":29.6}],
            "notices":[{"id":"00000000-0000-0000-0000-000000000001","leaseToken":1,"kind":"party"}],"more":{}}"#;
        let answer: ExchangeAnswer = serde_json::from_str(answer).unwrap();
        assert_eq!(answer.outcomes[0].lease_seconds, Some(29.6));
        assert_eq!(answer.notices[0].kind, NoticeKind::Unknown);
        assert!(answer.operations.is_empty() && !answer.outcomes[0].repeated);
    }
}

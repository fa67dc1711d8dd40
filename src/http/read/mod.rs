//! What clients and workers send, read strictly into what the tracker takes.

mod common;
pub(super) mod deposit;
pub(super) mod events;
pub(super) mod link;
pub(super) mod patch;
pub(super) mod queue;
pub(super) mod submission;
pub(super) mod travel;
pub(super) mod work;

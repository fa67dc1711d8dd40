//! What is kept of one operation: its row, and apart from it the payloads that are too large for a row.

use std::sync::Arc;

use crate::limits;
use crate::operation::{Attempt, Carrier, Json, Lease, Operation, Payload, State, Timestamp};

/// One operation on the disk.
#[derive(Debug)]
pub(super) struct Record {
    /// As a turn loads it: large payloads are not at hand, and the checkpoint never is.
    pub(super) row: Arc<Operation>,
    /// A large input.
    pub(super) input: Option<Json>,
    /// A large result.
    pub(super) result: Option<Json>,
    /// What the last attempt left, until the operation completes.
    pub(super) checkpoint: Option<Json>,
    /// The attempts that ended badly, oldest first.
    pub(super) attempts: Vec<Attempt>,
}

impl Record {
    /// The record of a new operation.
    pub(super) fn new(operation: Operation) -> Self {
        let mut record = Self {
            row: Arc::new(operation.clone()),
            input: None,
            result: None,
            checkpoint: None,
            attempts: Vec::new(),
        };
        record.write(operation);
        record
    }

    /// Replaces the row. Payloads that come with it and are too large go apart.
    pub(super) fn write(&mut self, mut operation: Operation) {
        if let Some(checkpoint) = operation.checkpoint.take() {
            self.checkpoint = Some(checkpoint);
        }
        if let Some(large) = operation.spec.input.as_ref().and_then(too_large) {
            let stored = Payload::Stored { bytes: large.get().len() };
            Arc::make_mut(&mut operation.spec).input = Some(stored);
            self.input = Some(large);
        }
        if let State::Completed { result, .. } = &mut operation.state {
            self.checkpoint = None;
            if let Some(large) = result.as_ref().and_then(too_large) {
                *result = Some(Payload::Stored { bytes: large.get().len() });
                self.result = Some(large);
            }
        }
        self.row = Arc::new(operation);
    }

    /// The operation as a reader gets it: input and result at hand.
    pub(super) fn whole(&self) -> Operation {
        let mut operation = Operation::clone(&self.row);
        if let Some(input) = &self.input {
            Arc::make_mut(&mut operation.spec).input = Some(Payload::Inline(input.clone()));
        }
        if let (State::Completed { result, .. }, Some(large)) = (&mut operation.state, &self.result) {
            *result = Some(Payload::Inline(large.clone()));
        }
        operation
    }

    /// The earliest moment at which time itself acts on it.
    pub(super) fn due(&self) -> Option<Timestamp> {
        self.row.lease().map(Lease::due).or_else(|| self.row.wake_at())
    }

    /// Changes its lease, where it has one, without a change of the operation.
    pub(super) fn with_lease(&mut self, change: impl FnOnce(&mut Lease)) {
        if self.row.lease().is_some()
            && let State::Running(Carrier::Worker(lease)) = &mut Arc::make_mut(&mut self.row).state
        {
            change(lease);
        }
    }
}

/// The payload, when it is at hand and does not belong into a row.
fn too_large(payload: &Payload) -> Option<Json> {
    payload.inline().filter(|json| json.get().len() > limits::INLINE_BYTES_MAX).cloned()
}

/// An operation as an event keeps it: all that can change, but neither payloads nor checkpoint.
pub(super) fn without_payloads(mut operation: Operation) -> Operation {
    operation.checkpoint = None;
    if operation.spec.input.is_some() {
        Arc::make_mut(&mut operation.spec).input = None;
    }
    if let State::Completed { result, .. } = &mut operation.state {
        *result = None;
    }
    operation
}

//! The spans of a turn, once it is durable: at the node that committed it, and of operations whose caller records a trace.

use super::count::{AttemptEnded, waited};
use super::turn::Turn;
use crate::operation::EventKind;
use crate::store::turn::Recorded;
use crate::traces::Traces;

impl Turn {
    /// Tells how long those waited that began, and of the attempts that ended.
    pub(super) fn trace(&self, traces: &Traces) {
        for Recorded { touched, event } in &self.changes.events {
            let operation = &event.operation;
            if event.kind == EventKind::Started && operation.lease().is_some() {
                traces.waited(operation, waited(event, &self.changes.operations[*touched]), event.at);
            }
        }
        for AttemptEnded { operation, began, at, how } in self.attempts_ended() {
            traces.attempt(operation, began, at, how);
        }
    }
}

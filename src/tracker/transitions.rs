//! What is logged of operations: each transition once it is durable, once, at the node that committed it. With it stand only
//! names and words of ours: never what users sent, and no token.

use std::collections::HashSet;

use super::turn::Turn;
use crate::operation::{Attempt, Event, EventKind, Outcome, State, Status, Via};
use crate::store::turn::Recorded;

impl Turn {
    /// Logs what became of operations.
    pub(super) fn log(&self) {
        if !tracing::enabled!(tracing::Level::DEBUG) {
            return;
        }
        let mut deleted = HashSet::new();
        for Recorded { touched, event } in &self.changes.events {
            let Event { kind, actor, status_before, operation, .. } = event;
            let is_deleted = *kind == EventKind::Deleted;
            if is_deleted {
                deleted.insert(*touched);
            }
            tracing::debug!(
                id = %operation.spec.id,
                tenant = %operation.tenant(),
                from = status_before.map(Status::as_str),
                to = (!is_deleted).then(|| operation.status().as_str()),
                cause = self.cause(event),
                via = actor.via.as_str(),
                "transition"
            );
        }
        for (place, touched) in self.changes.operations.iter().enumerate() {
            let (Some(pruned), None) = (&touched.before, &touched.after) else { continue };
            if !deleted.contains(&place) {
                let (id, tenant, from) = (pruned.spec.id, pruned.tenant(), pruned.status().as_str());
                tracing::debug!(%id, %tenant, from, cause = "pruned", via = Via::Tick.as_str(), "transition");
            }
        }
    }

    /// How the operation or its attempt ended, where one did otherwise than well; else what happened.
    fn cause(&self, event: &Event) -> &'static str {
        let Event { kind, status_before, operation, .. } = event;
        let ended = match (kind, &operation.state) {
            (EventKind::Failed, State::Failed { outcome, .. }) => Some(*outcome),
            (EventKind::Retrying, _) if *status_before == Some(Status::Running) => {
                let its =
                    |attempt: &&Attempt| (attempt.seq, attempt.token) == (operation.seq, operation.token);
                self.changes.attempts.iter().find(its).map(|attempt| attempt.outcome)
            }
            _ => None,
        };
        ended.map_or(kind.as_str(), Outcome::as_str)
    }
}

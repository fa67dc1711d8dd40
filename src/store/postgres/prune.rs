//! What is older than may be kept, found in small steps. Operations are deleted by the turn that goes on from here; of
//! events only the end of what is kept moves, and whole partitions before it are dropped when nobody needs them.

use std::sync::LazyLock;

use super::columns::{Value, fields};
use super::error::Result;
use super::link::{Answers, Pipeline, Place};
use super::load::{Loading, as_int};
use super::operations::{COLUMNS, FROM};
use crate::operation::Timestamp;
use crate::store::turn::Prune;

/// Ended operations have no lease, so that nothing is joined that another node may have changed meanwhile.
static ENDED: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {} FROM {FROM} WHERE o.finished IS NOT NULL AND o.finished < $1 AND o.seq <> ALL ($3) \
         ORDER BY o.finished, o.seq LIMIT $2 FOR UPDATE OF o SKIP LOCKED",
        *COLUMNS
    )
});
const NEXT_ENDED: &str = "SELECT finished FROM longrun.operation WHERE finished IS NOT NULL AND seq <> ALL ($2) \
     ORDER BY finished, seq LIMIT $1";
/// Those that readers still see: of an operation that is gone only that it was deleted.
const EVENTS: &str = "SELECT e.cursor, e.at FROM longrun.event e \
     WHERE e.cursor > coalesce((SELECT value FROM longrun.meta WHERE key = 'pruned_upto'), 0) \
     AND (e.spec IS NOT NULL OR EXISTS (SELECT 1 FROM longrun.operation o WHERE o.seq = e.seq)) \
     ORDER BY e.cursor LIMIT $1";

/// The statements about what is old.
pub(super) struct Asked {
    ended: Place,
    next_ended: Place,
    events: Place,
}

/// Asks for one step of it, and what stays.
pub(super) fn ask<'a>(pipeline: &mut Pipeline<'a>, step: &Prune, aside: [Value<'a>; 2]) -> Asked {
    let [one, other] = aside;
    let most = as_int(step.operations);
    let ended = vec![Value::Int(step.ended_before.ticks()), Value::Int(most), one];
    Asked {
        ended: pipeline.call(&ENDED, ended),
        next_ended: pipeline.call(NEXT_ENDED, vec![Value::Int(most.saturating_add(1)), other]),
        events: pipeline.call(EVENTS, vec![Value::Int(as_int(step.events).saturating_add(1))]),
    }
}

impl Loading<'_> {
    /// Keeps what is to go, and what will be next.
    pub(super) fn take_stale(&mut self, answers: &Answers, asked: &Asked) -> Result<()> {
        let Some(step) = &self.touches.prune else { return Ok(()) };
        for row in answers.of(asked.ended) {
            let seq = self.keep(row)?;
            if self.set.operations.contains_key(&seq) {
                self.set.stale.push(seq);
            }
        }
        let next = answers.of(asked.next_ended).get(self.set.stale.len());
        self.set.oldest.ended = next.map(|row| fields(row).time()).transpose()?;
        for (number, row) in answers.of(asked.events).iter().enumerate() {
            let mut fields = fields(row);
            let (cursor, at): (i64, Timestamp) = (fields.int()?, fields.time()?);
            if at >= step.events_before || number == step.events {
                self.set.oldest.happened = Some(at);
                break;
            }
            self.set.stale_events = Some(cursor);
        }
        Ok(())
    }
}

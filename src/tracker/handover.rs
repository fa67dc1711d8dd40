//! The last steps of a claim: from the loop's answer to the hands of whoever called. A caller that goes away on the
//! way, as a handler does when its client hangs up, takes nothing with it.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::entry::{Claimed, Denied, Entry, Exchanged};
use super::inbox::Door;
use crate::operation::{Json, Payload};
use crate::store::Reader;

/// An operation that a worker holds now, with all it needs.
#[derive(Debug)]
pub struct Handed {
    /// The operation, its token and what is left of its lease.
    pub claimed: Claimed,
    /// What its handler works on.
    pub input: Option<Json>,
    /// What the last attempt left.
    pub checkpoint: Option<Json>,
}

/// An answer on its way. Dropped before it arrived, it gives back what it brings.
pub(super) struct Handover {
    door: Arc<dyn Door>,
    answer: oneshot::Receiver<Result<Exchanged, Denied>>,
    arrived: Option<Exchanged>,
}

impl Handover {
    pub(super) fn new(door: Arc<dyn Door>, answer: oneshot::Receiver<Result<Exchanged, Denied>>) -> Self {
        Self { door, answer, arrived: None }
    }

    /// Waits for the loop's answer and fetches what claimed operations keep apart from their rows.
    pub(super) async fn arrive(mut self, reader: &dyn Reader) -> Result<(Exchanged, Vec<Handed>), Denied> {
        let answer = (&mut self.answer).await.unwrap_or_else(|_| Err(super::unknown()));
        let arrived = &*self.arrived.insert(answer?);
        let apart: Vec<_> = arrived.operations.iter().filter(|claimed| keeps_apart(claimed)).collect();
        let mut fetched = HashMap::new();
        if !apart.is_empty() {
            let seqs: Vec<_> = apart.iter().map(|claimed| claimed.operation.seq).collect();
            let payloads = reader.payloads(&seqs).await?;
            fetched.extend(payloads.into_iter().map(|payloads| (payloads.seq, payloads)));
        }
        let mut exchanged = self.arrived.take().unwrap_or_default();
        // One of which something is kept apart and was not found cannot be read: the store has put it aside.
        let handed = std::mem::take(&mut exchanged.operations).into_iter().filter_map(|claimed| {
            let apart = fetched.remove(&claimed.operation.seq);
            if apart.is_none() && keeps_apart(&claimed) {
                return None;
            }
            let (input, checkpoint) = apart.map_or((None, None), |apart| (apart.input, apart.checkpoint));
            let inline = claimed.operation.spec.input.as_ref().and_then(Payload::inline).cloned();
            Some(Handed { claimed, input: inline.or(input), checkpoint })
        });
        let handed = handed.collect();
        Ok((exchanged, handed))
    }
}

impl Drop for Handover {
    fn drop(&mut self) {
        // Closed first: what is sent from now on comes back to the loop.
        self.answer.close();
        let arrived = self.arrived.take().or_else(|| self.answer.try_recv().ok()?.ok());
        if let Some(unheard) = arrived {
            give_back(&*self.door, &unheard.operations);
        }
    }
}

/// What was taken for somebody who is gone goes back to its lanes.
pub(super) fn give_back(door: &dyn Door, unheard: &[Claimed]) {
    if unheard.is_empty() {
        return;
    }
    let taken = unheard.iter().map(|claimed| {
        let operation = &claimed.operation;
        (operation.tenant().clone(), operation.spec.id, claimed.token)
    });
    // Where nobody turns behind the door any more, the leases end by themselves.
    let _: Result<(), Denied> = door.hand(Entry::Return(taken.collect()));
}

/// Whether a claimed operation has something that is not at hand. A first attempt has no checkpoint to look for.
fn keeps_apart(claimed: &Claimed) -> bool {
    claimed.token.0 > 1 || matches!(claimed.operation.spec.input, Some(Payload::Stored { .. }))
}

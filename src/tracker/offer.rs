//! Who gets what became ready: first come, first served.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::entry::{Claim, Exchange};
use super::turn::Turn;
use crate::limits;
use crate::operation::{Actor, Command, Lane, Payload, Rank, Seq, Via};
use crate::store::turn::Want;

/// Everything ready that the turn knows of: what was loaded for its claims, and what its commands made ready.
#[derive(Debug)]
pub struct Pool(BTreeMap<Arc<Lane>, BTreeSet<Rank>>);

impl Pool {
    /// Gathers it, after the turn's commands.
    pub fn of(turn: &Turn) -> Self {
        let mut pool: BTreeMap<Arc<Lane>, BTreeSet<Rank>> = BTreeMap::new();
        let ready = turn.set.ready.iter().flatten().chain(&turn.set.woken);
        let loaded = ready.filter_map(|seq| turn.current(*seq));
        let changed = turn.changes.operations.iter().filter_map(|touched| touched.after.as_ref());
        for operation in loaded.chain(changed) {
            if let Some(rank) = operation.rank() {
                let lane = &operation.spec.lane;
                match pool.get_mut(lane) {
                    Some(ranks) => {
                        ranks.insert(rank);
                    }
                    None => {
                        pool.insert(lane.clone(), BTreeSet::from([rank]));
                    }
                }
            }
        }
        Self(pool)
    }

    /// Whether there is nothing to take.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there is something for this claim.
    pub fn has(&self, turn: &Turn, want: &Want) -> bool {
        self.0.keys().any(|lane| may_take(turn, want, lane))
    }

    /// Takes what the claim may have, in order: the operations are its worker's from now on.
    pub fn take(&mut self, turn: &mut Turn, exchange: &Exchange, claim: &Claim) -> Vec<Seq> {
        let command = Command::Claim {
            worker: exchange.worker.clone(),
            claim: claim.id.clone(),
            own: exchange.own,
            lease_seconds: claim.lease_seconds,
        };
        let actor = Actor { name: Arc::from(exchange.worker.as_str()), via: Via::Work };
        let mut taken = Vec::new();
        let mut input_bytes = 0;
        while taken.len() < claim.want.limit {
            let heads = self.0.iter().filter(|(lane, _)| may_take(turn, &claim.want, lane));
            let Some((rank, lane)) = heads.filter_map(|(lane, ranks)| Some((*ranks.first()?, lane))).min()
            else {
                break;
            };
            let input = turn.current(rank.seq).and_then(|operation| operation.spec.input.as_ref());
            input_bytes += input.map_or(0, Payload::bytes);
            if input_bytes > limits::CLAIM_INPUT_BYTES_MAX && !taken.is_empty() {
                break;
            }
            let lane = lane.clone();
            if let Some(ranks) = self.0.get_mut(&lane) {
                ranks.remove(&rank);
                if ranks.is_empty() {
                    self.0.remove(&lane);
                }
            }
            // What stands in the pool is ready, so that a claim is not refused.
            if turn.apply(rank.seq, &command, &actor).is_ok() {
                taken.push(rank.seq);
            }
        }
        taken
    }
}

/// Whether a claim may have a lane's operations: it asks for them, and its queue lets another one start.
fn may_take(turn: &Turn, want: &Want, lane: &Lane) -> bool {
    want.tenant == lane.tenant && want.covers(&lane.queue, &lane.operation_type) && turn.gate(lane).room() > 0
}

//! What claims may take, and how the queues with controls stand for that.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use super::disk::Kept;
use crate::limits;
use crate::operation::{Controls, Operation, QueueName, Seq, Status, TenantId, Timestamp};
use crate::store::queue::{ByQueue, Standing};
use crate::store::turn::{Touches, Want, WorkingSet};

/// How much of each queue there is to take, and what is gone.
pub(super) struct Taking<'a> {
    kept: &'a Kept,
    now: Timestamp,
    /// Of queues with controls: how many may start.
    most: &'a ByQueue<usize>,
    taken: HashSet<Seq>,
    /// Passed over since they have expired.
    pub(super) expired: Vec<Seq>,
}

impl<'a> Taking<'a> {
    pub(super) fn new(kept: &'a Kept, most: &'a ByQueue<usize>, now: Timestamp) -> Self {
        Self { kept, now, most, taken: HashSet::new(), expired: Vec::new() }
    }

    /// The best of what no earlier want has: up to `free` of queues without controls, and of each other one as many as may
    /// start.
    pub(super) fn take(&mut self, want: &Want, free: usize) -> Vec<Seq> {
        let asked = |row: &&Arc<Operation>| {
            let lane = &row.spec.lane;
            lane.tenant == want.tenant && want.covers(&lane.queue, &lane.operation_type)
        };
        let ranked = self.kept.rows().filter(asked).filter_map(|row| Some((row.rank()?, row)));
        let ranked: BTreeSet<_> = ranked.map(|(rank, row)| (rank, row.seq)).collect();
        let (mut mine, mut of_free, mut of_queue) = (Vec::new(), 0, ByQueue::<usize>::default());
        for (_, seq) in ranked {
            if self.taken.contains(&seq) {
                continue;
            }
            let row = &self.kept.operations[&seq].row;
            let (tenant, queue) = (row.tenant(), &row.spec.lane.queue);
            let (count, most) = match self.most.get(tenant, queue) {
                Some(most) => (of_queue.entry(tenant, queue).or_default(), want.limit.min(*most)),
                None => (&mut of_free, free),
            };
            if *count == most {
                continue;
            }
            self.taken.insert(seq);
            if row.is_expired(self.now) && self.expired.len() < limits::TURN_EXPIRED_MAX {
                self.expired.push(seq);
            } else {
                *count += 1;
                mine.push(seq);
            }
        }
        mine
    }
}

impl Kept {
    /// The queues that a turn concerns, as far as they have controls or get them. Those are counted in which anything may
    /// come to wait.
    pub(super) fn standings(&self, set: &WorkingSet, touches: &Touches) -> ByQueue<Standing> {
        let mut standings = ByQueue::default();
        for (tenant, queue) in &touches.queues {
            standings.insert(
                tenant,
                queue,
                self.standing(tenant, queue, self.controls_of(tenant, queue), true),
            );
        }
        let named = set.operations.values().map(|operation| &operation.spec.lane);
        let entered = named.chain(&touches.lanes).map(|lane| (&lane.tenant, &lane.queue, true));
        let wants = touches.wants.iter().chain(&touches.waiting);
        let asked = wants.flat_map(|want| {
            let covers =
                |queue: &&QueueName| want.queues.as_ref().is_none_or(|queues| queues.contains(*queue));
            let mine = self.queues.keys().filter(|(tenant, _)| *tenant == want.tenant);
            mine.map(|(tenant, queue)| (tenant, queue)).filter(move |(_, queue)| covers(queue))
        });
        for (tenant, queue, counted) in entered.chain(asked.map(|(tenant, queue)| (tenant, queue, false))) {
            let controls = self.controls_of(tenant, queue);
            if !controls.is_none() {
                let standing =
                    || self.standing(tenant, queue, controls, counted && controls.max_waiting.is_some());
                standings.entry(tenant, queue).or_insert_with(standing);
            }
        }
        standings
    }

    fn controls_of(&self, tenant: &TenantId, queue: &QueueName) -> Controls {
        self.queues.get(&(tenant.clone(), queue.clone())).copied().unwrap_or_default()
    }

    fn standing(&self, tenant: &TenantId, queue: &QueueName, controls: Controls, counted: bool) -> Standing {
        let mine = || {
            let is_mine = |row: &&Arc<Operation>| row.tenant() == tenant && row.spec.lane.queue == *queue;
            self.rows().filter(is_mine).filter(|row| !row.spec.external)
        };
        let waiting = mine().filter(|row| row.status() == Status::NotStarted).count();
        Standing {
            controls,
            running: mine().filter(|row| row.lease().is_some()).count(),
            waiting: if counted { waiting as u64 } else { 0 },
        }
    }
}

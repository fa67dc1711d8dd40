//! Queues that are paused or limited: what a turn does about them, and what readers are told of them.
//!
//! Whether an operation may start is said by one function, [`crate::operation::Controls::gate`]: to a claim by
//! [`Turn::gate`], with the leases counted in the turn itself, and to a reader who asks why an operation waits by
//! [`super::Tracker::waiting`].

use std::sync::{PoisonError, RwLock};

use super::entry::{Denied, QueueOrder, Want};
use super::turn::Turn;
use crate::limits;
use crate::operation::{Controls, Gate, Lane, Operation, QueueName, Seq, TenantId};
use crate::store::queue::{ByQueue, Part, Queue, Standing};
use crate::store::turn::Changes;

/// The queues with controls, as they last were: few. The intake loop writes it, readers look.
#[derive(Debug, Default)]
pub struct Controlled(RwLock<ByQueue<Controls>>);

impl Controlled {
    /// Those that the store knows of.
    pub fn restored(queues: &[Queue]) -> Self {
        let controlled = Self::default();
        controlled.keep(queues);
        controlled
    }

    /// A turn is durable.
    pub fn settle(&self, changes: &Changes) {
        if !changes.queues.is_empty() {
            self.keep(&changes.queues);
        }
    }

    /// All that there are now, whoever set them.
    pub fn learn(&self, queues: &[Queue]) {
        let mut known = ByQueue::default();
        for Queue { tenant, name, controls } in queues {
            known.insert(tenant, name, *controls);
        }
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = known;
    }

    fn keep(&self, queues: &[Queue]) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for Queue { tenant, name, controls } in queues {
            if controls.is_none() {
                known.remove(tenant, name);
            } else {
                known.insert(tenant, name, *controls);
            }
        }
    }

    /// What was set for a queue.
    pub fn of(&self, tenant: &TenantId, queue: &QueueName) -> Controls {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.get(tenant, queue).copied().unwrap_or_default()
    }

    /// Whether no queue has any.
    pub fn is_empty(&self) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Whether a claim asks for any such queue.
    pub fn concern(&self, want: &Want) -> bool {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        match &want.queues {
            Some(queues) => queues.iter().any(|queue| known.get(&want.tenant, queue).is_some()),
            None => known.count(&want.tenant) > 0,
        }
    }
}

impl Turn {
    /// Changes what is set for a queue.
    pub fn control(&mut self, order: &QueueOrder) -> Result<(), Denied> {
        let QueueOrder { tenant, name, change } = order;
        // Every queue whose controls a command changes is in the set.
        let Some(standing) = self.set.queues.get_mut(tenant, name) else { return Ok(()) };
        let (before, after) = (standing.controls, standing.controls.with(*change));
        if before == after {
            return Ok(());
        }
        let count = self.set.controlled_of.entry(tenant.clone()).or_default();
        match (before.is_none(), after.is_none()) {
            (true, false) if *count >= limits::QUEUES_CONTROLLED_MAX => return Err(Denied::TooManyQueues),
            (true, false) => *count += 1,
            (false, true) => *count = count.saturating_sub(1),
            _ => {}
        }
        standing.controls = after;
        self.changes.queues.push(Queue { tenant: tenant.clone(), name: name.clone(), controls: after });
        Ok(())
    }

    /// Whether another operation of a lane may start, as the turn stands.
    pub fn gate(&self, lane: &Lane) -> Gate {
        let standing = self.set.queues.get(&lane.tenant, &lane.queue);
        standing.map_or(Gate::Open(usize::MAX), Standing::gate)
    }

    /// Whether another operation may come to wait in a lane.
    pub(super) fn admit(&self, lane: &Lane) -> Result<(), Denied> {
        let standing = self.set.queues.get(&lane.tenant, &lane.queue);
        if standing.is_none_or(|standing| standing.controls.admits(standing.waiting)) {
            Ok(())
        } else {
            Err(Denied::QueueFull)
        }
    }

    /// Counts what is about to change in a queue with controls.
    pub(super) fn count(&mut self, seq: Seq, after: Option<&Operation>) {
        if self.set.queues.is_empty() {
            return;
        }
        let before = self.current(seq);
        let Some(lane) = after.or(before).map(|operation| operation.spec.lane.clone()) else { return };
        let before = before.map(Part::of);
        if let Some(standing) = self.set.queues.get_mut(&lane.tenant, &lane.queue) {
            standing.moved(before, after.map(Part::of));
        }
    }
}

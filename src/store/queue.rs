//! Queues that are paused or limited, as a turn finds them. What that means for a claim or a submit is decided above the
//! stores; a store only loads enough for it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::turn::{Touches, WorkingSet};
use crate::operation::{Controls, Gate, Operation, QueueName, Status, TenantId};

/// A queue and what was set for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// Whose.
    pub tenant: TenantId,
    /// Which.
    pub name: QueueName,
    /// As they are now; a queue without any is not kept.
    pub controls: Controls,
}

/// Something of each of a few queues. Looking one up costs no copy of its name.
#[derive(Debug, Clone)]
pub struct ByQueue<T>(HashMap<TenantId, HashMap<QueueName, T>>);

impl<T> Default for ByQueue<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T> ByQueue<T> {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// That of one queue.
    pub fn get(&self, tenant: &TenantId, queue: &QueueName) -> Option<&T> {
        self.0.get(tenant)?.get(queue)
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, tenant: &TenantId, queue: &QueueName) -> Option<&mut T> {
        self.0.get_mut(tenant)?.get_mut(queue)
    }

    /// Its place, whether or not anything is there.
    pub fn entry(&mut self, tenant: &TenantId, queue: &QueueName) -> Entry<'_, QueueName, T> {
        self.0.entry(tenant.clone()).or_default().entry(queue.clone())
    }

    /// Sets it.
    pub fn insert(&mut self, tenant: &TenantId, queue: &QueueName, value: T) {
        self.0.entry(tenant.clone()).or_default().insert(queue.clone(), value);
    }

    /// Takes it away.
    pub fn remove(&mut self, tenant: &TenantId, queue: &QueueName) {
        if let Some(of_tenant) = self.0.get_mut(tenant) {
            of_tenant.remove(queue);
            if of_tenant.is_empty() {
                self.0.remove(tenant);
            }
        }
    }

    /// Those of a tenant.
    pub fn of_tenant<'a>(
        &'a self,
        tenant: &TenantId,
    ) -> impl Iterator<Item = (&'a QueueName, &'a T)> + use<'a, T> {
        self.0.get(tenant).into_iter().flatten()
    }

    /// How many a tenant has.
    pub fn count(&self, tenant: &TenantId) -> usize {
        self.0.get(tenant).map_or(0, HashMap::len)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&TenantId, &QueueName, &T)> {
        self.0
            .iter()
            .flat_map(|(tenant, queues)| queues.iter().map(move |(queue, value)| (tenant, queue, value)))
    }
}

/// How a queue stands within a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// What was set for it.
    pub controls: Controls,
    /// How many leases there are on its operations.
    pub running: usize,
    /// How many of its operations are `NotStarted`. Only where `max_waiting` is set or a command changes the controls, and
    /// not for wants alone; else 0.
    pub waiting: u64,
}

impl Standing {
    /// Whether another of its operations may start.
    pub fn gate(&self) -> Gate {
        self.controls.gate(self.running)
    }

    /// A command of the turn took one of its operations from one place to another; none: it was not there, or is gone.
    pub fn moved(&mut self, before: Option<Part>, after: Option<Part>) {
        let is = |part: Option<Part>, one: Part| part == Some(one);
        self.running += usize::from(is(after, Part::Running));
        self.running = self.running.saturating_sub(usize::from(is(before, Part::Running)));
        self.waiting += u64::from(is(after, Part::Waiting));
        self.waiting = self.waiting.saturating_sub(u64::from(is(before, Part::Waiting)));
    }
}

/// Under what an operation counts for the limits of its queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// `NotStarted` in its queue.
    Waiting,
    /// Under a lease.
    Running,
    /// Neither: it has ended, or is external.
    Neither,
}

impl Part {
    /// Where it counts.
    pub fn of(operation: &Operation) -> Self {
        if operation.lease().is_some() {
            Self::Running
        } else if operation.status() == Status::NotStarted && !operation.spec.external {
            Self::Waiting
        } else {
            Self::Neither
        }
    }
}

/// How many operations of each queue with controls may start in the turn at most: were all leases over that its commands
/// and the tick can end, and, where its controls change, without a limit. For the stores, once those are loaded.
pub(in crate::store) fn startable(set: &WorkingSet, touches: &Touches) -> ByQueue<usize> {
    let mut most = ByQueue::default();
    if set.queues.is_empty() {
        return most;
    }
    let mut ending: ByQueue<usize> = ByQueue::default();
    for held in set.operations.values().filter(|operation| operation.lease().is_some()) {
        *ending.entry(held.tenant(), &held.spec.lane.queue).or_default() += 1;
    }
    for (tenant, queue, standing) in set.queues.iter() {
        let ending = ending.get(tenant, queue).copied().unwrap_or(0);
        let room = standing.controls.gate(standing.running.saturating_sub(ending)).room();
        most.insert(tenant, queue, room);
    }
    for (tenant, queue) in &touches.queues {
        most.insert(tenant, queue, usize::MAX);
    }
    most
}

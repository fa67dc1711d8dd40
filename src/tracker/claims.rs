//! The claims that wait because there is nothing they may take, and the notices for workers that do not call just now.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Instant;

use super::entry::{Claim, Exchange, Exchanged, Notice, Reply, Want};
use super::tail::Free;
use crate::limits;
use crate::operation::{ClaimId, TenantId, WorkerId};

/// A claim, and the call it came with.
#[derive(Debug)]
pub struct Waiter {
    /// The call; its reports have been dealt with.
    pub exchange: Exchange,
    /// Its claim.
    pub claim: Claim,
    /// What the call already has to say.
    pub answer: Exchanged,
    /// The way back.
    pub reply: Reply<Exchanged>,
}

impl Waiter {
    /// Whether nobody waits for the answer any more.
    pub fn is_gone(&self) -> bool {
        self.reply.is_closed()
    }

    fn worker(&self) -> (TenantId, WorkerId) {
        (self.exchange.tenant.clone(), self.exchange.worker.clone())
    }
}

/// Waiting claims, first come, first served.
#[derive(Debug, Default)]
pub struct Claims {
    waiters: BTreeMap<u64, Waiter>,
    deadlines: BTreeSet<(Instant, u64)>,
    by_worker: HashMap<(TenantId, WorkerId), BTreeSet<u64>>,
    arrivals: u64,
    notices: HashMap<(TenantId, WorkerId), Vec<Notice>>,
}

impl Claims {
    /// Lets a claim wait until its deadline. An older call with the same claim comes back: nobody listens to it.
    pub fn wait(&mut self, waiter: Waiter, until: Instant) -> Option<Waiter> {
        let older = self.superseded(&waiter.exchange.tenant, &waiter.exchange.worker, &waiter.claim.id);
        self.arrivals += 1;
        self.deadlines.insert((until, self.arrivals));
        self.by_worker.entry(waiter.worker()).or_default().insert(self.arrivals);
        self.waiters.insert(self.arrivals, waiter);
        older
    }

    /// The waiting claims in order of arrival.
    pub fn in_order(&self) -> impl Iterator<Item = (u64, &Waiter)> {
        self.waiters.iter().map(|(arrival, waiter)| (*arrival, waiter))
    }

    /// What waiting claims of some kind ask for, each wish once with the sum of their limits.
    pub fn wants(&self, concerned: impl Fn(&Want) -> bool) -> Vec<Want> {
        let mut limits = HashMap::new();
        for Waiter { claim: Claim { want, .. }, .. } in self.waiters.values() {
            *limits.entry((&want.tenant, &want.queues, &want.operation_types)).or_insert(0) += want.limit;
        }
        let wishes = limits.into_iter().map(|((tenant, queues, operation_types), limit)| Want {
            tenant: tenant.clone(),
            queues: queues.clone(),
            operation_types: operation_types.clone(),
            limit,
        });
        wishes.filter(concerned).collect()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiters.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }

    /// Whether any asks for one of these.
    pub(super) fn ask_for(&self, free: &HashSet<Free>) -> bool {
        let mut wants = self.waiters.values().map(|waiter| &waiter.claim.want);
        wants.any(|want| free.iter().any(|free| free.is_for(want)))
    }

    /// Ends the wait of one.
    pub fn take(&mut self, arrival: u64) -> Option<Waiter> {
        let waiter = self.waiters.remove(&arrival)?;
        if let Some(until) = waiter.claim.wait_until {
            self.deadlines.remove(&(until, arrival));
        }
        let key = waiter.worker();
        if let Some(arrivals) = self.by_worker.get_mut(&key) {
            arrivals.remove(&arrival);
            if arrivals.is_empty() {
                self.by_worker.remove(&key);
            }
        }
        Some(waiter)
    }

    /// When the next wait is over.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(until, _)| *until)
    }

    /// Those whose wait is over.
    pub fn expired(&mut self, now: Instant) -> Vec<Waiter> {
        let mut expired = Vec::new();
        while let Some((until, arrival)) = self.deadlines.first().copied().filter(|(until, _)| *until <= now)
        {
            self.deadlines.remove(&(until, arrival));
            expired.extend(self.take(arrival));
        }
        expired
    }

    /// All of them: the server shuts down.
    pub fn take_all(&mut self) -> Vec<Waiter> {
        let arrivals: Vec<u64> = self.waiters.keys().copied().collect();
        arrivals.into_iter().filter_map(|arrival| self.take(arrival)).collect()
    }

    /// An older call with the same claim: its worker asks anew and will not hear it.
    pub fn superseded(&mut self, tenant: &TenantId, worker: &WorkerId, claim: &ClaimId) -> Option<Waiter> {
        let arrivals = self.by_worker.get(&(tenant.clone(), worker.clone()))?;
        let arrival = *arrivals
            .iter()
            .find(|arrival| self.waiters.get(arrival).is_some_and(|waiter| waiter.claim.id == *claim))?;
        self.take(arrival)
    }

    /// Keeps a notice for a worker's next call.
    pub fn notify(&mut self, tenant: &TenantId, worker: &WorkerId, notice: Notice) {
        let kept = self.notices.entry((tenant.clone(), worker.clone())).or_default();
        if kept.len() < limits::NOTICES_PER_WORKER_MAX {
            kept.push(notice);
        }
        // A worker that never calls again leaves its notices behind; what they say is repeated in every outcome.
        if self.notices.len() > limits::NOTICES_WORKERS_MAX {
            let waiting = &self.by_worker;
            self.notices.retain(|worker, _| waiting.contains_key(worker));
        }
    }

    /// What was kept for a worker that calls.
    pub fn notices_for(&mut self, tenant: &TenantId, worker: &WorkerId) -> Vec<Notice> {
        if self.notices.is_empty() {
            return Vec::new();
        }
        self.notices.remove(&(tenant.clone(), worker.clone())).unwrap_or_default()
    }

    /// The waiting calls of workers that have something to hear, with what that is.
    pub fn notified(&mut self) -> Vec<(Waiter, Vec<Notice>)> {
        let heard: Vec<_> =
            self.notices.keys().filter(|worker| self.by_worker.contains_key(*worker)).cloned().collect();
        let mut calls = Vec::new();
        for worker in heard {
            let first = self.by_worker.get(&worker).and_then(|arrivals| arrivals.first().copied());
            let waiter = first.and_then(|arrival| self.take(arrival));
            if let (Some(waiter), Some(notices)) = (waiter, self.notices.remove(&worker)) {
                calls.push((waiter, notices));
            }
        }
        calls
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::NoticeKind;
    use super::*;
    use crate::operation::{LeaseToken, OperationId};

    #[test]
    fn so_many_notices_are_kept_of_a_worker_that_does_not_call_and_of_so_many_workers() {
        let mut claims = Claims::default();
        let tenant = TenantId::default();
        let worker = |number: usize| WorkerId::parse(&format!("w{number}")).unwrap();
        let notice = || Notice { id: OperationId::fresh(), token: LeaseToken(1), kind: NoticeKind::Cancel };
        for (told, kept) in [(-1, -1), (0, 0), (1, 0)] {
            let count = |more: isize| limits::NOTICES_PER_WORKER_MAX.checked_add_signed(more).unwrap();
            for _ in 0..count(told) {
                claims.notify(&tenant, &worker(0), notice());
            }
            assert_eq!(claims.notices_for(&tenant, &worker(0)).len(), count(kept));
            assert!(claims.notices_for(&tenant, &worker(0)).is_empty(), "they are told once");
        }
        for number in 0..limits::NOTICES_WORKERS_MAX {
            claims.notify(&tenant, &worker(number), notice());
        }
        assert_eq!(claims.notices.len(), limits::NOTICES_WORKERS_MAX);
        claims.notify(&tenant, &worker(limits::NOTICES_WORKERS_MAX), notice());
        assert!(claims.notices.is_empty(), "none of them waits");
    }
}

//! What is said once a turn is durable: to the cache, to those who asked, to those who follow.

use std::sync::Arc;

use super::claims::Waiter;
use super::entry::{Claimed, Denied, Entry, Exchanged, Reply};
use super::handover;
use super::intake::{Done, Finished, Intake};
use crate::operation::{Operation, Seq, Timestamp};
use crate::store::Whose;

/// Answers a worker's call; what it brings for nobody goes back to its lanes.
pub(super) fn exchange(reply: Reply<Exchanged>, answer: Exchanged) -> Vec<Claimed> {
    match reply.send(Ok(answer)) {
        Ok(()) => Vec::new(),
        Err(unheard) => unheard.map(|answer| answer.operations).unwrap_or_default(),
    }
}

/// Tells all of them the same bad news.
pub(super) fn deny(entries: Vec<Entry>, denied: &Denied) {
    for entry in entries {
        let denied = denied.clone();
        // Whoever is gone does not need to hear it.
        match entry {
            Entry::Submit(_, reply) => drop(reply.send(Err(denied))),
            Entry::Command(_, reply) => drop(reply.send(Err(denied))),
            Entry::Exchange(_, reply) => drop(reply.send(Err(denied))),
            Entry::Token(_, reply) | Entry::Queue(_, reply) => drop(reply.send(Err(denied))),
            Entry::Return(_) => {}
        }
    }
}

impl Intake {
    /// Publishes a durable turn: first what readers see, then the answers, so that who has its answer reads it back.
    pub(super) fn answer(&mut self, entries: Vec<Entry>, finished: Finished) {
        let Finished { mut turn, done, served } = finished;
        let now = turn.now();
        let mut changes = std::mem::take(&mut turn.changes);
        if self.shared.many {
            self.shared.own.committed(&mut changes);
        } else {
            self.shared.watch.record(&mut changes);
        }
        let mut committed: Vec<Option<Arc<Operation>>> = Vec::with_capacity(changes.operations.len());
        for touched in changes.operations.drain(..) {
            let after = touched.after.map(|mut after| {
                after.checkpoint = None;
                Arc::new(after)
            });
            if !self.shared.many {
                self.publish(touched.before.as_deref(), after.as_ref(), touched.cursor);
            }
            committed.push(after);
        }
        for (tenant, worker, notice) in turn.notices.drain(..) {
            self.claims.notify(&tenant, &worker, notice);
        }
        let claimed = |taken: Vec<Seq>| -> Vec<Claimed> {
            let operation_of = |seq: Seq| match turn.place(seq) {
                Some(place) => committed[place].clone(),
                None => turn.set.operations.get(&seq).cloned(),
            };
            taken.into_iter().filter_map(operation_of).filter_map(|operation| held(operation, now)).collect()
        };
        let mut unheard = Vec::new();
        for (arrival, taken) in served {
            if let Some(waiter) = self.claims.take(arrival) {
                let mut answer = waiter.answer;
                answer.operations = claimed(taken);
                answer.notices = self.claims.notices_for(&waiter.exchange.tenant, &waiter.exchange.worker);
                unheard.extend(exchange(waiter.reply, answer));
            }
        }
        for (entry, done) in entries.into_iter().zip(done) {
            match (entry, done) {
                (Entry::Submit(_, reply), Done::Submitted(result)) => drop(reply.send(result)),
                (Entry::Command(_, reply), Done::Ordered(result)) => drop(reply.send(result)),
                (Entry::Queue(_, reply), Done::Controlled(result)) => drop(reply.send(result)),
                (Entry::Token(_, reply), _) => drop(reply.send(Ok(()))),
                (Entry::Exchange(call, reply), Done::Exchanged(outcomes, taken)) => {
                    let notices = self.claims.notices_for(&call.tenant, &call.worker);
                    let answer = Exchanged { outcomes, operations: claimed(taken), notices };
                    unheard.extend(self.answer_or_wait(call, reply, answer));
                }
                _ => {}
            }
        }
        self.tell_notified();
        handover::give_back(&*self.inbox, &unheard);
    }

    /// Answers the waiting calls of workers that have something to hear.
    pub(super) fn tell_notified(&mut self) {
        for (waiter, notices) in self.claims.notified() {
            exchange(waiter.reply, Exchanged { notices, ..waiter.answer });
        }
    }

    fn publish(&self, before: Option<&Operation>, after: Option<&Arc<Operation>>, cursor: i64) {
        if let Some(after) = after {
            self.shared.cache.put(after);
        } else if let Some(before) = before {
            self.shared.cache.remove(before.tenant(), before.spec.id);
        }
        // A heartbeat is no change that a follower waits for.
        if let Some(before) =
            before.filter(|before| after.is_none_or(|after| after.version != before.version))
        {
            let whose = || Whose::Operation(before.tenant().clone(), before.spec.id);
            self.shared.watch.ring(whose, cursor);
        }
    }

    /// A call with nothing to say waits, if it wants to; with reports in it, it is answered at once.
    fn answer_or_wait(
        &mut self,
        call: super::entry::Exchange,
        reply: Reply<Exchanged>,
        answer: Exchanged,
    ) -> Vec<Claimed> {
        let idle = answer.operations.is_empty() && answer.notices.is_empty() && call.reports.is_empty();
        match call.claim.clone() {
            Some(claim) if idle && !self.draining() => match claim.wait_until {
                Some(until) => {
                    let waiter = Waiter { exchange: call, claim, answer, reply };
                    let older = self.claims.wait(waiter, until);
                    older.map_or_else(Vec::new, |older| exchange(older.reply, Exchanged::default()))
                }
                None => exchange(reply, answer),
            },
            _ => exchange(reply, answer),
        }
    }
}

fn held(operation: Arc<Operation>, now: Timestamp) -> Option<Claimed> {
    let lease = operation.lease()?;
    let (token, left) = (lease.token, lease.until.since(now));
    Some(Claimed { operation, token, left })
}

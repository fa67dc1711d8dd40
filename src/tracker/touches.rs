//! What a turn needs loaded, by what is in its batch.

use super::entry::{Entry, Want};
use super::intake::{Chores, Intake};
use crate::limits;
use crate::operation::{QueueName, TenantId};
use crate::store::turn::Touches;

impl Intake {
    /// What a batch needs loaded.
    pub(super) fn touches(&self, entries: &[Entry], chores: Chores) -> Touches {
        let mut touches = Touches { rest_leases: chores.late, prune: chores.prune, ..Touches::default() };
        if chores.due {
            touches.due = limits::TURN_DUE_MAX;
        }
        for entry in entries {
            self.touch(&mut touches, entry);
        }
        touches.peek = chores.peek;
        touches.waiting = if chores.peek { self.peeked() } else { self.woken(entries, &touches) };
        touches
    }

    fn touch(&self, touches: &mut Touches, entry: &Entry) {
        match entry {
            Entry::Submit(submit, _) => {
                let spec = &submit.submission.spec;
                touches.lanes.push(spec.lane.clone());
                touches.deposits.extend(submit.deposit);
                if submit.id_chosen {
                    touches.ids.push((spec.lane.tenant.clone(), spec.id));
                }
                if let Some(key) = &spec.key {
                    touches.keys.push((spec.lane.tenant.clone(), key.clone()));
                }
            }
            Entry::Command(order, _) => touches.ids.push((order.tenant.clone(), order.id)),
            Entry::Exchange(exchange, _) => {
                let ids = exchange.reports.iter().map(|reported| (exchange.tenant.clone(), reported.id));
                touches.ids.extend(ids);
                if let Some(claim) = exchange.claim.as_ref().filter(|_| !self.draining()) {
                    let (tenant, worker) = (exchange.tenant.clone(), exchange.worker.clone());
                    touches.claims.push((tenant, worker, claim.id.clone()));
                    touches.wants.push(claim.want.clone());
                }
            }
            Entry::Return(taken) => {
                touches.ids.extend(taken.iter().map(|(tenant, id, _)| (tenant.clone(), *id)));
            }
            Entry::Queue(order, _) => touches.queues.push((order.tenant.clone(), order.name.clone())),
            Entry::Token(..) => {}
        }
    }

    /// What waiting claims ask for, where other nodes may have made some of it ready.
    fn peeked(&self) -> Vec<Want> {
        let mut wants = self.claims.wants(|_| true);
        for want in &mut wants {
            want.limit = want.limit.min(limits::TURN_PEEKED_MAX);
        }
        wants
    }

    /// What waiting claims may come to have beside what becomes ready: operations of queues with controls, once leases end
    /// there or the controls change.
    fn woken(&self, entries: &[Entry], touches: &Touches) -> Vec<Want> {
        let controlled = &self.shared.controlled;
        if controlled.is_empty() && touches.queues.is_empty() {
            return Vec::new();
        }
        let ends_leases = |entry: &Entry| match entry {
            Entry::Exchange(exchange, _) => !exchange.reports.is_empty(),
            Entry::Return(_) => true,
            _ => false,
        };
        if touches.due == 0 && touches.queues.is_empty() && !entries.iter().any(ends_leases) {
            return Vec::new();
        }
        let asks_for = |want: &Want, (tenant, queue): &(TenantId, QueueName)| {
            want.tenant == *tenant && want.queues.as_ref().is_none_or(|queues| queues.contains(queue))
        };
        self.claims.wants(|want| {
            controlled.concern(want) || touches.queues.iter().any(|changed| asks_for(want, changed))
        })
    }
}

//! Which call goes out when.

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::call::Outstanding;
use super::report;
use super::runtime::Runtime;
use crate::handler::Key;
use crate::wire::{Claim, ExchangeRequest, Report, Status};

/// The protocol's bound on a claim.
const CLAIM_MAX: usize = 1000;
/// Parked operations hold no slot but a lease and a task each. Beyond this the heartbeats of a worker would
/// become a load of their own.
const HELD_MAX: usize = 10_000;

impl Runtime {
    /// Starts every call that can be started.
    pub(super) fn launch(&mut self, now: Instant) {
        if self.drain.as_ref().is_some_and(|drain| drain.mute) {
            return;
        }
        if self.beating.is_none() {
            self.launch_beating();
        }
        if self.reporting.is_none() {
            self.launch_reporting(now);
        }
        if self.shared.slots.is_shared() && self.shared.slots.free() == 0 {
            // What it brought would be called running and wait, maybe for long.
            self.claiming = None;
        }
        // Beside reports a claim only goes along with them: what they free is part of its limit.
        if self.claiming.is_none()
            && self.reporting.is_none()
            && let Some(claim) = self.claim(self.options.wait_seconds)
        {
            self.claiming = Some(self.call(Vec::new(), Some(claim), self.shared.draining.clone()));
        }
    }

    fn launch_beating(&mut self) {
        let held = &self.held;
        let alive = |key: &Key| held.get(key).is_some_and(|entry| !entry.lost);
        let beats = self.outbox.beats().filter(alive);
        let reports: Vec<Report> = beats.map(|key| Report::new(key.id, key.token, Status::Running)).collect();
        if !reports.is_empty() {
            self.beating = Some(self.call(reports, None, CancellationToken::new()));
        }
    }

    fn launch_reporting(&mut self, now: Instant) {
        let recall = self.drain.as_mut().and_then(|drain| drain.recall.take());
        let due = self.outbox.due(now).is_some_and(|due| due <= now);
        if !due && recall.is_none() {
            return;
        }
        let reports = self.batch(now);
        let claim = match recall {
            Some(recall) => Some(recall),
            None if self.claiming.is_some() || self.suspect_claim => None,
            None => self.claim(0),
        };
        if !reports.is_empty() || claim.is_some() {
            // Never given up: what is in it may have been acted upon.
            self.reporting = Some(self.call(reports, claim, CancellationToken::new()));
        }
    }

    fn batch(&mut self, now: Instant) -> Vec<Report> {
        let held = &mut self.held;
        self.outbox.batch(now, |key| {
            let entry = held.get_mut(&key)?;
            entry.has_news = false;
            // The news of an operation that is lost interest nobody.
            if entry.lost {
                return None;
            }
            Some(report::running(&entry.held))
        })
    }

    /// A claim for the free slots, if there are any and the worker still claims.
    fn claim(&self, wait_seconds: u32) -> Option<Claim> {
        let mut free = self.shared.slots.free();
        if wait_seconds > 0 && self.shared.slots.is_shared() {
            free = free.min(1); // by the time it is answered there may be no more
        }
        let limit = free.min(HELD_MAX.saturating_sub(self.held.len())).min(CLAIM_MAX);
        if limit == 0 || self.drain.is_some() {
            return None;
        }
        Some(Claim {
            id: Uuid::new_v4().simple().to_string(),
            queues: Some(self.options.queues.clone()).filter(|queues| !queues.is_empty()),
            operation_types: Some(self.options.operation_types.clone()),
            limit: u32::try_from(limit).unwrap_or(u32::MAX), // it is at most 1,000
            lease_seconds: self.options.lease_seconds,
            wait_seconds,
        })
    }

    fn call(&self, reports: Vec<Report>, claim: Option<Claim>, give_up: CancellationToken) -> Outstanding {
        let request = ExchangeRequest { worker_id: self.options.worker_id.clone(), reports, claim };
        Outstanding::new(&self.exchange, request, self.options.patience(), give_up)
    }
}

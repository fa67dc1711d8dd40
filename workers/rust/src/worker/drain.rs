//! The end of a worker: no more claims, handlers finish or hand back, every report is delivered.

use std::time::Duration;

use tokio::time::Instant;

use super::WorkerError;
use super::call::CallEnd;
use super::runtime::{NEVER, Runtime};
use crate::exchange::ExchangeError;
use crate::handler::{Key, StopReason};
use crate::wire::Claim;

/// How long handlers have when the server wants nothing of the worker any more.
const SHORT_GRACE: Duration = Duration::from_secs(1);
/// How long the last reports may take after the grace time, while the server does not answer.
const DELIVERY: Duration = Duration::from_secs(5);

/// A shutdown under way.
pub(super) struct Drain {
    grace: Duration,
    /// When the next handler is told to stop.
    next_stop: Instant,
    /// All of them are told at once.
    stop_now: bool,
    abort_at: Instant,
    deliver_until: Instant,
    /// A claim that hung when the shutdown began. Withdrawing the call is not enough, since its answer may
    /// be on its way: the same claim is sent once more, without a wait. That ends the older call, and
    /// brings whatever was leased under it, to be handed back.
    pub(super) recall: Option<Claim>,
    /// The server takes nothing of this worker: no call makes sense.
    pub(super) mute: bool,
    /// Why the worker ends, if not since it was asked to.
    error: Option<WorkerError>,
}

impl Drain {
    pub(super) fn next_step(&self, now: Instant) -> Instant {
        [self.next_stop, self.abort_at, self.deliver_until]
            .into_iter()
            .find(|&step| now < step)
            .unwrap_or(now + NEVER)
    }

    /// When a handler is told to stop, so that it has the time to, but not most of a short grace time.
    fn stop_at(&self, stop_within: Duration) -> Instant {
        self.abort_at - stop_within.min(self.grace * 2 / 3)
    }
}

impl Runtime {
    pub(super) fn begin_drain(&mut self, now: Instant, grace: Duration) {
        tracing::info!(held = self.held.len(), ?grace, "worker shuts down");
        self.shared.draining.cancel();
        let recall = self.claiming.as_ref().and_then(|call| call.claim.clone());
        self.drain = Some(Drain {
            grace,
            next_stop: now,
            stop_now: false,
            abort_at: now + grace,
            deliver_until: now + grace + DELIVERY,
            recall: recall.map(|claim| Claim { limit: 1, wait_seconds: 0, ..claim }),
            mute: false,
            error: None,
        });
        for entry in self.held.values().filter(|entry| !entry.held.started()) {
            entry.held.stop(StopReason::Shutdown);
        }
    }

    /// Ends the worker, since the server does not want it. Handlers are told at once.
    pub(super) fn fail(&mut self, error: WorkerError, now: Instant) {
        tracing::error!(%error, "worker ends");
        if self.drain.is_none() {
            self.begin_drain(now, SHORT_GRACE);
        }
        if let Some(drain) = &mut self.drain {
            drain.stop_now = true;
            drain.mute |= matches!(error, WorkerError::Denied { .. });
            drain.recall = None;
            drain.error.get_or_insert(error);
        }
    }

    /// Takes the steps of the shutdown whose time has come.
    pub(super) fn advance_drain(&mut self, now: Instant) {
        let Some(drain) = &mut self.drain else { return };
        if now >= drain.abort_at {
            let late: Vec<Key> = self.held.keys().copied().collect();
            for key in late {
                self.abort(key);
            }
            return;
        }
        drain.next_stop = drain.abort_at;
        for entry in self.held.values() {
            let stop_at = drain.stop_at(entry.stop_within);
            if drain.stop_now || stop_at <= now {
                entry.held.stop(StopReason::Shutdown);
            } else {
                drain.next_stop = drain.next_stop.min(stop_at);
            }
        }
    }

    /// The hanging claim has ended: unless it was given up, there is nothing to recall any more.
    pub(super) fn claim_ended(&mut self, end: &CallEnd) {
        if let Some(drain) = &mut self.drain
            && !matches!(end.result, Err(ExchangeError::Lost { .. }))
        {
            drain.recall = None;
        }
    }

    /// A claim was answered: an older call with the same claim holds nothing any more.
    pub(super) fn recalled(&mut self, claim: Option<&Claim>) {
        let id = claim.map(|claim| &claim.id);
        if self.claiming.as_ref().is_some_and(|call| call.claim.as_ref().map(|claim| &claim.id) == id) {
            self.claiming = None;
        }
    }

    pub(super) fn is_over(&self, now: Instant) -> bool {
        let Some(drain) = &self.drain else { return false };
        let told = self.outbox.is_empty() && self.reporting.is_none();
        let claims_settled = drain.recall.is_none() && self.claiming.is_none();
        let finished = self.held.is_empty() && (drain.mute || (told && claims_settled));
        finished || now >= drain.deliver_until
    }

    pub(super) fn farewell(&mut self) -> Result<(), WorkerError> {
        if let Some(error) = self.drain.take().and_then(|drain| drain.error) {
            return Err(error);
        }
        let reports = self.outbox.ends() + self.reporting.as_ref().map_or(0, |call| call.ends);
        if reports > 0 { Err(WorkerError::Undelivered { reports }) } else { Ok(()) }
    }
}

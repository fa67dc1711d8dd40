//! Heartbeats, and leases that end. Only the monotonic clock counts here, and only durations come from the
//! server, so a wrong wall clock does no harm.

use std::time::Duration;

use tokio::time::Instant;

use super::answer::seconds;
use super::report;
use super::runtime::{Entry, NEVER, Runtime};
use crate::handler::{Key, StopReason};
use crate::wire::Report;

/// The server ends a lease where the attempt's timeout ends it; rounding apart, that is the timeout.
const TIMEOUT_TOLERANCE: Duration = Duration::from_secs(1);

impl Entry {
    /// When the handler has to have stopped, as far as is known.
    pub(super) fn end(&self) -> Instant {
        let lease_end = self.held.lease_end();
        self.timeout_at.map_or(lease_end, |timeout| timeout.min(lease_end))
    }

    /// The lease lasts this long from the moment at which the report was sent: the server counts from a
    /// later one.
    pub(super) fn renew(&mut self, sent: Instant, lease_seconds: f64, lease_seconds_asked: f64) {
        self.held.set_lease_end(sent + seconds(lease_seconds));
        // A lease that is no longer extended shrinks; the thirds of it must not become a flood.
        self.next_heartbeat = sent + seconds((lease_seconds / 3.0).max(lease_seconds_asked / 12.0));
    }

    fn end_reason(&self, now: Instant) -> StopReason {
        match self.timeout_at {
            Some(timeout) if timeout <= now + TIMEOUT_TOLERANCE => StopReason::Timeout,
            _ => StopReason::LeaseLost,
        }
    }

    fn wants_heartbeats(&self) -> bool {
        !self.beats && self.abort_at.is_none()
    }
}

impl Runtime {
    /// Queues the heartbeats that are due, stops handlers whose time is over, aborts those that were
    /// stopped and went on. Looks at all of them, but only when the earliest is due.
    pub(super) fn look_at_leases(&mut self, now: Instant) {
        if now < self.wake {
            return;
        }
        // What falls due soon is done with what is due: heartbeats gather into batches by themselves.
        let soon = now + Duration::from_secs(self.options.lease_seconds.into()) / 30;
        let mut wake = now + NEVER;
        let mut overdue = Vec::new();
        for (&key, entry) in &mut self.held {
            if entry.abort_at.is_none() && entry.end() <= now {
                entry.held.stop(entry.end_reason(now));
                entry.abort_at = Some(now + entry.stop_within);
            }
            match entry.abort_at {
                Some(at) if at <= now => overdue.push(key),
                Some(at) => wake = wake.min(at),
                None => wake = wake.min(entry.end()),
            }
            if entry.wants_heartbeats() {
                if entry.next_heartbeat <= soon {
                    entry.beats = true;
                    self.outbox.heartbeat(key);
                } else {
                    wake = wake.min(entry.next_heartbeat);
                }
            }
        }
        self.wake = wake;
        for key in overdue {
            self.abort(key);
        }
    }

    /// These heartbeats are no longer on their way: the next ones may go out.
    pub(super) fn have_beaten(&mut self, reports: &[Report]) {
        for report in reports {
            let key = Key { id: report.id, token: report.lease_token };
            if let Some(entry) = self.held.get_mut(&key) {
                entry.beats = false;
            }
        }
    }

    /// The server says that the lease is gone: the handler stops, and nothing more is said of it.
    pub(super) fn lose(&mut self, key: Key, why: &str) {
        let Some(entry) = self.held.get_mut(&key).filter(|entry| !entry.lost) else { return };
        tracing::warn!(id = %key.id, lease_token = key.token, why, "lease lost");
        entry.lost = true;
        entry.held.stop(StopReason::LeaseLost);
        let abort_at = Instant::now() + entry.stop_within;
        entry.abort_at.get_or_insert(abort_at);
        self.wake = self.wake.min(abort_at);
        self.stats.lost();
    }

    /// Ends a handler that does not end itself, and says so unless the lease is gone anyway.
    pub(super) fn abort(&mut self, key: Key) {
        let Some(entry) = self.held.remove(&key) else { return };
        tracing::warn!(id = %key.id, lease_token = key.token, reason = ?entry.held.reason(), "handler aborted");
        entry.task.abort();
        entry.held.leave_slot();
        if !entry.lost {
            for report in report::of_abort(&entry.held) {
                self.outbox.push(report);
            }
        }
    }
}

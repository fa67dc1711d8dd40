//! What an answer changes.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::attempt::carry_out;
use super::call::CallEnd;
use super::runtime::{Entry, Runtime};
use super::{WorkerError, report};
use crate::exchange::ExchangeError;
use crate::handler::{Held, Key, StopReason};
use crate::wire::{
    ClaimedOperation, ExchangeRequest, Notice, NoticeKind, OperationError, Outcome, Report, Status,
};

/// Never sent: stands for an outcome that the server owes.
const NO_OUTCOME: &str = "noOutcome";

impl Runtime {
    pub(super) fn answered(&mut self, end: CallEnd, now: Instant) {
        let CallEnd { request, sent, result } = end;
        match result {
            Ok(answer) => {
                self.suspect_claim &= request.claim.is_none();
                let granted = granted_at(&request, sent, now);
                self.outcomes(request.reports, answer.outcomes, sent);
                for notice in &answer.notices {
                    self.notice(notice);
                }
                for claimed in answer.operations {
                    self.take_up(claimed, granted, now);
                }
                self.recalled(request.claim.as_ref());
            }
            // Only a call that was given up ends so, and the drain knows what to do about it.
            Err(ExchangeError::Lost { .. }) => {}
            Err(ExchangeError::Denied { code, message }) => {
                self.fail(WorkerError::Denied { code, message }, now);
            }
            Err(ExchangeError::Refused { code, message }) => self.refused(request, code, message, now),
        }
    }

    fn outcomes(&mut self, reports: Vec<Report>, outcomes: Vec<Outcome>, sent: Instant) {
        if reports.len() != outcomes.len() {
            tracing::error!(reports = reports.len(), outcomes = outcomes.len(), "outcomes are missing");
        }
        let mut outcomes = outcomes.into_iter();
        for report in reports {
            // What the server did with it is unknown, and a worker that knows nothing has no lease.
            let outcome = outcomes.next().unwrap_or_else(|| no_outcome(&report));
            if report.status == Status::Running {
                self.running_outcome(&report, outcome, sent);
            } else {
                self.end_outcome(&report, outcome.error);
            }
        }
    }

    fn running_outcome(&mut self, report: &Report, outcome: Outcome, sent: Instant) {
        let key = Key { id: report.id, token: report.lease_token };
        let lease_seconds = f64::from(self.options.lease_seconds);
        let Some(entry) = self.held.get_mut(&key) else { return };
        match outcome.error {
            None => entry.renew(sent, outcome.lease_seconds.unwrap_or(lease_seconds), lease_seconds),
            Some(error) if ends_the_attempt(&error) => return self.lose(key, &error.message),
            Some(error) => {
                // The next one is a bare heartbeat, which nothing should be wrong with.
                entry.next_heartbeat = sent + seconds(lease_seconds / 12.0);
                tracing::error!(id = %key.id, code = %error.code, message = %error.message, "progress refused");
            }
        }
        self.wake = self.wake.min(entry.next_heartbeat).min(entry.end());
        if outcome.cancel_requested {
            entry.held.stop(StopReason::Cancel);
        }
    }

    fn end_outcome(&mut self, report: &Report, error: Option<OperationError>) {
        let Some(error) = error else {
            match report.status {
                Status::Completed => self.stats.completed(),
                Status::Failed => self.stats.failed(),
                Status::NotStarted | Status::Running => self.stats.released(),
            }
            return;
        };
        tracing::warn!(
            id = %report.id, status = %report.status, code = %error.code, message = %error.message,
            "report refused"
        );
        if report.status == Status::Completed && error.code == "invalidRequest" {
            self.outbox.push(report::of_refused(report, &error));
        } else {
            self.stats.lost();
        }
    }

    fn notice(&mut self, notice: &Notice) {
        let key = Key { id: notice.id, token: notice.lease_token };
        match notice.kind {
            NoticeKind::Cancel => {
                if let Some(entry) = self.held.get(&key) {
                    entry.held.stop(StopReason::Cancel);
                }
            }
            NoticeKind::Lost => self.lose(key, "the server gave notice"),
            NoticeKind::Unknown => tracing::debug!(id = %notice.id, "notice of an unknown kind"),
        }
    }

    /// Starts what was claimed, or hands it back where that cannot be.
    fn take_up(&mut self, claimed: ClaimedOperation, granted: Instant, now: Instant) {
        let key = Key { id: claimed.operation.id, token: claimed.lease.token };
        if self.held.contains_key(&key) {
            return; // a claim that was repeated has brought it before
        }
        self.stats.claimed();
        let operation_type = claimed.operation.type_or_default();
        let handler = self.handlers.get(operation_type).cloned();
        let lease_end = granted + seconds(claimed.lease.seconds);
        let (Some(handler), None, true) = (handler, &self.drain, now < lease_end) else {
            if !self.handlers.contains_key(operation_type) {
                tracing::error!(id = %key.id, operation_type, "claimed an operation without a handler");
            }
            return self.outbox.push(Report::new(key.id, key.token, Status::NotStarted));
        };
        let timeout_at = claimed.operation.timeout_seconds.map(|timeout| granted + seconds(timeout));
        let next_heartbeat = granted + seconds(claimed.lease.seconds) / 3;
        let held = Arc::new(Held::new(claimed, lease_end, Arc::clone(&self.shared)));
        // At once, not in its task: the slots that are free are counted before that runs.
        held.try_slot();
        if held.operation.cancel_requested == Some(true) {
            held.stop(StopReason::Cancel); // a repeated claim may bring what was canceled meanwhile
        }
        let stop_within = handler.stop_within;
        let task = tokio::spawn(carry_out(handler, Arc::clone(&held)));
        let entry = Entry {
            held,
            task,
            next_heartbeat,
            timeout_at,
            stop_within,
            abort_at: None,
            has_news: false,
            beats: false,
            lost: false,
        };
        self.wake = self.wake.min(next_heartbeat).min(entry.end());
        self.held.insert(key, entry);
    }

    /// The server takes this request never.
    fn refused(&mut self, request: ExchangeRequest, code: String, message: String, now: Instant) {
        tracing::error!(%code, %message, reports = request.reports.len(), "exchange refused");
        let ExchangeRequest { reports, claim, .. } = request;
        if self.drain.is_some() && claim.is_some() {
            self.claiming = None; // the server will not say more of it
        } else if reports.is_empty() {
            return self.fail(WorkerError::ClaimRefused { code, message }, now);
        }
        if claim.is_some() && !self.suspect_claim {
            // The reports without the claim may pass; whether the claim alone does is seen after them.
            self.suspect_claim = true;
            return self.outbox.put_back(reports);
        }
        for report in reports {
            if report.status == Status::Running {
                self.lose(Key { id: report.id, token: report.lease_token }, &message);
            } else {
                self.stats.lost();
            }
        }
    }
}

/// Whether a report was refused since this worker no longer has the operation.
fn ends_the_attempt(error: &OperationError) -> bool {
    matches!(error.code.as_str(), "leaseLost" | "ended" | "itemNotFound" | NO_OUTCOME)
}

fn no_outcome(report: &Report) -> Outcome {
    let error = OperationError::new(NO_OUTCOME, "the server gave no outcome for the report");
    Outcome { id: report.id, error: Some(error), ..Outcome::default() }
}

/// From when on the leases of a claim count. One that did not hang was granted after it was sent; counting
/// from then errs on the safe side. One that hung may have been granted just now, but no later than its
/// wait allows: a process that was frozen for a minute must not take its leases for fresh.
fn granted_at(request: &ExchangeRequest, sent: Instant, now: Instant) -> Instant {
    let wait = request.claim.as_ref().map_or(0, |claim| claim.wait_seconds);
    if request.reports.is_empty() { now.min(sent + Duration::from_secs(wait.into())) } else { sent }
}

/// Seconds as the wire has them, whatever they are.
pub(super) fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.clamp(0.0, 1e9)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Claim;

    fn hanging(wait_seconds: u32) -> ExchangeRequest {
        ExchangeRequest {
            claim: Some(Claim { wait_seconds, ..Claim::default() }),
            ..ExchangeRequest::default()
        }
    }

    #[test]
    fn a_lease_that_came_along_with_reports_counts_from_their_sending() {
        let sent = Instant::now();
        let with_reports = ExchangeRequest { reports: vec![Report::default()], ..hanging(20) };
        assert_eq!(granted_at(&with_reports, sent, sent + Duration::from_secs(5)), sent);
    }

    #[test]
    fn a_lease_that_was_waited_for_counts_from_its_arrival_but_not_beyond_the_wait() {
        let sent = Instant::now();
        let soon = sent + Duration::from_secs(12);
        assert_eq!(granted_at(&hanging(20), sent, soon), soon);
        let frozen_for_a_minute = sent + Duration::from_mins(1);
        assert_eq!(granted_at(&hanging(20), sent, frozen_for_a_minute), sent + Duration::from_secs(20));
    }

    #[test]
    fn absurd_durations_do_no_harm() {
        assert_eq!(seconds(-1.0), Duration::ZERO);
        assert_eq!(seconds(f64::NAN), Duration::ZERO);
        assert_eq!(seconds(f64::INFINITY), Duration::from_secs(1_000_000_000));
    }
}

//! What a report of a running attempt does: it moves the end of the lease, and sometimes is a change.

use super::command::{Context, Report};
use super::event::EventKind;
use super::model::{Carrier, Lease, Operation, Progress, State};
use super::time::Timestamp;
use super::transition::Step;
use crate::limits;

/// Moves the lease's end: never beyond its cap, and never back (a lease that rests after an outage may lie beyond it).
pub(super) fn extend(lease: &mut Lease, now: Timestamp) {
    let until = now.plus_seconds(lease.seconds);
    lease.until = lease.until.max(lease.cap.map_or(until, |cap| until.min(cap)));
}

/// Progress with what was newly said of it; what was not mentioned stays.
pub(super) fn merged(standing: &Progress, said: &Progress) -> Progress {
    Progress {
        percent: said.percent.or(standing.percent),
        detail: said.detail.clone().or_else(|| standing.detail.clone()),
    }
}

/// The operation with what its lease still kept back: any transition tells it.
pub(super) fn settled(before: &Operation, lease: &Lease) -> Operation {
    let mut told = before.clone();
    if let Some((progress, _)) = &lease.pending {
        told.progress = progress.clone();
    }
    told
}

/// A `Running` report: a heartbeat, or progress.
pub(super) fn apply(before: &Operation, lease: &Lease, report: &Report, context: Context) -> Step {
    let mut lease = lease.clone();
    extend(&mut lease, context.now);
    let mut after = before.clone();
    if let Some(checkpoint) = &report.checkpoint {
        after.checkpoint = Some(checkpoint.clone());
    }
    let known = lease.pending.as_ref().map_or(&before.progress, |(pending, _)| pending);
    let said = report.progress.as_ref().map(|said| merged(known, said));
    let Some(said) = said.filter(|said| said != known) else {
        after.state = State::Running(Carrier::Worker(lease));
        return Step::Touched(Box::new(after));
    };
    if said == before.progress {
        // Back to what readers see anyway: there is nothing left to tell.
        lease.pending = None;
        after.state = State::Running(Carrier::Worker(lease));
        return Step::Touched(Box::new(after));
    }
    let window_end = window_end(before);
    if window_end > context.now {
        lease.pending = Some((said, window_end));
        after.state = State::Running(Carrier::Worker(lease));
        return Step::Touched(Box::new(after));
    }
    tell(after, lease, said, context.now)
}

/// The end of a progress window: what was kept back becomes a change.
pub(super) fn window_ended(before: &Operation, lease: &Lease, now: Timestamp) -> Step {
    match &lease.pending {
        Some((progress, window_end)) if *window_end <= now => {
            tell(before.clone(), lease.clone(), progress.clone(), now)
        }
        _ => Step::Unchanged,
    }
}

fn window_end(before: &Operation) -> Timestamp {
    before.progress_told.map_or(Timestamp::MIN, |(events, last)| {
        let window = if events < limits::PROGRESS_EVENTS_FAST {
            limits::PROGRESS_WINDOW
        } else {
            limits::PROGRESS_WINDOW_SLOW
        };
        last.plus(window)
    })
}

fn tell(mut after: Operation, mut lease: Lease, progress: Progress, now: Timestamp) -> Step {
    lease.pending = None;
    let events = after.progress_told.map_or(0, |(events, _)| events);
    after.progress = progress;
    after.progress_told = Some((events.saturating_add(1), now));
    after.state = State::Running(Carrier::Worker(lease));
    Step::Changed { operation: Box::new(after), event: EventKind::Progress, attempt: None }
}

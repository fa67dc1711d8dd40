//! When the loop prunes, and how much in one turn. What a client asked for goes first: a turn that carries its work prunes
//! little more than it adds, so that pruning keeps up and nobody waits for it; a turn with nothing else to do, one step.

use std::time::Duration;

use super::entry::Entry;
use super::turn::Turn;
use crate::limits;
use crate::operation::{Command, Timestamp};
use crate::store::clock::ClockState;
use crate::store::turn::Prune;

/// How long ended operations and events are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// An operation, from its end by the server's own time.
    pub operations: Duration,
    /// An event.
    pub events: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Self { operations: limits::RETAIN_DEFAULT, events: limits::RETAIN_EVENTS_DEFAULT }
    }
}

/// Between two looks for what has become too old, at least: each finds what a second has made so.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The same, at most: workers are forgotten, too.
const LOOK_AT_LEAST_EVERY: Duration = limits::WORKER_FORGOTTEN;
/// After a turn that the store refused.
const REST: Duration = Duration::from_secs(10);

/// Where the pruning is.
#[derive(Debug)]
pub(super) struct Pruning {
    retention: Retention,
    /// No look before this.
    next: Timestamp,
}

impl Pruning {
    pub(super) fn new(retention: Retention, now: Timestamp) -> Self {
        Self { retention, next: now }
    }

    /// Whether there may be something to prune. Not while the clock is in doubt: a wrong one must not delete the history.
    pub(super) fn is_due(&self, now: Timestamp, clock: ClockState) -> bool {
        now >= self.next && clock == ClockState::Following
    }

    /// What a turn with these entries prunes.
    pub(super) fn step(&self, now: Timestamp, clock: ClockState, entries: &[Entry]) -> Option<Prune> {
        if !self.is_due(now, clock) {
            return None;
        }
        let (operations, events) = budget(entries);
        Some(Prune {
            ended_before: now.minus(self.retention.operations),
            operations,
            events_before: now.minus(self.retention.events),
            events,
        })
    }

    /// A step is durable: on at once where there was more than it takes, else when the next thing becomes too old.
    pub(super) fn done(&mut self, now: Timestamp, prune: &Prune, turn: &Turn) {
        let oldest = turn.set.oldest;
        let more_workers = turn.changes.workers_forgotten.len() >= limits::PRUNE_WORKERS_MAX;
        if oldest.is_stale(prune) || more_workers {
            self.next = now;
            return;
        }
        let operation = oldest.ended.unwrap_or(now).plus(self.retention.operations);
        let event = oldest.happened.unwrap_or(now).plus(self.retention.events);
        self.next = operation.min(event).clamp(now.plus(LOOK_EVERY), now.plus(LOOK_AT_LEAST_EVERY));
    }

    /// The store refused a turn: not again at once.
    pub(super) fn put_off(&mut self, now: Timestamp) {
        self.next = now.plus(REST);
    }
}

/// Operations and events of one step. Beside client work a quarter more than that adds, so that a backlog shrinks under
/// any load: a submit adds an operation and, with its claim, two events; any other command one.
fn budget(entries: &[Entry]) -> (usize, usize) {
    if entries.is_empty() {
        return (limits::PRUNE_OPERATIONS_MAX, limits::PRUNE_EVENTS_MAX);
    }
    let (mut submits, mut others) = (0, 0);
    for entry in entries {
        match entry {
            Entry::Submit(..) => submits += 1,
            Entry::Exchange(exchange, _) => others += exchange.reports.len(),
            Entry::Command(order, _) if matches!(order.command, Command::Delete) => {}
            _ => others += 1,
        }
    }
    let more = |added: usize| added + added / 4 + 8;
    (
        more(submits).min(limits::PRUNE_OPERATIONS_MAX * 4),
        more(2 * submits + others).min(limits::PRUNE_EVENTS_MAX * 2),
    )
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;
    use crate::tracker::tests::submit;

    fn submits(count: usize) -> Vec<Entry> {
        let entry = || Entry::Submit(Box::new(submit("t")), oneshot::channel().0);
        std::iter::repeat_with(entry).take(count).collect()
    }

    fn start() -> Timestamp {
        Timestamp::from_ticks(17_000_000_000_000_000)
    }

    #[test]
    fn a_turn_prunes_more_than_it_adds_and_little_more() {
        for count in [1, 64, limits::TURN_SUBMITS_MAX] {
            let (operations, events) = budget(&submits(count));
            assert!(operations > count && operations <= count * 2 + 8, "{operations} beside {count}");
            assert!(events > 2 * count, "{events} beside {count}");
        }
    }

    #[test]
    fn pruning_rests_while_the_clock_is_in_doubt() {
        let pruning = Pruning::new(Retention::default(), start());
        let doubted = ClockState::Stepped { wall: start().plus(Duration::from_hours(9000)), now: start() };
        assert!(pruning.step(start(), doubted, &[]).is_none());
        let step = pruning.step(start(), ClockState::Following, &[]).unwrap();
        assert_eq!(step.ended_before.plus(Retention::default().operations), start());
    }
}

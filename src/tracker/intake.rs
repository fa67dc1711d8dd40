//! The loop: drain, load, apply, offer, commit, answer, publish. One thread, one batch, one sync at a time.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::answer;
use super::claims::Claims;
use super::entry::{Denied, Entry, Exchanged, ReportOutcome, Submitted};
use super::inbox::Inbox;
use super::offer::Pool;
use super::pruning::Pruning;
use super::shared::Shared;
use super::turn::Turn;
use crate::limits;
use crate::operation::{Operation, Seq, Timestamp};
use crate::store::clock::SetAhead;
use crate::store::turn::{Prune, WorkerSeen};
use crate::store::{Reader, Store, StoreError};

/// The loop wakes at least this often, to see whether it has been away.
const PULSE: Duration = Duration::from_secs(1);
/// A busy store is asked again after this at most, sooner at first: another node may only have been faster.
const BUSY_PAUSE: Duration = Duration::from_millis(10);
/// ... for so long.
const BUSY_MAX: Duration = Duration::from_secs(1);

/// The loop's own state.
pub struct Intake {
    pub(super) store: Box<dyn Store>,
    pub(super) reader: Arc<dyn Reader>,
    pub(super) inbox: Arc<Inbox>,
    pub(super) shared: Arc<Shared>,
    pub(super) claims: Claims,
    /// The earliest moment at which time itself acts; none: nothing ever falls due.
    pub(super) next_due: Option<Timestamp>,
    /// When the loop last looked at the store's clock.
    pub(super) alive_at: Timestamp,
    /// It was away for so long that live workers could not be heard, and no turn has let their leases rest since.
    pub(super) late: bool,
    pub(super) pruning: Pruning,
    /// A clock that tests set ahead; none: time passes by itself only.
    pub(super) clock: Option<Arc<SetAhead>>,
}

/// What a turn does of its own accord.
#[derive(Clone, Copy, Default)]
#[allow(clippy::struct_excessive_bools)] // Each is a chore of its own.
pub(super) struct Chores {
    /// Something may have fallen due.
    pub(super) due: bool,
    /// Leases rest.
    pub(super) late: bool,
    pub(super) prune: Option<Prune>,
    /// Rows of workers have waited for long enough.
    pub(super) workers: bool,
    /// Other nodes may have made something ready for claims that wait.
    pub(super) peek: bool,
}

impl Chores {
    /// Whether there is nothing to do without entries.
    fn is_empty(&self) -> bool {
        !(self.due || self.late || self.workers || self.peek) && self.prune.is_none()
    }
}

/// What became of an entry, until it is durable and can be said.
pub(super) enum Done {
    Submitted(Result<Submitted, Denied>),
    Ordered(Result<Operation, Denied>),
    Controlled(Result<(), Denied>),
    /// Outcomes of reports, and what the call's claim took.
    Exchanged(Vec<ReportOutcome>, Vec<Seq>),
    Stored,
}

/// A turn that is durable, with all that is to be said of it.
pub(super) struct Finished {
    pub(super) turn: Turn,
    pub(super) done: Vec<Done>,
    /// Waiting claims that were served, by arrival.
    pub(super) served: Vec<(u64, Vec<Seq>)>,
}

impl Intake {
    /// Runs until the inbox is closed and empty, or the store fails.
    pub fn run(mut self) {
        loop {
            let batch = self.inbox.drain(self.next_wake());
            self.pulse();
            self.answer_expired();
            let news = self.hear(batch.news);
            let mut chores = self.chores(&batch.entries);
            chores.peek |= news;
            let mut outcome = Ok(());
            if !batch.entries.is_empty() || !chores.is_empty() {
                self.supersede(&batch.entries);
                outcome = self.turn(batch.entries, chores);
            }
            for journey in batch.journeys {
                outcome = outcome.and_then(|()| self.travel(journey));
            }
            if let Err(error) = outcome {
                tracing::error!(%error, "the store failed; nothing more is acknowledged");
                self.shared.failed.send_replace(true);
                break;
            }
            self.count_waiting();
            if batch.closed {
                break;
            }
        }
        self.inbox.close();
        self.shared.ended.send_replace(true);
        for waiter in self.claims.take_all() {
            answer::exchange(waiter.reply, waiter.answer);
        }
        // After a failure entries may still wait: they are dropped with the inbox, and their callers told.
        while !self.inbox.drain(Instant::now()).closed {}
    }

    /// When there is something to do even if nothing comes.
    fn next_wake(&self) -> Instant {
        let now = Instant::now();
        if self.pruning.is_due(self.alive_at, self.reader.clock()) {
            return now;
        }
        let pulse = now + PULSE;
        let due = self.next_due.map_or(pulse, |due| now + due.since(self.reader.now()));
        let deadline = self.claims.next_deadline().unwrap_or(pulse);
        pulse.min(due).min(deadline)
    }

    /// Looks at the clock, and whether the loop had been away for so long that live workers could not be heard.
    fn pulse(&mut self) {
        self.look_for_lateness();
        self.alive_at = self.reader.now();
    }

    fn look_for_lateness(&mut self) {
        self.late |= self.reader.now().since(self.alive_at) > limits::TICK_LATE;
    }

    fn chores(&self, entries: &[Entry]) -> Chores {
        let due = self.next_due.is_some_and(|due| due <= self.alive_at);
        Chores {
            due,
            late: self.late,
            prune: self.pruning.step(self.alive_at, self.reader.clock(), entries),
            workers: self.shared.workers.is_due(self.alive_at),
            // Whatever hints got lost: at least this often.
            peek: due && self.shared.many && !self.claims.is_empty(),
        }
    }

    fn answer_expired(&mut self) {
        for waiter in self.claims.expired(Instant::now()) {
            answer::exchange(waiter.reply, waiter.answer);
        }
        if self.draining() {
            for waiter in self.claims.take_all() {
                answer::exchange(waiter.reply, waiter.answer);
            }
        }
    }

    /// A claim that comes again while its older call still waits: nobody listens to that one any more.
    fn supersede(&mut self, entries: &[Entry]) {
        for entry in entries {
            let Entry::Exchange(exchange, _) = entry else { continue };
            let Some(claim) = &exchange.claim else { continue };
            if let Some(older) = self.claims.superseded(&exchange.tenant, &exchange.worker, &claim.id) {
                answer::exchange(older.reply, Exchanged::default());
            }
        }
    }

    /// One turn, from what was drained to what is said. On a full disk the new work is refused and the rest goes on.
    pub(super) fn turn(&mut self, entries: Vec<Entry>, chores: Chores) -> Result<(), StoreError> {
        let (mut entries, mut chores) = (entries, chores);
        let (began, mut tries) = (Instant::now(), 0);
        loop {
            match self.attempt(&entries, chores) {
                Ok(finished) => {
                    self.shared.away.store(false, Ordering::Relaxed);
                    self.settle(&finished, chores)?;
                    self.answer(entries, finished);
                    return Ok(());
                }
                Err(StoreError::Busy(_)) if began.elapsed() < BUSY_MAX => {
                    self.shared.metrics.turns.tried_again.inc();
                    std::thread::sleep(pause(tries));
                    tries += 1;
                    // It has been waiting all the while, and what it waits for is an outage to its workers, too.
                    self.look_for_lateness();
                    chores.late = self.late;
                }
                Err(StoreError::Full) if chores.prune.is_some() => {
                    chores.prune = None;
                    self.pruning.put_off(self.alive_at);
                }
                Err(StoreError::Full) if entries.iter().any(|entry| matches!(entry, Entry::Submit(..))) => {
                    self.store.release_reserve();
                    let (submits, rest): (Vec<_>, Vec<_>) =
                        entries.into_iter().partition(|entry| matches!(entry, Entry::Submit(..)));
                    answer::deny(submits, &StoreError::Full.into());
                    entries = rest;
                }
                Err(error @ StoreError::Failed(_)) => {
                    self.shared.metrics.turns.refused.inc();
                    answer::deny(entries, &error.clone().into());
                    return Err(error);
                }
                Err(error) => {
                    self.shared.metrics.turns.refused.inc();
                    // What workers said in this turn was not heard.
                    self.late = true;
                    self.shared.away.store(matches!(error, StoreError::Busy(_)), Ordering::Relaxed);
                    self.store.release_reserve();
                    self.pruning.put_off(self.alive_at);
                    answer::deny(entries, &error.into());
                    // What is due is so still, and would be tried again at once.
                    std::thread::sleep(BUSY_PAUSE);
                    return Ok(());
                }
            }
        }
    }

    fn attempt(&mut self, entries: &[Entry], chores: Chores) -> Result<Finished, StoreError> {
        let touches = self.touches(entries, chores);
        let has_room = touches.lanes.is_empty() || self.store.has_room();
        let mut turn = Turn::new(self.load(&touches)?, has_room);
        let mut done: Vec<Done> = entries.iter().map(|entry| apply(&mut turn, entry)).collect();
        turn.tick();
        if let Some(prune) = chores.prune {
            turn.prune(prune.ended_before);
        }
        let served = self.offer(&mut turn, entries, &mut done);
        if chores.prune.is_some() {
            turn.changes.workers_forgotten = self.shared.workers.forgotten(turn.now());
        }
        if chores.workers || !turn.changes.is_empty() {
            turn.changes.workers = self.shared.workers.unwritten();
        }
        self.make_durable(&mut turn)?;
        Ok(Finished { turn, done, served })
    }

    pub(super) fn draining(&self) -> bool {
        *self.shared.draining.borrow()
    }

    /// Gives what is ready to the claims: those that wait, then those that came, in their order.
    fn offer(&mut self, turn: &mut Turn, entries: &[Entry], done: &mut [Done]) -> Vec<(u64, Vec<Seq>)> {
        let mut pool = Pool::of(turn);
        let mut served = Vec::new();
        for (arrival, waiter) in self.claims.in_order() {
            if pool.is_empty() {
                break;
            }
            if !waiter.is_gone() && pool.has(turn, &waiter.claim.want) {
                served.push((arrival, pool.take(turn, &waiter.exchange, &waiter.claim)));
            }
        }
        for (entry, done) in entries.iter().zip(done) {
            let (Entry::Exchange(exchange, reply), Done::Exchanged(_, taken)) = (entry, done) else {
                continue;
            };
            let Some(claim) = &exchange.claim else { continue };
            let seen = WorkerSeen {
                tenant: exchange.tenant.clone(),
                worker: exchange.worker.clone(),
                queues: claim.want.queues.clone(),
                operation_types: claim.want.operation_types.clone(),
                address: exchange.address,
                at: turn.now(),
            };
            self.shared.workers.saw(seen);
            if self.draining() || reply.is_closed() {
                continue;
            }
            *taken = held_under(turn, exchange, claim);
            if taken.is_empty() {
                *taken = pool.take(turn, exchange, claim);
            }
        }
        served
    }

    /// Other nodes make things due of which this one hears only when it looks.
    fn at_least_in_a_while(&self, next: Option<Timestamp>) -> Timestamp {
        let look = self.alive_at.plus(limits::LOOK_EVERY);
        next.map_or(look, |next| next.min(look))
    }

    /// After the commit: what is done by it, and what falls due next.
    fn settle(&mut self, finished: &Finished, chores: Chores) -> Result<(), StoreError> {
        let turn = &finished.turn;
        turn.log();
        turn.tell(&self.shared.metrics.operations);
        if let Some(traces) = &self.shared.traces {
            turn.trace(traces);
        }
        (self.late, self.alive_at) = (false, turn.now());
        self.shared.workers.settle(&turn.changes);
        self.shared.controlled.settle(&turn.changes);
        if let Some(prune) = &chores.prune {
            self.pruning.done(self.alive_at, prune, turn);
        }
        if chores.due {
            self.next_due = match self.store.next_due() {
                Err(error @ StoreError::Failed(_)) => return Err(error),
                // Asked again in a moment.
                Err(_) => Some(self.alive_at.plus(BUSY_PAUSE)),
                Ok(next) if self.shared.many => Some(self.at_least_in_a_while(next)),
                Ok(next) => next,
            };
            return Ok(());
        }
        let changed = turn.changes.operations.iter().filter_map(|touched| touched.after.as_ref());
        let moments = changed.filter_map(|after| {
            let lease = after.lease().map(crate::operation::Lease::due);
            lease.or_else(|| after.wake_at())
        });
        self.next_due = self.next_due.into_iter().chain(moments).min();
        Ok(())
    }
}

/// Doubles from a fraction of a millisecond on, and differs from node to node.
fn pause(tries: u32) -> Duration {
    let longest = BUSY_PAUSE.min(Duration::from_micros(500) * 2_u32.pow(tries.min(10)));
    longest.mul_f64(0.5 + fastrand::f64() / 2.0)
}

fn apply(turn: &mut Turn, entry: &Entry) -> Done {
    match entry {
        Entry::Submit(submit, _) => Done::Submitted(turn.submit(submit)),
        Entry::Command(order, _) => Done::Ordered(turn.order(order)),
        Entry::Queue(order, _) => Done::Controlled(turn.control(order)),
        Entry::Exchange(exchange, _) => {
            let outcomes = exchange.reports.iter().map(|reported| turn.report(exchange, reported)).collect();
            Done::Exchanged(outcomes, Vec::new())
        }
        Entry::Token(noted, _) => {
            turn.changes.note(noted);
            Done::Stored
        }
        Entry::Return(taken) => {
            for (tenant, id, token) in taken {
                turn.give_back(tenant, *id, *token);
            }
            Done::Stored
        }
    }
}

/// What a repeated claim still holds.
fn held_under(turn: &Turn, exchange: &super::entry::Exchange, claim: &super::entry::Claim) -> Vec<Seq> {
    let key = (exchange.tenant.clone(), exchange.worker.clone(), claim.id.clone());
    let held = turn.set.by_claim.get(&key).map_or(&[][..], Vec::as_slice);
    let still = |seq: &&Seq| {
        let lease = turn.current(**seq).and_then(Operation::lease);
        lease.is_some_and(|lease| lease.worker == exchange.worker && lease.claim == claim.id)
    };
    held.iter().filter(still).copied().collect()
}

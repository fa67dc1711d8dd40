//! One turn's work on its working set: commands in, changes and answers out. Nothing here touches the store.

use std::collections::HashMap;
use std::sync::Arc;

use super::entry::{Denied, Exchange, Notice, NoticeKind, Order, ReportOutcome, Reported, Submit, Submitted};
use crate::limits;
use crate::operation::{
    self, Actor, Command, Context, EventKind, Lane, LeaseToken, Operation, OperationId, Refusal, Seq, State,
    Step, TenantId, Timestamp, Via, WorkerId,
};
use crate::store::StoreError;
use crate::store::turn::{Changes, Recorded, Touched, WorkingSet};

/// A turn between its two calls to the store.
#[derive(Debug)]
pub struct Turn {
    pub(super) set: WorkingSet,
    pub(super) changes: Changes,
    /// Where each changed operation stands in `changes`.
    index: HashMap<Seq, usize>,
    next_seq: Seq,
    has_room: bool,
    pub(super) notices: Vec<(TenantId, WorkerId, Notice)>,
}

impl Turn {
    /// A turn over what was loaded for it.
    pub fn new(set: WorkingSet, has_room: bool) -> Self {
        let next_seq = set.first_seq;
        Self {
            set,
            changes: Changes::default(),
            index: HashMap::new(),
            next_seq,
            has_room,
            notices: Vec::new(),
        }
    }

    /// The one time of the turn.
    pub fn now(&self) -> Timestamp {
        self.set.now
    }

    fn context(&self) -> Context {
        Context { now: self.set.now, jitter: fastrand::f64() }
    }

    /// An operation as it stands in this turn; none: it is not there, or not any more.
    pub fn current(&self, seq: Seq) -> Option<&Operation> {
        match self.index.get(&seq) {
            Some(place) => self.changes.operations[*place].after.as_ref(),
            None => self.set.operations.get(&seq).map(|loaded| &**loaded),
        }
    }

    /// Where a changed operation stands in the turn's changes.
    pub fn place(&self, seq: Seq) -> Option<usize> {
        self.index.get(&seq).copied()
    }

    fn named(&self, tenant: &TenantId, id: OperationId) -> Result<Option<&Operation>, Denied> {
        self.readable(self.set.by_id.get(&(tenant.clone(), id)))
    }

    fn readable(&self, seq: Option<&Seq>) -> Result<Option<&Operation>, Denied> {
        match seq {
            Some(seq) if self.set.damaged.contains(seq) => Err(StoreError::Damaged.into()),
            seq => Ok(seq.and_then(|seq| self.current(*seq))),
        }
    }

    /// A new operation, unless its key or id shows it to be a repeat. What it is made of goes with it.
    pub fn submit(&mut self, submit: &Submit) -> Result<Submitted, Denied> {
        if submit.deposit.is_some_and(|deposit| !self.set.deposits.contains(&deposit)) {
            return Err(Denied::Elsewhere);
        }
        let submitted = self.create_or_find(submit)?;
        self.changes.deposits.extend(submit.deposit);
        Ok(submitted)
    }

    fn create_or_find(&mut self, submit: &Submit) -> Result<Submitted, Denied> {
        let spec = &submit.submission.spec;
        let tenant = &spec.lane.tenant;
        let by_key = spec.key.as_ref().and_then(|key| self.set.by_key.get(&(tenant.clone(), key.clone())));
        let by_key = self.readable(by_key)?;
        let by_id = if submit.id_chosen { self.named(tenant, spec.id)? } else { None };
        let (existing, other_body) = match (by_key, by_id) {
            (Some(by_key), Some(by_id)) if by_key.seq != by_id.seq => return Err(Denied::KeyAndIdDiffer),
            (Some(existing), _) => (existing, Denied::KeyReused),
            (None, Some(existing)) => (existing, Denied::IdExists),
            (None, None) if !self.has_room => return Err(StoreError::Full.into()),
            (None, None) => {
                if !submit.submission.is_external() {
                    self.admit(&spec.lane)?;
                }
                self.enter(&spec.lane)?;
                return Ok(self.create(submit));
            }
        };
        if existing.spec.fingerprint.is_none() || existing.spec.fingerprint != spec.fingerprint {
            return Err(other_body);
        }
        Ok(Submitted { operation: existing.clone(), replayed: true })
    }

    /// A lane is kept in memory for ever, so a tenant gets so many.
    fn enter(&mut self, lane: &Arc<Lane>) -> Result<(), Denied> {
        if !self.set.new_lanes.contains(lane) {
            return Ok(());
        }
        let lanes = self.set.lanes_of.entry(lane.tenant.clone()).or_default();
        if *lanes >= limits::LANES_MAX {
            return Err(Denied::TooManyLanes);
        }
        *lanes += 1;
        self.set.new_lanes.remove(lane);
        Ok(())
    }

    fn create(&mut self, submit: &Submit) -> Submitted {
        let seq = self.next_seq;
        self.next_seq = Seq(seq.0 + 1);
        let created = operation::submit(&submit.submission, seq, self.context());
        let spec = &created.spec;
        if submit.id_chosen {
            self.set.by_id.insert((spec.lane.tenant.clone(), spec.id), seq);
        }
        if let Some(key) = &spec.key {
            self.set.by_key.insert((spec.lane.tenant.clone(), key.clone()), seq);
        }
        let place = self.put(seq, Some(created.clone()));
        self.record(place, EventKind::Created, submit.actor.clone(), None, created.clone());
        Submitted { operation: created, replayed: false }
    }

    /// A command on one operation by its public name.
    pub fn order(&mut self, order: &Order) -> Result<Operation, Denied> {
        let before = self.named(&order.tenant, order.id)?.ok_or(Denied::NotFound)?;
        let seq = before.seq;
        let version = (seq, before.version);
        if order.expected.as_ref().is_some_and(|expected| !expected.contains(&version)) {
            return Err(Denied::PreconditionFailed);
        }
        let is_failed = matches!(before.state, State::Failed { .. }) && !before.spec.external;
        if is_failed && matches!(order.command, Command::Retry) {
            self.admit(&before.spec.lane)?;
        }
        let before = before.clone();
        self.apply(seq, &order.command, &order.actor)?;
        Ok(self.current(seq).cloned().unwrap_or(before))
    }

    /// One report of a worker's call.
    pub fn report(&mut self, exchange: &Exchange, reported: &Reported) -> ReportOutcome {
        let Ok(named) = self.named(&exchange.tenant, reported.id) else { return ReportOutcome::Unreadable };
        let visible = named.filter(|operation| {
            exchange.within.as_ref().is_none_or(|queues| queues.contains(&operation.spec.lane.queue))
        });
        let Some(seq) = visible.map(|operation| operation.seq) else {
            return ReportOutcome::NotFound;
        };
        let command = Command::Report { token: reported.token, report: reported.report.clone() };
        let actor = Actor { name: Arc::from(exchange.worker.as_str()), via: Via::Work };
        match self.apply(seq, &command, &actor) {
            Ok(Effect::Nothing) => ReportOutcome::Repeated,
            Ok(Effect::Changed) => {
                let after = self.current(seq);
                let lease = after.and_then(Operation::lease).map(|lease| lease.until.since(self.set.now));
                let cancel_requested = lease.is_some() && after.is_some_and(|after| after.cancel_requested);
                ReportOutcome::Accepted { lease, cancel_requested }
            }
            Err(refusal) => ReportOutcome::Refused(refusal),
        }
    }

    /// What a claim took for somebody who is gone goes back.
    pub fn give_back(&mut self, tenant: &TenantId, id: OperationId, token: LeaseToken) {
        if let Ok(Some(seq)) = self.named(tenant, id).map(|named| named.map(|operation| operation.seq)) {
            // A refusal means that it has moved on by itself.
            let _ = self.apply(seq, &Command::Return { token }, &system());
        }
    }

    /// What fell due.
    pub fn tick(&mut self) {
        for seq in std::mem::take(&mut self.set.due) {
            // Ticks are never refused; one for an operation that was just deleted finds nothing.
            let _ = self.apply(seq, &Command::Tick, &system());
        }
    }

    /// What is older than may be kept.
    pub fn prune(&mut self, ended_before: Timestamp) {
        for seq in std::mem::take(&mut self.set.stale) {
            // Never refused; one that a command of this turn took up again stays.
            let _ = self.apply(seq, &Command::Prune { ended_before }, &system());
        }
        self.changes.events_pruned = self.set.stale_events;
    }

    /// Takes one operation through one command.
    pub fn apply(&mut self, seq: Seq, command: &Command, actor: &Actor) -> Result<Effect, Refusal> {
        let context = self.context();
        let Some(before) = self.current(seq) else { return Ok(Effect::Nothing) };
        match operation::apply(before, command, context)? {
            Step::Unchanged => return Ok(Effect::Nothing),
            Step::Pruned => {
                self.put(seq, None);
            }
            Step::Touched(after) => {
                self.put(seq, Some(*after));
            }
            Step::Changed { operation: after, event, attempt } => {
                let status_before = Some(before.status());
                if let Some(notice) = notice(before, &after, command) {
                    self.notices.push(notice);
                }
                self.changes.attempts.extend(attempt);
                let kept = (event != EventKind::Deleted).then(|| (*after).clone());
                let place = self.put(seq, kept);
                self.record(place, event, actor.clone(), status_before, *after);
            }
        }
        Ok(Effect::Changed)
    }

    fn put(&mut self, seq: Seq, after: Option<Operation>) -> usize {
        self.count(seq, after.as_ref());
        if let Some(place) = self.index.get(&seq) {
            let touched = &mut self.changes.operations[*place];
            // A checkpoint is in the change that brings it only: the turn's last one stands.
            let checkpoint = touched.after.as_mut().and_then(|before| before.checkpoint.take());
            touched.after = after;
            if let Some(after) = &mut touched.after {
                after.checkpoint = after.checkpoint.take().or(checkpoint);
            }
            return *place;
        }
        let before = self.set.operations.get(&seq).cloned();
        let cursor = before.as_ref().map_or(0, |before| before.cursor);
        let place = self.changes.operations.len();
        self.changes.operations.push(Touched { before, after, cursor });
        self.index.insert(seq, place);
        place
    }

    fn record(
        &mut self,
        touched: usize,
        kind: EventKind,
        actor: Actor,
        status_before: Option<operation::Status>,
        after: Operation,
    ) {
        let at = self.set.now;
        self.changes.events.push(Recorded::new(touched, kind, actor, status_before, after, at));
    }
}

/// Whether a command did anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It did.
    Changed,
    /// What it asks for stands already.
    Nothing,
}

fn system() -> Actor {
    Actor { name: Arc::from("system"), via: Via::Tick }
}

/// What the holder of the lease should hear of a change that it did not make.
fn notice(before: &Operation, after: &Operation, command: &Command) -> Option<(TenantId, WorkerId, Notice)> {
    let lease = before.lease()?;
    let kind = match command {
        Command::Cancel if after.cancel_requested => NoticeKind::Cancel,
        Command::Tick if after.lease().is_none() => NoticeKind::Lost,
        _ => return None,
    };
    let notice = Notice { id: before.spec.id, token: lease.token, kind };
    Some((before.tenant().clone(), lease.worker.clone(), notice))
}

//! All that is kept, how a turn is loaded from it and how a commit changes it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::claim::Taking;
use super::record::{Record, without_payloads};
use crate::limits;
use crate::operation::{
    Controls, Event, EventKind, Lane, Lease, Operation, QueueName, Seq, State, TenantId, Timestamp, WorkerId,
};
use crate::store::credential::{Credential, LinkKey};
use crate::store::queue::startable;
use crate::store::turn::{
    Changes, CountKey, DepositNumber, Prune, Recorded, Touched, Touches, Want, WorkerSeen, WorkingSet,
    count_deltas,
};
use crate::store::{Deposit, Events};

/// A look that leaves no event is marked when the last mark is older than this.
const LOOKED_EVERY: Duration = Duration::from_secs(1);

/// Everything that a restart finds again.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// Every operation that was not deleted.
    pub(super) operations: BTreeMap<Seq, Record>,
    /// Every event by its cursor, but those before the `deleted` one of an operation that is gone.
    pub(super) events: BTreeMap<i64, Event>,
    /// Workers that asked for work, as they last did.
    pub(super) workers: BTreeMap<(TenantId, WorkerId), WorkerSeen>,
    /// Credentials by their public part.
    pub(super) credentials: BTreeMap<Arc<str>, Credential>,
    /// What was set for queues.
    pub(super) queues: BTreeMap<(TenantId, QueueName), Controls>,
    /// What signs links, once the store was opened.
    pub(super) link_key: Option<LinkKey>,
    /// What users handed in without a node, and none has taken in yet.
    pub(super) deposits: BTreeMap<DepositNumber, Deposit>,
    /// Every lane in which an operation ever was.
    lanes: BTreeSet<Arc<Lane>>,
    /// The latest time that this store has shown.
    pub(super) mark: Option<Timestamp>,
    /// When a node looked last, or committed an event.
    looked: Option<Timestamp>,
    /// The last number given, of operations that are gone too.
    last_seq: i64,
    pub(super) last_cursor: i64,
    /// Which history this is: that of a fresh disk.
    pub(super) epoch: u32,
    /// Of the events up to it some may be pruned.
    pub(super) pruned_upto: i64,
    /// Counts what was written. A turn that began before the last of it knows too little.
    pub(super) revision: u64,
    /// How many operations stand where, kept by each commit's differences alone.
    counts: BTreeMap<CountKey, i64>,
}

impl Kept {
    /// A server starts: its own tasks of before are gone, and other workers may speak before their leases end.
    pub(super) fn restart(&mut self, now: Timestamp) {
        for record in self.operations.values_mut() {
            record.with_lease(|lease| {
                lease.until = lease.until.min(now.plus_seconds(lease.seconds));
                lease.until = if lease.own { now } else { rested(lease, now) };
            });
        }
    }

    /// A node starts, perhaps beside others. Where none has looked for so long that live workers could not be heard, leases
    /// rest.
    pub(super) fn join(&mut self, now: Timestamp) {
        if self.looked.is_none_or(|looked| now.since(looked) > limits::TICK_LATE) {
            self.rest(now);
        }
        self.looked = Some(now);
    }

    /// A node looks for what is due, and leaves a mark of it.
    pub(super) fn look(&mut self, now: Timestamp) {
        if self.looked.is_none_or(|looked| now.since(looked) >= LOOKED_EVERY) {
            self.looked = Some(now);
        }
    }

    /// Leases that end soon get longer.
    pub(super) fn rest(&mut self, now: Timestamp) {
        self.revision += 1;
        for record in self.operations.values_mut() {
            record.with_lease(|lease| lease.until = rested(lease, now));
        }
    }

    /// What a turn asked for. That it lets leases rest nobody else sees before it is durable.
    pub(super) fn load(&mut self, touches: &Touches, now: Timestamp) -> WorkingSet {
        if !touches.rest_leases {
            return self.loaded(touches, now);
        }
        let revision = self.revision;
        let awake: Vec<(Seq, Arc<Operation>)> = self.rows().map(|row| (row.seq, row.clone())).collect();
        self.rest(now);
        let set = self.loaded(touches, now);
        for (seq, row) in awake {
            self.operations.get_mut(&seq).expect("it was there just now").row = row;
        }
        self.revision = revision;
        set
    }

    fn loaded(&self, touches: &Touches, now: Timestamp) -> WorkingSet {
        let named = |key: &(TenantId, _)| {
            self.find(|row| *row.tenant() == key.0 && row.spec.id == key.1).map(|seq| (key.clone(), seq))
        };
        let keyed = |key: &(TenantId, Arc<str>)| {
            self.find(|row| *row.tenant() == key.0 && row.spec.key.as_ref() == Some(&key.1))
                .map(|seq| (key.clone(), seq))
        };
        let mut set = WorkingSet {
            by_id: touches.ids.iter().filter_map(named).collect(),
            by_key: touches.keys.iter().filter_map(keyed).collect(),
            due: self.due(now, touches.due),
            deposits: touches.deposits.iter().copied().filter(|n| self.deposits.contains_key(n)).collect(),
            new_lanes: touches.lanes.iter().filter(|lane| !self.lanes.contains(*lane)).cloned().collect(),
            ..WorkingSet::new(now, Seq(self.last_seq + 1))
        };
        for lane in &set.new_lanes {
            let of_tenant = self.lanes.iter().filter(|known| known.tenant == lane.tenant).count();
            set.lanes_of.insert(lane.tenant.clone(), of_tenant);
        }
        for (tenant, worker, claim) in &touches.claims {
            let holds = |lease: &Lease| lease.worker == *worker && lease.claim == *claim;
            let held: Vec<Seq> = self
                .rows()
                .filter(|row| row.tenant() == tenant && row.lease().is_some_and(holds))
                .map(|row| row.seq)
                .collect();
            if !held.is_empty() {
                set.by_claim.insert((tenant.clone(), worker.clone(), claim.clone()), held);
            }
        }
        self.fetch(&mut set);
        set.queues = self.standings(&set, touches);
        for (tenant, _) in &touches.queues {
            let count = self.queues.keys().filter(|(of, _)| of == tenant).count();
            set.controlled_of.insert(tenant.clone(), count);
        }
        self.find_ready(touches, &mut set);
        if let Some(prune) = &touches.prune {
            self.find_stale(prune, &mut set);
        }
        self.fetch(&mut set);
        set
    }

    /// Loads every operation that the set names.
    fn fetch(&self, set: &mut WorkingSet) {
        let loaded = (set.by_id.values().chain(set.by_key.values()))
            .chain(set.by_claim.values().flatten())
            .chain(set.ready.iter().flatten())
            .chain(&set.woken)
            .chain(&set.due)
            .chain(&set.stale);
        set.operations = loaded.map(|seq| (*seq, self.operations[seq].row.clone())).collect();
    }

    /// What claims may take. What they pass over is due.
    fn find_ready(&self, touches: &Touches, set: &mut WorkingSet) {
        let most = startable(set, touches);
        let mut taking = Taking::new(self, &most, set.now);
        set.ready = touches.wants.iter().map(|want| taking.take(want, want.limit)).collect();
        let free_of = |want: &Want| if touches.peek { want.limit } else { 0 };
        set.woken = touches.waiting.iter().flat_map(|want| taking.take(want, free_of(want))).collect();
        let mut expired = taking.expired;
        expired.sort_unstable();
        for seq in expired {
            if !set.due.contains(&seq) {
                set.due.push(seq);
            }
        }
    }

    /// The earliest moment at which time acts on anything.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.operations.values().filter_map(Record::due).min()
    }

    /// Some of the events after a cursor, oldest first, as they are shown.
    pub(super) fn events_after(&self, after: i64, limit: usize, mine: impl Fn(&Event) -> bool) -> Events {
        let later = self.events.range(after + 1..).map(|(_, event)| event);
        let shown = later.filter(|event| mine(event)).take(limit);
        let events: Vec<Event> = shown.map(|event| self.with_result(event.clone())).collect();
        let upto = events.last().map_or(after, |last| last.cursor);
        Events { events, upto }
    }

    /// One that completed its operation has the result.
    fn with_result(&self, mut event: Event) -> Event {
        if let (EventKind::Completed, State::Completed { result, .. }) =
            (event.kind, &mut event.operation.state)
        {
            let record = self.operations.get(&event.operation.seq);
            *result = record.and_then(|record| record.whole().result().cloned());
        }
        event
    }

    /// Every operation as a turn loads it, in the order of arrival.
    pub(super) fn rows(&self) -> impl Iterator<Item = &Arc<Operation>> {
        self.operations.values().map(|record| &record.row)
    }

    fn find(&self, is: impl Fn(&Operation) -> bool) -> Option<Seq> {
        self.rows().find(|row| is(row)).map(|row| row.seq)
    }

    /// What is too old, and what is the oldest after that. Of the same moment those go first that arrived first.
    fn find_stale(&self, prune: &Prune, set: &mut WorkingSet) {
        let mut ended: Vec<_> = self.rows().filter_map(|row| Some((row.completed()?, row.seq))).collect();
        ended.sort();
        let stale = ended.iter().take(prune.operations).take_while(|(at, _)| *at < prune.ended_before);
        set.stale = stale.map(|(_, seq)| *seq).collect();
        set.oldest.ended = ended.get(set.stale.len()).map(|(at, _)| *at);
        let events = self.events.values();
        let stale = events.clone().take(prune.events).take_while(|event| event.at < prune.events_before);
        let cursors: Vec<i64> = stale.map(|event| event.cursor).collect();
        set.stale_events = cursors.last().copied();
        set.oldest.happened = events.clone().nth(cursors.len()).map(|event| event.at);
    }

    /// Those on which time acts by now: leases first, since somebody's work hangs on them; the longest overdue first.
    fn due(&self, now: Timestamp, limit: usize) -> Vec<Seq> {
        let mut due: Vec<(bool, Timestamp, Seq)> = self
            .operations
            .iter()
            .filter_map(|(seq, record)| record.due().map(|due| (record.row.lease().is_none(), due, *seq)))
            .filter(|(_, due, _)| *due <= now)
            .collect();
        due.sort();
        due.into_iter().map(|(.., seq)| seq).take(limit).collect()
    }
}

/// The commit.
impl Kept {
    pub(super) fn save(&mut self, changes: &mut Changes, now: Timestamp) {
        self.revision += 1;
        self.mark = self.mark.max(Some(now));
        if changes.events.is_empty() {
            self.look(now);
        } else {
            self.looked = Some(now);
        }
        changes.number(self.last_cursor + 1);
        for (key, delta) in count_deltas(&changes.operations) {
            *self.counts.entry(key).or_insert(0) += delta;
        }
        self.counts.retain(|_, count| *count != 0);
        for touched in &changes.operations {
            self.write(touched);
        }
        if let Some(upto) = changes.events_pruned {
            self.events.retain(|cursor, _| *cursor > upto);
            self.pruned_upto = self.pruned_upto.max(upto);
        }
        for recorded in &changes.events {
            self.record_event(recorded);
            if changes.operations[recorded.touched].after.is_none() {
                self.forget_events_before(&recorded.event);
            }
        }
        for attempt in &changes.attempts {
            if let Some(record) = self.operations.get_mut(&attempt.seq) {
                record.attempts.push(attempt.clone());
                let kept = usize::try_from(limits::ATTEMPTS_KEPT_MAX).unwrap_or(usize::MAX);
                record.attempts.drain(..record.attempts.len().saturating_sub(kept));
            }
        }
        for forgotten in &changes.workers_forgotten {
            self.workers.remove(forgotten);
        }
        for worker in &changes.workers {
            self.workers.insert((worker.tenant.clone(), worker.worker.clone()), worker.clone());
        }
        for credential in &changes.credentials {
            self.credentials.insert(credential.id.clone(), credential.clone());
        }
        for (token, at) in &changes.tokens_used {
            if let Some(credential) = self.credentials.get_mut(token) {
                credential.used = credential.used.max(Some(*at));
            }
        }
        for queue in &changes.queues {
            self.queues.insert((queue.tenant.clone(), queue.name.clone()), queue.controls);
        }
        self.queues.retain(|_, controls| !controls.is_none());
        for deposit in &changes.deposits {
            self.deposits.remove(deposit).expect("a deposit is taken in once");
        }
        debug_assert_eq!(
            self.counts,
            self.counted(),
            "the differences of the commits add up to what is there"
        );
    }

    fn write(&mut self, touched: &Touched) {
        let kept = touched.seq().and_then(|seq| self.operations.get_mut(&seq));
        match (&touched.before, &touched.after) {
            (None, Some(after)) => {
                assert!(kept.is_none(), "a number is given once");
                self.lanes.insert(after.spec.lane.clone());
                self.operations.insert(after.seq, Record::new(after.clone()));
            }
            (Some(before), after) => {
                let record = kept.expect("what a turn changes was there when it began");
                assert_eq!(before.version, record.row.version, "nothing else wrote it since the turn began");
                if let Some(after) = after {
                    record.write(after.clone());
                } else {
                    self.operations.remove(&before.seq);
                    self.events.retain(|_, event| event.operation.seq != before.seq);
                }
            }
            (None, None) => {} // It came and went within one turn: only its last event tells of it.
        }
    }

    fn record_event(&mut self, recorded: &Recorded) {
        let mut event = recorded.event.clone();
        event.operation = without_payloads(event.operation);
        self.last_cursor = event.cursor;
        self.last_seq = self.last_seq.max(event.operation.seq.0);
        self.events.insert(event.cursor, event);
    }

    /// Of an operation that is gone only the last event stays.
    fn forget_events_before(&mut self, last: &Event) {
        self.events
            .retain(|cursor, event| event.operation.seq != last.operation.seq || *cursor >= last.cursor);
    }

    /// How many operations stand where, counted one by one.
    fn counted(&self) -> BTreeMap<CountKey, i64> {
        let mut counted = BTreeMap::new();
        for row in self.rows() {
            *counted.entry(CountKey::of(row)).or_insert(0) += 1;
        }
        counted
    }
}

/// A lease that would end within the next min(its seconds, 10 s) gets that long, so that its worker speaks first.
fn rested(lease: &Lease, now: Timestamp) -> Timestamp {
    lease.until.max(now.plus_seconds(lease.seconds.min(limits::LEASE_REST_SECONDS_MAX)))
}

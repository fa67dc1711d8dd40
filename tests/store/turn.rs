//! What stands above a store, as small as can be: applies commands to a working set and gathers what they changed.

use std::collections::HashMap;
use std::sync::Arc;

use longrun::operation::{
    self, Actor, Command, Context, EventKind, Operation, Refusal, Seq, Step, Submission, Timestamp, Via,
};
use longrun::store::turn::{Changes, Recorded, Touched, WorkingSet};

/// A turn between its two calls to the store.
pub(crate) struct Turn {
    pub(crate) set: WorkingSet,
    /// What is written beside operations may be put here directly.
    pub(crate) changes: Changes,
    places: HashMap<Seq, usize>,
    next_seq: i64,
    pub(crate) jitter: f64,
}

impl Turn {
    pub(crate) fn new(set: WorkingSet) -> Self {
        let next_seq = set.first_seq.0;
        Self { set, changes: Changes::default(), places: HashMap::new(), next_seq, jitter: 0.0 }
    }

    pub(crate) fn into_changes(self) -> Changes {
        self.changes
    }

    fn context(&self) -> Context {
        Context { now: self.set.now, jitter: self.jitter }
    }

    /// The operation as it stands in this turn; none: it is not loaded, or was deleted.
    pub(crate) fn current(&self, seq: Seq) -> Option<Operation> {
        match self.places.get(&seq) {
            Some(place) => self.changes.operations[*place].after.clone(),
            None => self.set.operations.get(&seq).map(|loaded| Operation::clone(loaded)),
        }
    }

    pub(crate) fn submit(&mut self, submission: &Submission) -> Seq {
        let seq = Seq(self.next_seq);
        self.next_seq += 1;
        let created = operation::submit(submission, seq, self.context());
        let lane = &created.spec.lane;
        self.set.by_id.insert((lane.tenant.clone(), created.spec.id), seq);
        if let Some(key) = &created.spec.key {
            self.set.by_key.insert((lane.tenant.clone(), key.clone()), seq);
        }
        self.put(seq, Some(created.clone()));
        self.record(seq, EventKind::Created, None, created);
        seq
    }

    /// What the command did; none: nothing was recorded.
    pub(crate) fn apply(&mut self, seq: Seq, command: &Command) -> Result<Option<EventKind>, Refusal> {
        let before = self.current(seq).expect("the operation is loaded");
        match operation::apply(&before, command, self.context())? {
            Step::Unchanged => Ok(None),
            Step::Pruned => {
                self.put(seq, None);
                Ok(None)
            }
            Step::Touched(after) => {
                self.put(seq, Some(*after));
                Ok(None)
            }
            Step::Changed { operation: after, event, attempt } => {
                self.changes.attempts.extend(attempt);
                self.put(seq, (event != EventKind::Deleted).then(|| Operation::clone(&after)));
                self.record(seq, event, Some(&before), *after);
                Ok(Some(event))
            }
        }
    }

    /// Ticks all that was loaded as due, and tells how many that were.
    pub(crate) fn tick(&mut self) -> usize {
        let due = std::mem::take(&mut self.set.due);
        for seq in &due {
            if self.current(*seq).is_some() {
                self.apply(*seq, &Command::Tick).expect("a tick is never refused");
            }
        }
        due.len()
    }

    /// Prunes what was loaded as too old, and tells how many operations that were.
    pub(crate) fn prune(&mut self, ended_before: Timestamp) -> usize {
        let stale = std::mem::take(&mut self.set.stale);
        for seq in &stale {
            if self.current(*seq).is_some() {
                self.apply(*seq, &Command::Prune { ended_before }).expect("pruning is never refused");
            }
        }
        self.changes.events_pruned = self.set.stale_events;
        stale.len()
    }

    fn put(&mut self, seq: Seq, after: Option<Operation>) {
        if let Some(place) = self.places.get(&seq) {
            self.changes.operations[*place].after = after;
            return;
        }
        let before = self.set.operations.get(&seq).cloned();
        let cursor = before.as_ref().map_or(0, |before| before.cursor);
        self.places.insert(seq, self.changes.operations.len());
        self.changes.operations.push(Touched { before, after, cursor });
    }

    fn record(&mut self, seq: Seq, kind: EventKind, before: Option<&Operation>, after: Operation) {
        let actor = Actor { name: Arc::from("tester"), via: Via::Http };
        let status_before = before.map(Operation::status);
        let place = self.places[&seq];
        self.changes.events.push(Recorded::new(place, kind, actor, status_before, after, self.set.now));
    }
}

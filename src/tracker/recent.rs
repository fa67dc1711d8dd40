//! The events of late, in memory: whoever watches at the tail costs the store nothing.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use bytes::Bytes;

use crate::limits;
use crate::operation::{Event, EventKind, Payload, TenantId};
use crate::store::Whose;
use crate::store::turn::{Changes, Recorded};

/// What an event without a payload takes, about.
const BASE_BYTES: usize = 1500;

/// An event that many may show.
#[derive(Debug)]
pub struct Told {
    /// The event.
    pub event: Event,
    /// As it is shown, made by the first who does: a thousand watchers cost one rendering.
    pub shown: OnceLock<Bytes>,
}

impl From<Event> for Told {
    fn from(event: Event) -> Self {
        Self { event, shown: OnceLock::new() }
    }
}

impl Told {
    pub(super) fn bytes(&self) -> usize {
        let operation = &self.event.operation;
        let input = operation.spec.input.as_ref().map_or(0, Payload::bytes);
        BASE_BYTES + input + 2 * operation.result().map_or(0, Payload::bytes)
    }
}

/// A run of events without a gap.
#[derive(Debug, Default)]
struct Run {
    events: VecDeque<Arc<Told>>,
    bytes: usize,
    /// Every event after this cursor is in it, ...
    from: i64,
    /// ... up to this one.
    upto: i64,
}

/// The events since somebody watches, as many as fit.
#[derive(Debug, Default)]
pub(super) struct Recent(RwLock<Run>);

/// What of a run is somebody's.
#[derive(Debug)]
pub(super) struct Found {
    /// Oldest first.
    pub(super) events: Vec<Arc<Told>>,
    /// All up to this cursor are among those.
    pub(super) upto: i64,
}

impl Recent {
    /// Takes a committed turn's events; for each tenant among them the last cursor.
    pub(super) fn push(&self, changes: &mut Changes) -> BTreeMap<TenantId, i64> {
        told(changes).map_or_else(BTreeMap::new, |(after, upto, told)| self.extend(after, upto, &told))
    }

    /// Takes all events that there are after one cursor, up to another; for each tenant among them the last cursor.
    pub(super) fn extend(&self, after: i64, upto: i64, told: &[Arc<Told>]) -> BTreeMap<TenantId, i64> {
        let mut last = BTreeMap::new();
        let mut run = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if run.upto != after {
            // Nobody watched for a while.
            *run = Run { from: after, ..Run::default() };
        }
        for told in told {
            last.insert(told.event.operation.tenant().clone(), told.event.cursor);
            run.add(told.clone());
        }
        run.upto = upto;
        last
    }

    /// Nobody watches any more.
    pub(super) fn clear(&self) {
        if self.0.read().unwrap_or_else(PoisonError::into_inner).upto != 0 {
            *self.0.write().unwrap_or_else(PoisonError::into_inner) = Run::default();
        }
    }

    /// What is somebody's after a cursor, at most so many looked at; none: the run begins later. `last` is the cursor of an
    /// operation's last event, from which its earlier ones are found.
    pub(super) fn after(&self, whose: &Whose, cursor: i64, last: i64) -> Option<Found> {
        let run = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if cursor < run.from || run.upto == 0 {
            return None;
        }
        match whose {
            Whose::Tenant(tenant) => Some(run.of_tenant(tenant, cursor)),
            // Where the tail of a shared store has not come to its last event, only the store knows those before it.
            Whose::Operation(..) => (last <= run.upto).then(|| run.of_operation(cursor, last)),
        }
    }
}

/// Takes the events of a committed turn: all that there are after one cursor, up to another.
pub(super) fn told(changes: &mut Changes) -> Option<(i64, i64, Vec<Arc<Told>>)> {
    let (first, last) = (changes.events.first()?, changes.events.last()?);
    let (after, upto) = (first.event.cursor - 1, last.event.cursor);
    // Of what was deleted in the turn only that is kept, here as in the store.
    let operations = &changes.operations;
    let gone = |recorded: &Recorded| operations[recorded.touched].after.is_none();
    let kept = |recorded: &Recorded| recorded.event.kind == EventKind::Deleted || !gone(recorded);
    let events = changes.events.drain(..).filter(kept);
    let told = events.map(|mut recorded| {
        // It is shown to nobody.
        recorded.event.operation.checkpoint = None;
        Arc::new(Told::from(recorded.event))
    });
    Some((after, upto, told.collect()))
}

impl Run {
    fn add(&mut self, told: Arc<Told>) {
        self.bytes += told.bytes();
        self.events.push_back(told);
        while self.events.len() > limits::RECENT_EVENTS_MAX || self.bytes > limits::RECENT_BYTES_MAX {
            let Some(oldest) = self.events.pop_front() else { return };
            self.bytes -= oldest.bytes();
            self.from = oldest.event.cursor;
        }
    }

    /// Place of the first event after a cursor.
    fn place(&self, cursor: i64) -> usize {
        self.events.partition_point(|told| told.event.cursor <= cursor)
    }

    fn of_tenant(&self, tenant: &TenantId, cursor: i64) -> Found {
        let start = self.place(cursor);
        let looked: Vec<&Arc<Told>> = self.events.range(start..).take(limits::EVENTS_CHUNK).collect();
        let all = start + looked.len() == self.events.len();
        let upto =
            if all { self.upto.max(cursor) } else { looked.last().map_or(cursor, |told| told.event.cursor) };
        let mine = looked.into_iter().filter(|told| told.event.operation.tenant() == tenant);
        Found { events: mine.cloned().collect(), upto }
    }

    /// Walks back from the operation's last event.
    fn of_operation(&self, cursor: i64, last: i64) -> Found {
        let mut events = Vec::new();
        let mut at = last;
        while at > cursor {
            let Some(told) = self.events.get(self.place(at - 1)).filter(|told| told.event.cursor == at)
            else {
                break;
            };
            events.push(told.clone());
            at = told.event.previous;
        }
        events.reverse();
        Found { events, upto: last }
    }
}

//! Which workers asked for work lately: so that a waiting operation can say that nobody does, and an operator who does.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::limits;
use crate::operation::{Lane, TenantId, Timestamp, WorkerId};
use crate::store::Held;
use crate::store::turn::{Changes, WorkerSeen};

type Key = (TenantId, WorkerId);

/// Between two looks for workers that are forgotten.
const LOOK_EVERY: Duration = Duration::from_mins(1);

/// The workers of every tenant, by name. The intake loop writes it, readers look.
#[derive(Debug, Default)]
pub struct Workers(Mutex<Known>);

/// A worker that is there, as far as the server can tell.
#[derive(Debug, Clone)]
pub struct Present {
    /// Who.
    pub worker: WorkerId,
    /// How it last asked for work; none: too long ago.
    pub seen: Option<WorkerSeen>,
    /// What it holds, by arrival.
    pub held: Vec<Held>,
}

#[derive(Debug, Default)]
struct Known {
    workers: HashMap<Key, Presence>,
    /// Whose rows are due to be written.
    unwritten: HashSet<Key>,
    /// Since when there are such.
    unwritten_since: Option<Timestamp>,
    /// When it was last looked through for those that are forgotten.
    looked: Option<Timestamp>,
}

#[derive(Debug)]
struct Presence {
    seen: WorkerSeen,
    /// When its row was last written.
    written: Option<Timestamp>,
}

impl Workers {
    /// Those that the store knows of.
    pub fn restored(seen: Vec<WorkerSeen>) -> Self {
        let known = seen.into_iter().map(|seen| {
            let written = Some(seen.at);
            ((seen.tenant.clone(), seen.worker.clone()), Presence { seen, written })
        });
        Self(Mutex::new(Known { workers: known.collect(), ..Known::default() }))
    }

    /// Those that other nodes have seen since, and without those that no node has seen for long.
    pub fn learn(&self, rows: &[WorkerSeen]) {
        let mut known = self.known();
        for row in rows {
            let key = (row.tenant.clone(), row.worker.clone());
            let presence =
                known.workers.entry(key).or_insert_with(|| Presence { seen: row.clone(), written: None });
            if presence.seen.at <= row.at {
                *presence = Presence { seen: row.clone(), written: Some(row.at) };
            }
        }
        let written: HashSet<_> = rows.iter().map(|row| (&row.tenant, &row.worker)).collect();
        known.workers.retain(|key, it| it.written.is_none() || written.contains(&(&key.0, &key.1)));
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A worker asked for work.
    pub fn saw(&self, seen: WorkerSeen) {
        let mut known = self.known();
        let now = seen.at;
        let key = (seen.tenant.clone(), seen.worker.clone());
        let presence = known
            .workers
            .entry(key.clone())
            .or_insert_with(|| Presence { seen: seen.clone(), written: None });
        if presence.seen.queues != seen.queues || presence.seen.operation_types != seen.operation_types {
            presence.written = None;
        }
        presence.seen = seen;
        if presence.written.is_none_or(|written| now.since(written) >= limits::WORKER_WRITTEN_EVERY) {
            known.unwritten.insert(key);
            known.unwritten_since.get_or_insert(now);
        }
    }

    /// Whether rows have waited long enough for a turn that is written anyway.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.known().unwritten_since.is_some_and(|since| now.since(since) >= limits::WORKERS_UNWRITTEN)
    }

    /// The rows that are due, for a turn that is written; that it was is for [`Workers::settle`] to say.
    pub fn unwritten(&self) -> Vec<WorkerSeen> {
        let known = self.known();
        let rows = known.unwritten.iter().filter_map(|key| known.workers.get(key));
        rows.map(|it| it.seen.clone()).take(limits::WRITE_WORKERS_MAX).collect()
    }

    /// Those that were not seen for so long that their rows can go, looked for once a minute.
    pub fn forgotten(&self, now: Timestamp) -> Vec<Key> {
        let mut known = self.known();
        if known.looked.is_some_and(|looked| now.since(looked) < LOOK_EVERY) {
            return Vec::new();
        }
        let gone = known.workers.iter().filter(|(_, it)| now.since(it.seen.at) >= limits::WORKER_FORGOTTEN);
        let gone: Vec<Key> = gone.map(|(key, _)| key.clone()).take(limits::PRUNE_WORKERS_MAX).collect();
        if gone.len() < limits::PRUNE_WORKERS_MAX {
            known.looked = Some(now);
        }
        gone
    }

    /// A turn is durable: these rows are written, and those gone.
    pub fn settle(&self, changes: &Changes) {
        if changes.workers.is_empty() && changes.workers_forgotten.is_empty() {
            return;
        }
        let mut known = self.known();
        for key in &changes.workers_forgotten {
            known.workers.remove(key);
            known.unwritten.remove(key);
        }
        for row in &changes.workers {
            let key = (row.tenant.clone(), row.worker.clone());
            let presence = known
                .workers
                .entry(key.clone())
                .or_insert_with(|| Presence { seen: row.clone(), written: None });
            presence.written = Some(row.at);
            known.unwritten.remove(&key);
        }
        if known.unwritten.is_empty() {
            known.unwritten_since = None;
        }
    }

    /// The tenant's workers that are not forgotten or hold something, those first that asked last.
    pub fn present(&self, tenant: &TenantId, held: Vec<Held>) -> Vec<Present> {
        let mut present: HashMap<WorkerId, Present> = HashMap::new();
        for Presence { seen, .. } in self.known().workers.values().filter(|it| it.seen.tenant == *tenant) {
            let worker = Present { worker: seen.worker.clone(), seen: Some(seen.clone()), held: Vec::new() };
            present.insert(seen.worker.clone(), worker);
        }
        for held in held {
            let unseen = || Present { worker: held.worker.clone(), seen: None, held: Vec::new() };
            present.entry(held.worker.clone()).or_insert_with(unseen).held.push(held);
        }
        let mut present: Vec<Present> = present.into_values().collect();
        let last_asked = |it: &Present| it.seen.as_ref().map(|seen| seen.at);
        present.sort_by(|one, other| {
            last_asked(other).cmp(&last_asked(one)).then_with(|| one.worker.cmp(&other.worker))
        });
        present
    }

    /// Whether anybody asked for this lane lately.
    pub fn serves(&self, lane: &Lane, now: Timestamp) -> bool {
        self.known().workers.values().any(|Presence { seen, .. }| {
            seen.tenant == lane.tenant
                && now.since(seen.at) < limits::WORKER_PRESENT
                && seen.queues.as_ref().is_none_or(|queues| queues.contains(&lane.queue))
                && seen.operation_types.as_ref().is_none_or(|types| types.contains(&lane.operation_type))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(at: Timestamp, queue: &str) -> WorkerSeen {
        let queues = Some(std::sync::Arc::from([crate::operation::Name::parse(queue).unwrap()]));
        let worker = WorkerId::parse("w").unwrap();
        WorkerSeen { tenant: TenantId::default(), worker, queues, operation_types: None, address: None, at }
    }

    /// A turn with what is due becomes durable; how many rows that were.
    fn written(workers: &Workers) -> usize {
        let changes = Changes { workers: workers.unwritten(), ..Changes::default() };
        workers.settle(&changes);
        changes.workers.len()
    }

    #[test]
    fn a_row_counts_as_written_only_once_its_turn_is_durable() {
        let (workers, start) = (Workers::default(), Timestamp::MIN);
        for _ in 0..3 {
            workers.saw(seen(start, "a"));
            assert_eq!(workers.unwritten().len(), 1, "no turn with it went through");
        }
        assert_eq!(written(&workers), 1);
        workers.saw(seen(start, "a"));
        assert_eq!(written(&workers), 0);
        workers.saw(seen(start, "b"));
        assert_eq!(written(&workers), 1, "it asks for something else now");
        let later = start.plus(limits::WORKER_WRITTEN_EVERY);
        workers.saw(seen(later, "b"));
        assert_eq!(written(&workers), 1);
        workers.saw(seen(later, "b"));
        assert_eq!(written(&workers), 0);
    }

    #[test]
    fn rows_wait_for_a_turn_that_is_written_anyway_but_not_for_long() {
        let (workers, start) = (Workers::default(), Timestamp::MIN);
        workers.saw(seen(start, "a"));
        assert!(!workers.is_due(start));
        let later = start.plus(limits::WORKERS_UNWRITTEN);
        workers.saw(seen(later, "a"));
        assert!(workers.is_due(later), "since it was seen first");
        assert_eq!(written(&workers), 1);
        assert!(!workers.is_due(later));
    }
}

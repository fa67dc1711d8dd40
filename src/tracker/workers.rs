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
    /// Each tenant's by themselves: however many one has, the others are found as soon.
    tenants: HashMap<TenantId, HashMap<WorkerId, Presence>>,
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

impl Presence {
    /// One whose row is not written.
    fn new(seen: &WorkerSeen) -> Self {
        Self { seen: seen.clone(), written: None }
    }
}

impl Known {
    /// Those of a tenant.
    fn of(&mut self, tenant: &TenantId) -> &mut HashMap<WorkerId, Presence> {
        self.tenants.entry(tenant.clone()).or_default()
    }
}

impl Workers {
    /// Those that the store knows of.
    pub fn restored(seen: Vec<WorkerSeen>) -> Self {
        let mut known = Known::default();
        for seen in seen {
            let written = Some(seen.at);
            known.of(&seen.tenant).insert(seen.worker.clone(), Presence { seen, written });
        }
        Self(Mutex::new(known))
    }

    /// Those that other nodes have seen since, and without those that no node has seen for long.
    pub fn learn(&self, rows: &[WorkerSeen]) {
        let mut known = self.known();
        for row in rows {
            let presence =
                known.of(&row.tenant).entry(row.worker.clone()).or_insert_with(|| Presence::new(row));
            if presence.seen.at <= row.at {
                *presence = Presence { seen: row.clone(), written: Some(row.at) };
            }
        }
        let written: HashSet<_> = rows.iter().map(|row| (&row.tenant, &row.worker)).collect();
        known.tenants.retain(|tenant, workers| {
            workers.retain(|worker, it| it.written.is_none() || written.contains(&(tenant, worker)));
            !workers.is_empty()
        });
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A worker asked for work. Where its tenant has as many as are remembered, one of a new name is not.
    pub fn saw(&self, seen: WorkerSeen) {
        let mut known = self.known();
        let (now, key) = (seen.at, (seen.tenant.clone(), seen.worker.clone()));
        let workers = known.of(&seen.tenant);
        if workers.len() >= limits::WORKERS_KEPT_MAX && !workers.contains_key(&seen.worker) {
            return;
        }
        let presence = workers.entry(seen.worker.clone()).or_insert_with(|| Presence::new(&seen));
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
        let rows =
            known.unwritten.iter().filter_map(|(tenant, worker)| known.tenants.get(tenant)?.get(worker));
        rows.map(|it| it.seen.clone()).take(limits::WRITE_WORKERS_MAX).collect()
    }

    /// Those that were not seen for so long that their rows can go, looked for once a minute.
    pub fn forgotten(&self, now: Timestamp) -> Vec<Key> {
        let mut known = self.known();
        if known.looked.is_some_and(|looked| now.since(looked) < LOOK_EVERY) {
            return Vec::new();
        }
        let gone = known.tenants.iter().flat_map(|(tenant, workers)| {
            // Where no further one is remembered, room is made by those that are not there any more.
            let is_full = workers.len() >= limits::WORKERS_KEPT_MAX;
            let patience = if is_full { limits::WORKER_PRESENT } else { limits::WORKER_FORGOTTEN };
            let gone = workers.values().filter(move |it| now.since(it.seen.at) >= patience);
            gone.map(|it| (tenant.clone(), it.seen.worker.clone()))
        });
        let gone: Vec<Key> = gone.take(limits::PRUNE_WORKERS_MAX).collect();
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
            known.of(&key.0).remove(&key.1);
            known.unwritten.remove(key);
        }
        for row in &changes.workers {
            let presence =
                known.of(&row.tenant).entry(row.worker.clone()).or_insert_with(|| Presence::new(row));
            presence.written = Some(row.at);
            known.unwritten.remove(&(row.tenant.clone(), row.worker.clone()));
        }
        known.tenants.retain(|_, workers| !workers.is_empty());
        if known.unwritten.is_empty() {
            known.unwritten_since = None;
        }
    }

    /// The tenant's workers that are not forgotten or hold something, those first that asked last.
    pub fn present(&self, tenant: &TenantId, held: Vec<Held>) -> Vec<Present> {
        let mut present: HashMap<WorkerId, Present> = HashMap::new();
        for Presence { seen, .. } in self.known().tenants.get(tenant).into_iter().flat_map(HashMap::values) {
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
        let known = self.known();
        let mut workers = known.tenants.get(&lane.tenant).into_iter().flat_map(HashMap::values);
        workers.any(|Presence { seen, .. }| {
            now.since(seen.at) < limits::WORKER_PRESENT
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
    fn so_many_of_a_tenant_are_remembered_and_those_that_are_gone_make_room() {
        let (workers, start) = (Workers::default(), Timestamp::MIN);
        let tenant = TenantId::default();
        let asks = |name: usize, at| {
            let worker = WorkerId::parse(&format!("w{name}")).unwrap();
            workers.saw(WorkerSeen { worker, ..seen(at, "a") });
        };
        let count = || workers.present(&tenant, Vec::new()).len();
        let most = limits::WORKERS_KEPT_MAX;
        for name in 1..=most + 1 {
            asks(name, start);
            if name + 1 >= most {
                assert_eq!(count(), name.min(most));
            }
        }
        let other = TenantId::parse("other").unwrap();
        workers.saw(WorkerSeen { tenant: other.clone(), ..seen(start, "a") });
        assert_eq!(workers.present(&other, Vec::new()).len(), 1, "another tenant has as many again");
        // One of them is still there.
        let later = start.plus(limits::WORKER_PRESENT);
        asks(1, later);
        let changes = Changes { workers_forgotten: workers.forgotten(later), ..Changes::default() };
        assert_eq!(changes.workers_forgotten.len(), limits::PRUNE_WORKERS_MAX);
        assert!(changes.workers_forgotten.iter().all(|(of, name)| *of == tenant && name.as_str() != "w1"));
        workers.settle(&changes);
        assert_eq!(count(), most - limits::PRUNE_WORKERS_MAX);
        asks(most + 2, later);
        assert_eq!(count(), most - limits::PRUNE_WORKERS_MAX + 1);
        assert!(workers.forgotten(later).is_empty(), "while there is room they are remembered for longer");
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

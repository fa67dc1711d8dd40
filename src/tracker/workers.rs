//! Which workers asked for work lately: so that a waiting operation can say that nobody does.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::limits;
use crate::operation::{Lane, TenantId, Timestamp, WorkerId};
use crate::store::turn::WorkerSeen;

/// The workers of every tenant, by name. The intake loop writes it, readers look.
#[derive(Debug, Default)]
pub struct Workers(Mutex<HashMap<(TenantId, WorkerId), Presence>>);

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
        Self(Mutex::new(known.collect()))
    }

    /// A worker asked for work. Its row, when it is due to be written.
    pub fn saw(&self, seen: WorkerSeen) -> Option<WorkerSeen> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = seen.at;
        let key = (seen.tenant.clone(), seen.worker.clone());
        let is_new = !known.contains_key(&key);
        let presence = known.entry(key).or_insert_with(|| Presence { seen: seen.clone(), written: None });
        let moved =
            presence.seen.queues != seen.queues || presence.seen.operation_types != seen.operation_types;
        presence.seen = seen;
        let stale = presence.written.is_none_or(|written| now.since(written) >= limits::WORKER_WRITTEN_EVERY);
        let row = (moved || stale).then(|| {
            presence.written = Some(now);
            presence.seen.clone()
        });
        if is_new {
            known.retain(|_, presence| now.since(presence.seen.at) < limits::WORKER_FORGOTTEN);
        }
        row
    }

    /// Whether anybody asked for this lane lately.
    pub fn serves(&self, lane: &Lane, now: Timestamp) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.values().any(|Presence { seen, .. }| {
            seen.tenant == lane.tenant
                && now.since(seen.at) < limits::WORKER_PRESENT
                && seen.queues.as_ref().is_none_or(|queues| queues.contains(&lane.queue))
                && seen.operation_types.as_ref().is_none_or(|types| types.contains(&lane.operation_type))
        })
    }
}

//! Operations as they last were, for point reads. Only the commit path fills it: a reader that fills what it read
//! could bury a newer state for ever.

use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::Cache as QuickCache;

use crate::limits;
use crate::operation::{Operation, OperationId, Payload, TenantId};

type Key = (TenantId, OperationId);

/// Bytes of an operation without its payloads: the structure, its share of names, the cache's own.
const BASE_BYTES: u64 = 700;
/// An operation heavier than this is read from the store instead.
const ENTRY_BYTES_MAX: u64 = 64 << 10;

#[derive(Clone, Debug)]
struct ByBytes;

impl Weighter<Key, Arc<Operation>> for ByBytes {
    fn weight(&self, _: &Key, operation: &Arc<Operation>) -> u64 {
        weight(operation)
    }
}

fn weight(operation: &Operation) -> u64 {
    let payloads = [operation.spec.input.as_ref(), operation.result()];
    let inline =
        payloads.into_iter().flatten().filter_map(Payload::inline).map(|json| json.get().len() as u64);
    BASE_BYTES + inline.sum::<u64>()
}

/// The cache. Bounded by bytes.
#[derive(Debug)]
pub struct Cache(QuickCache<Key, Arc<Operation>, ByBytes>);

impl Default for Cache {
    fn default() -> Self {
        let entries = usize::try_from(limits::CACHE_BYTES_MAX / BASE_BYTES).unwrap_or(usize::MAX);
        Self(QuickCache::with_weighter(entries, limits::CACHE_BYTES_MAX, ByBytes))
    }
}

impl Cache {
    /// The operation as it last was, if it is at hand.
    pub fn get(&self, tenant: &TenantId, id: OperationId) -> Option<Arc<Operation>> {
        self.0.get(&(tenant.clone(), id))
    }

    /// For the commit path: what this operation now is.
    pub fn put(&self, operation: &Arc<Operation>) {
        let key = (operation.tenant().clone(), operation.spec.id);
        if weight(operation) > ENTRY_BYTES_MAX {
            self.0.remove(&key);
        } else {
            self.0.insert(key, operation.clone());
        }
    }

    /// For the commit path: the operation is gone.
    pub fn remove(&self, tenant: &TenantId, id: OperationId) {
        self.0.remove(&(tenant.clone(), id));
    }
}

//! How much there is of each at a time, of whatever is given back later: places, requests, bytes.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Numbers by whose they are; of whom there is none nothing is kept.
#[derive(Debug)]
pub(super) struct Counts<K>(Mutex<HashMap<K, usize>>);

impl<K> Default for Counts<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash> Counts<K> {
    /// For whoever looks at them and then takes.
    pub(super) fn lock(&self) -> MutexGuard<'_, HashMap<K, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So much is there no more.
    pub(super) fn give_back(&self, key: &K, number: usize) {
        let mut counts = self.lock();
        if let Some(own) = counts.get_mut(key) {
            *own -= number;
            if *own == 0 {
                counts.remove(key);
            }
        }
    }
}

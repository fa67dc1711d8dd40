//! The model as a store: maps in memory, obviously right rather than fast. The oracle of the tests.
//!
//! A [`MemoryDisk`] stands for the directory of an embedded store. What was committed is on it; opening it again is a
//! restart. [`record`] says what is kept of one operation, [`disk`] what of all of them, and how a commit changes it,
//! [`claim`] what claims may take of it.

mod claim;
mod disk;
mod reader;
mod record;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::clock::{Clock, TimeSource};
use super::turn::{Changes, Touches, WorkingSet};
use super::{Store, StoreError};
use crate::operation::Timestamp;
use disk::Kept;
pub use reader::MemoryReader;

/// A fresh store on a disk of its own.
pub fn open(time: Arc<dyn TimeSource>) -> (MemoryStore, Arc<MemoryReader>) {
    MemoryDisk::default().open(time)
}

/// What stays when a store is closed, or its server dies. Clones stand for the same disk.
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk(Arc<Mutex<Kept>>);

impl MemoryDisk {
    /// Opens the store on this disk, as at the start of a server: the leases of its own tasks end, the others rest.
    /// Halves opened before are no longer to be used.
    pub fn open(&self, time: Arc<dyn TimeSource>) -> (MemoryStore, Arc<MemoryReader>) {
        let mut kept = self.kept();
        let clock = Arc::new(Clock::new(time, kept.mark));
        kept.restart(clock.now());
        drop(kept);
        let reader = Arc::new(MemoryReader { disk: self.clone(), clock: clock.clone() });
        (MemoryStore { disk: self.clone(), clock }, reader)
    }

    /// Opens the store as one node of several: what others hold goes on, unless none of them was there for a while.
    pub fn join(&self, time: Arc<dyn TimeSource>) -> (MemoryStore, Arc<MemoryReader>) {
        let mut kept = self.kept();
        let clock = Arc::new(Clock::new(time, kept.mark));
        kept.join(clock.now());
        drop(kept);
        let reader = Arc::new(MemoryReader { disk: self.clone(), clock: clock.clone() });
        (MemoryStore { disk: self.clone(), clock }, reader)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The writing half.
#[derive(Debug)]
pub struct MemoryStore {
    disk: MemoryDisk,
    clock: Arc<Clock>,
}

impl Store for MemoryStore {
    fn begin(&mut self, touches: &Touches) -> Result<WorkingSet, StoreError> {
        let mut kept = self.disk.kept();
        kept.undo();
        Ok(kept.load(touches, self.clock.now()))
    }

    fn commit(&mut self, changes: &mut Changes) -> Result<(), StoreError> {
        let mut kept = self.disk.kept();
        kept.settle();
        if !changes.is_empty() {
            kept.save(changes, self.clock.now());
        }
        Ok(())
    }

    fn next_due(&mut self) -> Result<Option<Timestamp>, StoreError> {
        let mut kept = self.disk.kept();
        kept.look(self.clock.now());
        Ok(kept.next_due())
    }

    fn has_room(&mut self) -> bool {
        true
    }

    fn release_reserve(&mut self) {}
}

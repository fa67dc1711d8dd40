//! The model as a store: maps in memory, obviously right rather than fast. The oracle of the tests.
//!
//! A [`MemoryDisk`] stands for the directory of an embedded store. What was committed is on it; opening it again is a
//! restart; joining it is another node beside those that are there. [`record`] says what is kept of one operation, [`disk`] what of all of them, and how a commit changes it,
//! [`claim`] what claims may take of it.

mod claim;
mod disk;
mod figures;
mod reader;
mod record;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::clock::{Clock, TimeSource};
use super::credential::LinkKey;
use super::turn::{Changes, Touches, WorkingSet};
use super::{Deposit, Store, StoreError};
use crate::operation::Timestamp;
use disk::Kept;
pub use reader::MemoryReader;

/// A fresh store on a disk of its own.
pub fn open(time: Arc<dyn TimeSource>) -> (MemoryStore, Arc<MemoryReader>) {
    MemoryDisk::default().open(time)
}

/// What stays when a store is closed, or its server dies. Clones stand for the same disk.
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk {
    kept: Arc<Mutex<Kept>>,
    /// Something was committed.
    committed: watch::Sender<()>,
    /// Something was handed in without a node.
    deposited: watch::Sender<()>,
}

impl MemoryDisk {
    /// Opens the store on this disk, as at the start of a server: the leases of its own tasks end, the others rest.
    /// Halves opened before are no longer to be used.
    pub fn open(&self, time: Arc<dyn TimeSource>) -> (MemoryStore, Arc<MemoryReader>) {
        self.halves(time, Kept::restart)
    }

    /// Opens the store as one node of several: what others hold goes on, unless none of them was there for a while. Of two
    /// turns of different nodes that go on at once only one goes through, and the other finds the store busy.
    pub fn join(&self, time: Arc<dyn TimeSource>) -> (MemoryStore, Arc<MemoryReader>) {
        self.halves(time, Kept::join)
    }

    /// What a user hands in inside a transaction of their own, once that is committed.
    pub fn hand_in(&self, deposit: Deposit) {
        self.kept().deposits.insert(deposit.number, deposit);
        self.deposited.send_replace(());
    }

    fn halves(
        &self,
        time: Arc<dyn TimeSource>,
        begin: fn(&mut Kept, Timestamp),
    ) -> (MemoryStore, Arc<MemoryReader>) {
        let mut kept = self.kept();
        let clock = Arc::new(Clock::new(time, kept.mark));
        begin(&mut kept, clock.now());
        if kept.link_key.is_none() {
            kept.link_key = LinkKey::fresh().ok();
        }
        drop(kept);
        let reader = Arc::new(MemoryReader { disk: self.clone(), clock: clock.clone() });
        (MemoryStore { disk: self.clone(), clock, turn: None }, reader)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The writing half.
#[derive(Debug)]
pub struct MemoryStore {
    disk: MemoryDisk,
    clock: Arc<Clock>,
    /// The open turn; one that was not committed leaves nothing.
    turn: Option<Open>,
}

/// A turn that has begun.
#[derive(Debug)]
struct Open {
    /// What it knows of.
    revision: u64,
    /// From when on it lets the leases rest.
    resting: Option<Timestamp>,
}

impl Store for MemoryStore {
    fn begin(&mut self, touches: &Touches) -> Result<WorkingSet, StoreError> {
        let mut kept = self.disk.kept();
        let now = self.clock.now();
        self.turn = Some(Open { revision: kept.revision, resting: touches.rest_leases.then_some(now) });
        Ok(kept.load(touches, now))
    }

    fn commit(&mut self, changes: &mut Changes) -> Result<(), StoreError> {
        let mut kept = self.disk.kept();
        let Some(turn) = self.turn.take() else { return Ok(()) };
        if turn.revision != kept.revision && !changes.is_empty() {
            return Err(StoreError::Busy("another node wrote since this turn began".to_owned()));
        }
        if let Some(now) = turn.resting {
            kept.rest(now);
        }
        if !changes.is_empty() {
            kept.save(changes, self.clock.now());
            self.disk.committed.send_replace(());
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
